//! Why the server could not run.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::config::ConfigError;
use crate::storage::StorageError;

/// Why the server could not start, or not stop in order.
#[derive(Debug)]
pub enum ServeError {
    /// The configuration or a flag is wrong.
    Config(ConfigError),
    /// The address of the HTTP server cannot be had.
    Listen {
        /// Which address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The data directory cannot be opened or closed.
    Storage(StorageError),
    /// What is wrong with the rule files, one mistake a line.
    Rules(String),
    /// The system refused something else.
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

impl ServeError {
    pub(super) fn io(doing: &'static str, error: io::Error) -> ServeError {
        ServeError::Io { doing, error }
    }
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServeError::Config(error) => error.fmt(f),
            ServeError::Listen { address, error } => {
                write!(f, "cannot listen on {address}: {error}")?;
                if error.kind() == io::ErrorKind::AddrInUse {
                    f.write_str("; is another server running? choose another with --listen")?;
                }
                Ok(())
            }
            ServeError::Storage(error) => error.fmt(f),
            ServeError::Rules(errors) => write!(f, "rule files cannot be used:\n{errors}"),
            ServeError::Io { doing, error } => write!(f, "{doing}: {error}"),
        }
    }
}

impl std::error::Error for ServeError {}

impl From<ConfigError> for ServeError {
    fn from(error: ConfigError) -> ServeError {
        ServeError::Config(error)
    }
}

impl From<StorageError> for ServeError {
    fn from(error: StorageError) -> ServeError {
        ServeError::Storage(error)
    }
}
