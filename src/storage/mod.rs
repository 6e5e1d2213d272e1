//! The embedded time-series database.

pub mod error;
pub mod head;
pub mod index;
pub mod window;

pub use error::StorageError;
