//! The door to the parser.

use super::ast::{Expr, Span};
use super::error::ParseError;
use super::features::Features;

/// Parses and type-checks `text`.
///
/// # Errors
/// The text is not an expression.
pub fn parse(_text: &str, _features: &Features) -> Result<Expr, ParseError> {
    let message = "no parser in this build".to_owned();
    Err(ParseError { message, span: Span::default(), line: 0, column: 0 })
}
