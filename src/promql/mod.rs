//! PromQL as Prometheus 3.14 defines it: text to syntax tree, syntax tree and series to values.
//!
//! In: query text and a [`crate::model::SeriesSource`]. Out: a [`Value`] with annotations. Never
//! here: async, HTTP, storage, the clock; a query's time always comes with it.

pub mod ast;
pub mod error;
pub mod functions;
pub mod value;

pub use error::{ParseError, QueryError};
pub use value::{MatrixSeries, PointValue, Value, VectorSample};
