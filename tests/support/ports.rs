//! Ports and numbers that no other test, in this process or another, uses at the same time.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT_PORT: AtomicU32 = AtomicU32::new(0);
static NEXT_ID: AtomicU32 = AtomicU32::new(0);

/// A TCP port on 127.0.0.1 that is free now. Ports lie below the range that the kernel hands out by itself, in a block
/// of a hundred for each process.
pub fn free_port() -> u16 {
    let block = 20_000 + (std::process::id() % 120) * 100;
    for _ in 0..12_000 {
        let offset = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
        let port = (20_000 + (block - 20_000 + offset) % 12_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between 20000 and 32000");
}

/// A number below 400 000 000 that no other test uses: Envoy's base id (which Envoy multiplies by ten).
pub fn unique_id() -> u32 {
    (std::process::id() % 4_000_000) * 100 + NEXT_ID.fetch_add(1, Ordering::Relaxed) % 100
}
