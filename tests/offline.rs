//! Files only: no process is traced.

#[path = "offline/hostile_dwarf.rs"]
mod hostile_dwarf;
#[path = "offline/packs.rs"]
mod packs;
#[path = "offline/rooms.rs"]
mod rooms;
#[path = "offline/rtti.rs"]
mod rtti;
#[path = "offline/search.rs"]
mod search;
mod support;
