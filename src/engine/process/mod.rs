//! Processes in the session: how they come into it, multiply, and leave it unharmed.

pub(super) mod attach;
pub(super) mod call_filter;
pub(super) mod everywhere;
mod exec;
mod family;
pub(super) mod interrupted;
mod leave;
pub(super) mod net;
pub(super) mod remote;
mod safety;
mod signals;
pub(super) mod strays;
pub(super) mod waiting;
