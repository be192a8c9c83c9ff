//! The session socket: other terminals of the same user speak to a live session (docs/session-protocol.md).

pub mod client;
pub mod directory;
pub mod host;
pub mod peer;
pub mod protocol;
pub mod server;

#[cfg(test)]
mod tests;

pub use client::Client;
pub use host::{Connect, SocketError, SocketHost};
pub use server::Server;
