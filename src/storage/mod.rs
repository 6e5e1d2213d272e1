//! The embedded time-series database.
//!
//! In: batches of samples through an [`Appender`]. Out: an acknowledgement once a batch is on disk,
//! and series for queries through [`crate::model::SeriesSource`]. Never here: async, HTTP, PromQL,
//! reading a clock other than [`crate::model::Clock`].
//!
//! The way of a sample: [`append`] puts it into the [`head`] and the [`journal`]; when its window is
//! over, [`flush`] writes it as part of a [`chunk`] in a [`pack`] of its day's [`partition`];
//! [`select`] reads both, and [`list`] tells what is there; [`retention`] removes the day. After a
//! crash [`recover`] reads the journals back.

pub mod append;
mod background;
mod cache;
pub mod chunk;
pub mod columns;
mod control;
pub mod data_dir;
pub mod error;
mod flush;
pub mod head;
pub mod index;
pub mod journal;
mod list;
mod merge;
pub mod metrics;
mod notify_state;
pub mod pack;
mod part_state;
pub mod partition;
mod partitions;
pub mod recover;
mod retention;
mod scratch;
mod select;
mod stats;
pub mod store;
mod stored_range;
pub mod window;

pub use append::{Appender, BatchSeries};
pub use error::StorageError;
pub use notify_state::{HistoryBlock, NotifyRow};
pub use part_state::StateChange;
pub use recover::RecoveryProgress;
pub use stats::{Cardinality, StoreStats};
pub use store::{Store, StoreLimits, StoreOptions};
