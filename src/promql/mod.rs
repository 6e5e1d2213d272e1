//! PromQL as Prometheus 3.14 defines it: text to syntax tree, syntax tree and series to values.
//!
//! In: query text and a [`crate::model::SeriesSource`]. Out: a [`Value`] with annotations. Never
//! here: async, HTTP, storage, the clock; a query's time always comes with it.

pub mod annotations;
pub mod ast;
pub mod check;
mod deep;
pub mod engine;
pub mod error;
mod eval;
pub mod features;
pub mod functions;
pub mod lexer;
pub mod memory;
pub mod parser;
pub mod printer;
pub mod reference_page;
pub mod script;
pub mod series_desc;
pub mod value;

pub use annotations::Annotations;
pub use engine::{Engine, EngineOptions, QueryOptions, QueryOutput, QueryStats};
pub use error::{ParseError, QueryError};
pub use eval::explain::Explanation;
pub use features::Features;
pub use parser::{parse, parse_metric_selector};
pub use printer::pretty;
pub use value::{MatrixSeries, PointValue, Value, VectorSample};
