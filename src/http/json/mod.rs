//! JSON answers, written straight into chunks of bytes: no tree of values in between.
//!
//! In: values of the model and of PromQL. Out: chunks ready for the wire. Never here: what an answer
//! means, or which status it has.

pub mod ast;
pub mod number;
pub mod results;
mod time_texts;
mod writer;

pub use writer::JsonWriter;
