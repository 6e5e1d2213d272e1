//! Why an instance could not be asked.

use std::fmt;

/// Why a request or a pass failed.
#[derive(Debug)]
pub enum PollError {
    /// The options cannot be used: a secret, certificate or proxy.
    Options(String),
    /// No answer in time, or none at all.
    Transport {
        /// What was asked.
        path: String,
        /// What went wrong.
        why: String,
    },
    /// The server refuses the credentials, or they lack a permission (Airflow 2 does not say which).
    Refused {
        /// What was asked.
        path: String,
        /// HTTP status.
        status: u16,
    },
    /// The server answered with an error.
    Status {
        /// What was asked.
        path: String,
        /// HTTP status.
        status: u16,
        /// Start of the body.
        body: String,
    },
    /// The answer is not what the API promises.
    Answer {
        /// What was asked.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// Neither API version answers under the URL.
    NotAirflow,
    /// The store does not take the samples or the cursor.
    Store(String),
    /// The poller was told to stop.
    Stopped,
}

impl fmt::Display for PollError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PollError::Options(why) => f.write_str(why),
            PollError::Transport { path, why } => write!(f, "asking {path}: {why}"),
            PollError::Refused { path, status } => write!(
                f,
                "asking {path}: status {status}, wrong credentials or a missing read permission"
            ),
            PollError::Status { path, status, body } => {
                write!(f, "asking {path}: status {status}: {body}")
            }
            PollError::Answer { path, why } => write!(f, "answer of {path}: {why}"),
            PollError::NotAirflow => f.write_str(
                "neither /api/v2/version nor /api/v1/version answers, check the url and its path",
            ),
            PollError::Store(why) => write!(f, "writing what was read: {why}"),
            PollError::Stopped => f.write_str("stopped"),
        }
    }
}

impl std::error::Error for PollError {}
