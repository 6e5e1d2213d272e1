//! The errors of the store: what failed, on which file, and what state the store is in now.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::model::{Interrupted, SourceError};

/// Why the store could not do something.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StorageError {
    /// The operating system refused: (operation, path, its words).
    Io(&'static str, PathBuf, String),
    /// A file holds what no version of this program wrote: (path, what is wrong).
    Corrupted(PathBuf, String),
    /// Another process has the data directory open.
    Locked(PathBuf),
    /// The data directory was written by a newer version: (found, newest known).
    NewerFormat(u32, u32),
    /// An earlier write failed. Nothing is acknowledged any more until the program is restarted.
    Poisoned(String),
    /// The disk is nearly full: (free bytes, bytes kept free). Writes resume when there is room.
    DiskFull(u64, u64),
    /// The store is closing.
    Closed,
    /// Whoever asked does not wait any longer.
    Interrupted(Interrupted),
}

impl StorageError {
    /// An I/O error with the operation and the path it concerned.
    pub fn io(operation: &'static str, path: &Path, error: &io::Error) -> StorageError {
        StorageError::Io(operation, path.to_owned(), error.to_string())
    }

    /// A database error with the operation and the path it concerned.
    pub fn database(
        operation: &'static str,
        path: &Path,
        error: impl Into<redb::Error>,
    ) -> StorageError {
        match error.into() {
            redb::Error::Corrupted(what) => StorageError::Corrupted(path.to_owned(), what),
            redb::Error::Io(error) => StorageError::io(operation, path, &error),
            other => StorageError::Io(operation, path.to_owned(), other.to_string()),
        }
    }

    /// Stored bytes that do not decode.
    pub fn corrupted(path: &Path, what: impl fmt::Display) -> StorageError {
        StorageError::Corrupted(path.to_owned(), what.to_string())
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StorageError::Io(operation, path, error) => {
                write!(f, "{operation} {} failed: {error}", path.display())
            }
            StorageError::Corrupted(path, what) => write!(
                f,
                "{} is damaged: {what}; move the file away (its data is lost) or restore it from a backup",
                path.display()
            ),
            StorageError::Locked(path) => write!(
                f,
                "data directory {} is in use by another process; stop it or choose another --data-dir",
                path.display()
            ),
            StorageError::NewerFormat(found, known) => write!(
                f,
                "data directory has format version {found}, this program knows up to {known}; use a newer program"
            ),
            StorageError::Poisoned(why) => write!(
                f,
                "store stopped accepting writes after a failed one ({why}); check the disk and restart"
            ),
            StorageError::DiskFull(free, kept) => write!(
                f,
                "disk of the data directory has {free} bytes free, {kept} are kept free; make room or lower --retention"
            ),
            StorageError::Closed => f.write_str("store is closing"),
            StorageError::Interrupted(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for StorageError {}

impl From<Interrupted> for StorageError {
    fn from(why: Interrupted) -> StorageError {
        StorageError::Interrupted(why)
    }
}

impl From<StorageError> for SourceError {
    fn from(error: StorageError) -> SourceError {
        let message = error.to_string();
        match error {
            StorageError::Corrupted(..) => SourceError::Corrupted(message),
            StorageError::Closed | StorageError::Poisoned(_) => SourceError::Unavailable(message),
            StorageError::Interrupted(why) => SourceError::Interrupted(why),
            _ => SourceError::Io(message),
        }
    }
}
