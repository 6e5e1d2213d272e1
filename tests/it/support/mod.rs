//! What the black-box tests share: a server process, an HTTP client, a remote-write encoder.

pub mod airflow;
pub mod client;
pub mod memory;
pub mod otlp;
pub mod remote_write;
pub mod server;
pub mod sink;

pub use client::{Client, Series};
pub use memory::{RuleWorld, rule_groups};
pub use server::{Server, free_port};
pub use sink::Sink;

use std::time::{Duration, Instant};

/// Calls `probe` every 20 ms until it gives a value; panics after `limit`, naming `what`.
pub fn wait_for<T>(what: &str, limit: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The present time in milliseconds since the epoch.
pub fn now_ms() -> i64 {
    #[allow(clippy::disallowed_methods)] // the servers under test read it too
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.expect("a clock after 1970").as_millis())
        .expect("a clock before the year 292 million")
}

/// A small deterministic random number generator (xorshift64*), so that failures repeat.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Rng {
        Rng(seed | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 16) % limit
    }
}
