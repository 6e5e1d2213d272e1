//! The labels of a series as text: `name{label="value"}`, as in series descriptions.

use super::{Failure, Parsed, Parser, error_at, selector};
use crate::model::{Labels, LabelsBuilder};
use crate::promql::ast::Span;
use crate::promql::error::ParseError;
use crate::promql::features::Features;
use crate::promql::lexer::TokenKind;

/// What errors call the part in braces.
const CONTEXT: &str = "label set";

/// Parses the labels of one series. Without a name and without braces it has none.
///
/// # Errors
/// The text is no label set, or one that no series may have.
pub fn parse_metric(text: &str) -> Result<Labels, ParseError> {
    let features = Features::default();
    let mut parser = Parser::new(text, &features)?;
    let builder = parser.finish(Parser::metric)?;
    builder.build().map_err(|error| error_at(text, Span::default(), error.to_string()))
}

impl Parser<'_> {
    fn metric(&mut self) -> Parsed<LabelsBuilder> {
        let first = self.token();
        let mut labels = LabelsBuilder::new();
        let named = selector::is_metric_name(first.kind);
        if named {
            self.advance();
        }
        if self.eat(TokenKind::LeftBrace) {
            self.label_set(&mut labels)?;
        }
        if named {
            labels.set("__name__", self.slice(first));
        }
        Ok(labels)
    }

    fn label_set(&mut self, labels: &mut LabelsBuilder) -> Parsed<()> {
        while !self.eat(TokenKind::RightBrace) {
            self.label(labels)?;
            if !self.eat(TokenKind::Comma) {
                let close = self.expect(TokenKind::RightBrace);
                self.within(CONTEXT, "\",\" or \"}\"", close)?;
                break;
            }
        }
        Ok(())
    }

    fn label(&mut self, labels: &mut LabelsBuilder) -> Parsed<()> {
        let token = self.token();
        let quoted = token.kind == TokenKind::String;
        if !quoted && token.kind != TokenKind::Identifier {
            return self.within(CONTEXT, "identifier or \"}\"", Err(Failure::Unexpected));
        }
        let name = if quoted { self.unquoted(token)? } else { self.slice(token).to_owned() };
        self.advance();
        if !self.eat(TokenKind::Equal) {
            if quoted {
                labels.set("__name__", &name);
                return Ok(());
            }
            return self.within(CONTEXT, "\"=\"", Err(Failure::Unexpected));
        }
        let value = self.expect(TokenKind::String);
        let value = self.within(CONTEXT, "string", value)?;
        labels.set(&name, &self.unquoted(value)?);
        Ok(())
    }
}
