//! What every long-lived part runs on: the CPU pool, named tasks, signals and ordered shutdown.
//!
//! In: closures and futures. Out: their results, or a clear "overloaded". Never here: anything that
//! knows what the work is about.

mod cancel;
mod cpu_pool;
mod memory;
mod shutdown;
mod signal;
mod task;

pub use cancel::CancelOnDrop;
pub use cpu_pool::{CpuPool, CpuPoolStats, Overloaded, cores, parallel_pool};
pub use memory::give_back_memory;
pub use shutdown::{Shutdown, ShutdownTrigger};
pub use signal::{Signal, Signals};
pub use task::{Tasks, spawn};
