//! Files only: no process is traced.

#[path = "offline/rooms.rs"]
mod rooms;
