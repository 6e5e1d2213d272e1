//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::PathBuf;

/// Why a configuration was refused.
#[derive(Debug)]
pub enum ConfigError {
    /// The file cannot be read.
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The text is not a configuration.
    Parse {
        /// Which file.
        path: PathBuf,
        /// Line and column, counted from 1, when they are known.
        place: Option<(u64, u64)>,
        /// What is wrong there.
        message: String,
    },
    /// The configuration of Alertmanager, in the file or beside it.
    Alertmanager(crate::notify::config::AlertConfigError),
    /// A value that is well-formed cannot be used, from the file or the command line.
    Invalid {
        /// The key or flag.
        key: &'static str,
        /// What is wrong with it.
        message: String,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Read { path, error } => {
                write!(f, "cannot read the configuration {}: {error}", path.display())
            }
            ConfigError::Parse { path, place: Some((line, column)), message } => {
                write!(f, "{}:{line}:{column}: {message}", path.display())
            }
            ConfigError::Parse { path, place: None, message } => {
                write!(f, "{}: {message}", path.display())
            }
            ConfigError::Alertmanager(error) => error.fmt(f),
            ConfigError::Invalid { key, message } => write!(f, "{key}: {message}"),
        }
    }
}

impl std::error::Error for ConfigError {}
