//! Files only: no process is traced.

#[path = "offline/rooms.rs"]
mod rooms;
#[path = "offline/rtti.rs"]
mod rtti;
mod support;
