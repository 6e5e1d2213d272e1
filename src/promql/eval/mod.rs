//! Evaluation.

use crate::model::{SeriesSource, Timestamp};

use super::ast::Expr;
use super::engine::{EngineOptions, QueryOptions, QueryOutput};
use super::error::QueryError;

/// Evaluates at one time.
pub(super) fn instant(
    _engine: &EngineOptions,
    _options: &QueryOptions,
    _source: &dyn SeriesSource,
    _expr: &Expr,
    _text: &str,
    _time: Timestamp,
) -> Result<QueryOutput, QueryError> {
    Err(QueryError::NotSupported("evaluation".to_owned()))
}

/// Evaluates over a range.
pub(super) fn range(
    _engine: &EngineOptions,
    _options: &QueryOptions,
    _source: &dyn SeriesSource,
    _expr: &Expr,
    _text: &str,
    _range: (Timestamp, Timestamp, i64),
) -> Result<QueryOutput, QueryError> {
    Err(QueryError::NotSupported("evaluation".to_owned()))
}
