//! Errors of the API: a kind, which decides type and status, and a sentence.

use std::fmt;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::model::{Interrupted, SourceError};
use crate::promql::QueryError;
use crate::runtime::Overloaded;

use super::answer::json_response;
use super::json::JsonWriter;

/// What kind of error it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request makes no sense.
    BadData,
    /// The query cannot be evaluated.
    Execution,
    /// The client went away.
    Canceled,
    /// It took too long.
    Timeout,
    /// A fault of the server.
    Internal,
    /// Switched off, or not open yet.
    Unavailable,
    /// More work than is admitted; trying again later helps.
    Overloaded,
    /// There is no such thing.
    NotFound,
    /// The form body is larger than is accepted.
    TooLarge,
}

impl ErrorKind {
    /// The `errorType` of the answer.
    pub const fn as_str(self) -> &'static str {
        match self {
            ErrorKind::BadData | ErrorKind::TooLarge => "bad_data",
            ErrorKind::Execution => "execution",
            ErrorKind::Canceled => "canceled",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Internal => "internal",
            ErrorKind::Unavailable | ErrorKind::Overloaded => "unavailable",
            ErrorKind::NotFound => "not_found",
        }
    }

    /// The HTTP status of the answer. `Unavailable` is 500 and not 503: so it is in Prometheus.
    pub const fn status(self) -> StatusCode {
        match self {
            ErrorKind::BadData => StatusCode::BAD_REQUEST,
            ErrorKind::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorKind::Canceled => CLIENT_CLOSED_REQUEST,
            ErrorKind::Timeout | ErrorKind::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Internal | ErrorKind::Unavailable => StatusCode::INTERNAL_SERVER_ERROR,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }
}

/// Status 499, which is in no standard: nobody is left to read it but the access log.
const CLIENT_CLOSED_REQUEST: StatusCode = match StatusCode::from_u16(499) {
    Ok(status) => status,
    Err(_) => panic!("BUG: 499 is a status code"),
};

/// An error answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// Decides type and status.
    pub kind: ErrorKind,
    /// What is wrong, for the user.
    pub message: String,
}

impl ApiError {
    /// An error of any kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> ApiError {
        ApiError { kind, message: message.into() }
    }

    /// The request makes no sense.
    pub fn bad_data(message: impl Into<String>) -> ApiError {
        ApiError::new(ErrorKind::BadData, message)
    }

    /// One parameter makes no sense.
    pub fn parameter(name: &str, why: impl fmt::Display) -> ApiError {
        ApiError::bad_data(format!("invalid parameter \"{name}\": {why}"))
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.as_str(), self.message)
    }
}

impl std::error::Error for ApiError {}

impl From<SourceError> for ApiError {
    fn from(error: SourceError) -> ApiError {
        let kind = match error {
            SourceError::LimitReached(_) => ErrorKind::Execution,
            SourceError::Unavailable(_) => ErrorKind::Unavailable,
            SourceError::Interrupted(why) => return why.into(),
            _ => ErrorKind::Internal,
        };
        ApiError::new(kind, error.to_string())
    }
}

impl From<Interrupted> for ApiError {
    fn from(why: Interrupted) -> ApiError {
        let kind = match why {
            Interrupted::Canceled => ErrorKind::Canceled,
            Interrupted::TimedOut => ErrorKind::Timeout,
        };
        ApiError::new(kind, why.to_string())
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> ApiError {
        let kind = match error {
            QueryError::Parse(_) | QueryError::BadRequest(_) => {
                return ApiError::parameter("query", error);
            }
            QueryError::Timeout(_) => ErrorKind::Timeout,
            QueryError::Canceled(_) => ErrorKind::Canceled,
            QueryError::Source(_) => ErrorKind::Internal,
            QueryError::TooManySamples { needed, allowed } => {
                let why = format!("{error}: it needed {needed} or more, {allowed} are allowed");
                return ApiError::new(ErrorKind::Execution, why);
            }
            _ => ErrorKind::Execution,
        };
        ApiError::new(kind, error.to_string())
    }
}

impl From<Overloaded> for ApiError {
    fn from(error: Overloaded) -> ApiError {
        ApiError::new(ErrorKind::Overloaded, error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = JsonWriter::new();
        body.begin_object();
        body.string_field("status", "error");
        body.string_field("errorType", self.kind.as_str());
        body.string_field("error", &self.message);
        body.end_object();
        json_response(self.kind.status(), body.finish())
    }
}
