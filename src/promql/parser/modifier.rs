//! What may follow an expression: `[5m]`, `[1h:1m]`, `offset`, `@`, `anchored`, `smoothed`.

use super::{Node, Parsed, Parser};
use crate::model::Timestamp;
use crate::promql::ast::{
    AtModifier, DurationSpec, EdgeMode, Expr, MatrixSelector, Span, Subquery,
};
use crate::promql::lexer::{Keyword, TokenKind};

/// What errors call a duration.
const DURATION: &str = "number, duration, step(), or range()";

impl Parser<'_> {
    /// `node` with all modifiers that follow it.
    pub(super) fn modified(&mut self, mut node: Node) -> Parsed<Node> {
        loop {
            match self.kind() {
                TokenKind::LeftBracket => node = self.brackets(node)?,
                TokenKind::Keyword(Keyword::Offset) => self.offset(&mut node.expr)?,
                TokenKind::At => self.at(&mut node.expr)?,
                TokenKind::Keyword(Keyword::Anchored) => {
                    self.edge(&mut node.expr, EdgeMode::Anchored)?;
                }
                TokenKind::Keyword(Keyword::Smoothed) => {
                    self.edge(&mut node.expr, EdgeMode::Smoothed)?;
                }
                _ => return Ok(node),
            }
        }
    }

    fn brackets(&mut self, node: Node) -> Parsed<Node> {
        let open = self.advance().span.start;
        let range = self.positive_duration();
        let range = self.within("subquery or range selector", DURATION, range)?;
        if self.eat(TokenKind::RightBracket) {
            return self.matrix_selector(node, range, open);
        }
        let colon = self.expect(TokenKind::Colon);
        self.within("subquery or range", "\":\" or \"]\"", colon)?;
        let step = self.subquery_step()?;
        let span = self.span_from(node.expr.span().start);
        let offset = DurationSpec::Fixed(0);
        let subquery = Subquery { expr: node.expr, range, step, offset, at: None, span };
        self.around(Expr::Subquery(Box::new(subquery)), node.depth)
    }

    fn subquery_step(&mut self) -> Parsed<Option<DurationSpec>> {
        const CONTEXT: &str = "subquery selector";
        if self.eat(TokenKind::RightBracket) {
            return Ok(None);
        }
        let step = self.positive_duration();
        let expected = "number, duration, step(), range(), or \"]\"";
        let step = self.within(CONTEXT, expected, step)?;
        let close = self.expect(TokenKind::RightBracket);
        self.within(CONTEXT, "\"]\"", close)?;
        Ok(Some(step))
    }

    fn matrix_selector(&self, node: Node, range: DurationSpec, open: u32) -> Parsed<Node> {
        let brackets = self.span_from(open);
        let Expr::VectorSelector(vector) = node.expr else {
            return self.error(brackets, "ranges only allowed for vector selectors");
        };
        if vector.offset != DurationSpec::Fixed(0) {
            return self.error(brackets, "no offset modifiers allowed before range");
        }
        if vector.at.is_some() {
            return self.error(brackets, "no @ modifiers allowed before range");
        }
        let span = self.span_from(vector.span.start);
        Ok(Node::leaf(Expr::MatrixSelector(MatrixSelector { vector, range, span })))
    }

    fn offset(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.advance();
        let duration = self.offset_duration();
        let duration = self.within("offset", DURATION, duration)?;
        let (before, end) = (expr.span(), self.last_end());
        let Some(target) = target(expr) else {
            let message = "offset modifier must be preceded by an instant vector selector or \
                           range vector selector or a subquery";
            return self.error(before, message);
        };
        if *target.offset != DurationSpec::Fixed(0) {
            return self.error(before, "offset may not be set multiple times");
        }
        *target.offset = duration;
        target.span.end = end;
        Ok(())
    }

    fn at(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.advance();
        let before = expr.span();
        let time = self.at_time(before);
        let time = self.within("@", "timestamp", time)?;
        let end = self.last_end();
        let Some(target) = target(expr) else {
            let message = "@ modifier must be preceded by an instant vector selector or \
                           range vector selector or a subquery";
            return self.error(before, message);
        };
        if target.at.is_some() {
            return self.error(before, "@ <timestamp> may not be set multiple times");
        }
        *target.at = Some(time);
        target.span.end = end;
        Ok(())
    }

    /// The time behind `@`; errors about it point at `before`, what the modifier belongs to.
    fn at_time(&mut self, before: Span) -> Parsed<AtModifier> {
        let preprocessor = match self.kind() {
            TokenKind::Keyword(Keyword::Start) => Some(AtModifier::Start),
            TokenKind::Keyword(Keyword::End) => Some(AtModifier::End),
            _ => None,
        };
        if let Some(time) = preprocessor {
            self.advance();
            self.empty_parens()?;
            return Ok(time);
        }
        let negative = self.sign() == Some(true);
        let number = self.number_literal()?.value;
        let seconds = if negative { -number } else { number };
        let outside = seconds >= i64::MAX as f64 || seconds <= i64::MIN as f64;
        if outside || seconds.is_nan() {
            let shown = go_fixed(seconds);
            return self.error(before, format!("timestamp out of bounds for @ modifier: {shown}"));
        }
        Ok(AtModifier::Time(Timestamp((seconds * 1000.0).round() as i64)))
    }

    fn edge(&mut self, expr: &mut Expr, edge: EdgeMode) -> Parsed<()> {
        let word = if edge == EdgeMode::Anchored { "anchored" } else { "smoothed" };
        let before = expr.span();
        let fail = |parser: &Self, what: &str| parser.error(before, format!("{word} {what}"));
        if !self.features.extended_range_selectors {
            return fail(self, "modifier is experimental and not enabled");
        }
        self.advance();
        let vector = match expr {
            Expr::VectorSelector(vector) => vector,
            Expr::MatrixSelector(matrix) => &mut matrix.vector,
            Expr::Subquery(_) => return fail(self, "modifier is not supported for subqueries"),
            _ => return fail(self, "modifier not implemented"),
        };
        if vector.edge != EdgeMode::Plain && vector.edge != edge {
            return self.error(before, "anchored and smoothed modifiers cannot be used together");
        }
        vector.edge = edge;
        Ok(())
    }
}

/// The parts of a selector or subquery that `offset` and `@` set.
struct Target<'a> {
    offset: &'a mut DurationSpec,
    at: &'a mut Option<AtModifier>,
    span: &'a mut Span,
}

fn target(expr: &mut Expr) -> Option<Target<'_>> {
    match expr {
        Expr::VectorSelector(vector) => {
            Some(Target { offset: &mut vector.offset, at: &mut vector.at, span: &mut vector.span })
        }
        Expr::MatrixSelector(matrix) => Some(Target {
            offset: &mut matrix.vector.offset,
            at: &mut matrix.vector.at,
            span: &mut matrix.span,
        }),
        Expr::Subquery(subquery) => Some(Target {
            offset: &mut subquery.offset,
            at: &mut subquery.at,
            span: &mut subquery.span,
        }),
        _ => None,
    }
}

/// A float with six decimals, infinities signed.
fn go_fixed(value: f64) -> String {
    if value.is_infinite() {
        if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() }
    } else {
        format!("{value:.6}")
    }
}
