//! What is wrong with an `alertmanager.yml`, and where.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_saphyr::{Location, Spanned};

/// Why a configuration was refused.
#[derive(Debug)]
pub enum AlertConfigError {
    /// The file cannot be read.
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Something in it is wrong.
    Invalid {
        /// Which file.
        path: PathBuf,
        /// Line and column, counted from 1, when they are known.
        place: Option<(u64, u64)>,
        /// What is wrong there.
        message: String,
    },
}

impl AlertConfigError {
    /// An error of the YAML parser or of a value's own check.
    pub(super) fn yaml(path: &Path, error: &serde_saphyr::Error) -> AlertConfigError {
        let place = error.location().map(|place| (place.line(), place.column()));
        let message = error.without_snippet().to_string();
        // The place stands in front of our message already.
        let message = match message.rfind(" at line ") {
            Some(end) if place.is_some() => message[..end].to_owned(),
            _ => message,
        };
        AlertConfigError::Invalid { path: path.to_owned(), place, message }
    }
}

impl fmt::Display for AlertConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AlertConfigError::Read { path, error } => {
                write!(f, "cannot read the alertmanager configuration {}: {error}", path.display())
            }
            AlertConfigError::Invalid { path, place: Some((line, column)), message } => {
                write!(f, "{}:{line}:{column}: {message}", path.display())
            }
            AlertConfigError::Invalid { path, place: None, message } => {
                write!(f, "{}: {message}", path.display())
            }
        }
    }
}

impl std::error::Error for AlertConfigError {}

/// A mistake found while building; the file's name comes later.
#[derive(Debug)]
pub(super) struct Mistake {
    pub place: Option<(u64, u64)>,
    pub message: String,
}

impl Mistake {
    pub(super) fn at<T>(spot: &Spanned<T>, message: impl Into<String>) -> Mistake {
        Mistake { place: place(&spot.referenced), message: message.into() }
    }
}

impl From<String> for Mistake {
    fn from(message: String) -> Mistake {
        Mistake { place: None, message }
    }
}

fn place(location: &Location) -> Option<(u64, u64)> {
    (*location != Location::UNKNOWN).then(|| (location.line(), location.column()))
}
