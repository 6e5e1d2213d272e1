//! Errors of parsing and evaluating PromQL.

use std::fmt;

use crate::model::{Interrupted, SourceError};

use super::ast::Span;

/// Why a text is not a PromQL expression. Displays as Prometheus does: `1:5: parse error: ...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// What is wrong.
    pub message: String,
    /// Where; the start is shown.
    pub span: Span,
    /// Line of the start, from 1; 0 when the text is empty ("unknown position").
    pub line: u32,
    /// Byte column of the start within its line, from 1.
    pub column: u32,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "unknown position: parse error: {}", self.message)
        } else {
            write!(f, "{}:{}: parse error: {}", self.line, self.column, self.message)
        }
    }
}

impl std::error::Error for ParseError {}

/// Why a query has no result.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum QueryError {
    /// The text does not parse or its types do not fit (HTTP `bad_data`).
    Parse(ParseError),
    /// The request's parameters make no sense (HTTP `bad_data`).
    BadRequest(String),
    /// Evaluation failed (HTTP `execution`).
    Execution(String),
    /// A function or operator this version does not evaluate yet; names it (HTTP `execution`).
    NotSupported(String),
    /// Too many samples at a time (HTTP `execution`).
    TooManySamples {
        /// How many it would have held when it was stopped; it may have come to need more.
        needed: u64,
        /// How many it may hold.
        allowed: u64,
    },
    /// It took longer than its limit (HTTP `timeout`).
    Timeout(String),
    /// The client went away (HTTP `canceled`).
    Canceled(String),
    /// The source failed (HTTP `internal`).
    Source(String),
}

impl From<Interrupted> for QueryError {
    fn from(why: Interrupted) -> QueryError {
        match why {
            Interrupted::Canceled => {
                QueryError::Canceled("query was canceled in expression evaluation".into())
            }
            Interrupted::TimedOut => {
                QueryError::Timeout("query timed out in expression evaluation".into())
            }
        }
    }
}

impl From<SourceError> for QueryError {
    fn from(error: SourceError) -> QueryError {
        match error {
            SourceError::Interrupted(why) => why.into(),
            error => QueryError::Source(error.to_string()),
        }
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QueryError::Parse(error) => error.fmt(f),
            // The words of Prometheus; who answers people adds the numbers.
            QueryError::TooManySamples { .. } => f.write_str(
                "query processing would load too many samples into memory in query execution",
            ),
            QueryError::NotSupported(what) => write!(f, "{what} is not supported yet"),
            QueryError::BadRequest(message)
            | QueryError::Execution(message)
            | QueryError::Timeout(message)
            | QueryError::Canceled(message)
            | QueryError::Source(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for QueryError {}
