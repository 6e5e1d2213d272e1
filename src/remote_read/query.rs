//! What a remote-read request asks for.
//!
//! In: the decoded body, a `prometheus.ReadRequest`. Out: queries and the form of the answer.
//! Never here: reading from the store.

use std::fmt;

use crate::model::{MatchOp, Matcher, Timestamp};
use crate::remote_write::wire::{Field, Reader, Value, WireError};

/// Most queries in one request; Prometheus sends one.
const QUERIES_MAX: usize = 64;
/// Most matchers in one query; each may be a regular expression to compile.
const MATCHERS_MAX: usize = 64;

/// One query: which series and which stretch of time, both bounds inclusive.
#[derive(Clone, Debug)]
pub struct ReadQuery {
    /// First wanted time.
    pub start: Timestamp,
    /// Last wanted time.
    pub end: Timestamp,
    /// All must match.
    pub matchers: Vec<Matcher>,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseType {
    /// One message with all samples.
    Samples,
    /// Frames of XOR-compressed chunks, as they come.
    StreamedXorChunks,
}

/// A whole request.
#[derive(Clone, Debug)]
pub struct ReadRequest {
    /// The queries, answered in this order.
    pub queries: Vec<ReadQuery>,
    /// The first form the client takes that we have.
    pub response_type: ResponseType,
}

/// Why a request cannot be answered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum QueryError {
    /// Not a `ReadRequest`.
    Wire(WireError),
    /// A matcher of an unknown kind: (number).
    MatcherType(u64),
    /// A matcher whose pattern is not a regular expression: (pattern, what is wrong with it).
    Pattern(String, String),
    /// The client takes only forms we do not have.
    ResponseType,
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QueryError::Wire(error) => error.fmt(f),
            QueryError::MatcherType(number) => write!(f, "matcher type {number} is not known"),
            QueryError::Pattern(pattern, why) => {
                write!(f, "matcher pattern {pattern:?} is not a regular expression: {why}")
            }
            QueryError::ResponseType => f.write_str(
                "none of the accepted response types is known, accept SAMPLES or STREAMED_XOR_CHUNKS",
            ),
        }
    }
}

impl std::error::Error for QueryError {}

impl From<WireError> for QueryError {
    fn from(error: WireError) -> QueryError {
        QueryError::Wire(error)
    }
}

/// Reads a `prometheus.ReadRequest`.
///
/// # Errors
/// See [`QueryError`].
pub fn parse(decoded: &[u8]) -> Result<ReadRequest, QueryError> {
    const MESSAGE: &str = "prometheus.ReadRequest";
    let mut queries = Vec::new();
    let mut accepted = Accepted::default();
    let mut reader = Reader::new(decoded);
    while let Some(field) = reader.field()? {
        match field.number {
            1 if queries.len() == QUERIES_MAX => {
                return Err(WireError::TooMany("queries", QUERIES_MAX).into());
            }
            1 => queries.push(query(field.bytes(MESSAGE)?)?),
            2 => accepted.extend(&field, MESSAGE)?,
            _ => {}
        }
    }
    Ok(ReadRequest { queries, response_type: accepted.choose()? })
}

/// The forms a client takes, in its order of preference. Absent means samples.
#[derive(Default)]
struct Accepted {
    any: bool,
    first: Option<ResponseType>,
}

impl Accepted {
    /// A repeated enum, packed or one by one.
    fn extend(&mut self, field: &Field<'_>, message: &'static str) -> Result<(), WireError> {
        match field.value {
            Value::Varint(number) => self.push(number),
            Value::Bytes(packed) => {
                let mut reader = Reader::new(packed);
                while !reader.is_empty() {
                    self.push(reader.varint()?);
                }
            }
            _ => return Err(field.wrong_type(message)),
        }
        Ok(())
    }

    fn push(&mut self, number: u64) {
        self.any = true;
        self.first = self.first.or(match number {
            0 => Some(ResponseType::Samples),
            1 => Some(ResponseType::StreamedXorChunks),
            _ => None,
        });
    }

    fn choose(self) -> Result<ResponseType, QueryError> {
        match self.first {
            Some(response_type) => Ok(response_type),
            None if self.any => Err(QueryError::ResponseType),
            None => Ok(ResponseType::Samples),
        }
    }
}

fn query(body: &[u8]) -> Result<ReadQuery, QueryError> {
    const MESSAGE: &str = "Query";
    let mut query = ReadQuery { start: Timestamp(0), end: Timestamp(0), matchers: Vec::new() };
    let mut reader = Reader::new(body);
    while let Some(field) = reader.field()? {
        match field.number {
            1 => query.start = Timestamp(field.int64(MESSAGE)?),
            2 => query.end = Timestamp(field.int64(MESSAGE)?),
            3 if query.matchers.len() == MATCHERS_MAX => {
                return Err(WireError::TooMany("matchers in a query", MATCHERS_MAX).into());
            }
            3 => query.matchers.push(matcher(field.bytes(MESSAGE)?)?),
            // Hints (4) say how the samples will be used; all samples are always given.
            _ => {}
        }
    }
    Ok(query)
}

fn matcher(body: &[u8]) -> Result<Matcher, QueryError> {
    const MESSAGE: &str = "LabelMatcher";
    let (mut number, mut name, mut value) = (0, "", "");
    let mut reader = Reader::new(body);
    while let Some(field) = reader.field()? {
        match field.number {
            1 => number = field.varint(MESSAGE)?,
            2 => name = text(field.bytes(MESSAGE)?)?,
            3 => value = text(field.bytes(MESSAGE)?)?,
            _ => {}
        }
    }
    let op = match number {
        0 => MatchOp::Equal,
        1 => MatchOp::NotEqual,
        2 => MatchOp::Regex,
        3 => MatchOp::NotRegex,
        other => return Err(QueryError::MatcherType(other)),
    };
    Matcher::new(op, name, value).map_err(|why| QueryError::Pattern(value.into(), why.to_string()))
}

fn text(bytes: &[u8]) -> Result<&str, WireError> {
    std::str::from_utf8(bytes).map_err(|_| WireError::NotUtf8("matcher"))
}
