//! Durations behind `offset` and in brackets: numbers, and arithmetic with them.

use super::{Failure, Parsed, Parser};
use crate::promql::ast::{BinaryOp, DurationExpr, DurationSpec, NumberLiteral, Span};
use crate::promql::lexer::{Keyword, Token, TokenKind};

/// Longest duration in seconds: what 64 bits of nanoseconds hold (about 292 years).
const SECONDS_MAX: f64 = i64::MAX as f64 / 1e9;

/// Precedences, as in expressions.
const WEAKEST: u8 = 4;
const POWER: u8 = 6;

const fn precedence(op: BinaryOp) -> Option<u8> {
    match op {
        BinaryOp::Add | BinaryOp::Sub => Some(WEAKEST),
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod => Some(5),
        BinaryOp::Pow => Some(POWER),
        _ => None,
    }
}

/// A duration expression and how deeply nested it is.
struct Part {
    expr: DurationExpr,
    depth: usize,
}

impl Parser<'_> {
    /// The length of a range or a step; a plain number must be positive.
    pub(super) fn positive_duration(&mut self) -> Parsed<DurationSpec> {
        let expr = self.duration(WEAKEST)?.expr;
        if let DurationExpr::Number(number) = &expr
            && number.value <= 0.0
        {
            return self.error(number.span, "duration must be greater than 0");
        }
        Ok(fixed_if_number(expr))
    }

    /// What follows `offset`. Operators belong to the expression around it, unless the duration
    /// starts with a parenthesis: `a offset 5m - b` is a difference of two vectors.
    pub(super) fn offset_duration(&mut self) -> Parsed<DurationSpec> {
        let after_sign = match self.kind() {
            TokenKind::Operator(BinaryOp::Add | BinaryOp::Sub) => self.next_kind(),
            TokenKind::LeftParen => return Ok(fixed_if_number(self.duration(WEAKEST)?.expr)),
            kind => kind,
        };
        let sign = self.token();
        let Some(negative) = self.sign() else {
            return Ok(fixed_if_number(self.duration_operand()?.expr));
        };
        let operand = match after_sign {
            TokenKind::Operator(_) => self.nested(|parser| parser.duration(WEAKEST))?,
            _ => self.duration_operand()?,
        };
        Ok(fixed_if_number(self.signed(sign, negative, operand)?.expr))
    }

    /// A duration whose operators bind at least as strongly as `weakest`.
    fn duration(&mut self, weakest: u8) -> Parsed<Part> {
        let mut lhs = self.signed_duration()?;
        while let TokenKind::Operator(op) = self.kind() {
            let Some(strength) = precedence(op).filter(|strength| *strength >= weakest) else {
                break;
            };
            let operator = self.advance();
            let stronger = if strength == POWER { POWER } else { strength + 1 };
            let rhs = self.nested(|parser| parser.duration(stronger))?;
            self.check_divisor(op, operator, &rhs.expr)?;
            let span = Span { start: lhs.expr.span().start, end: rhs.expr.span().end };
            let depth = lhs.depth.max(rhs.depth);
            let (left, right) = (Box::new(lhs.expr), Box::new(rhs.expr));
            lhs = self.wrap(DurationExpr::Binary { op, lhs: left, rhs: right, span }, depth)?;
        }
        Ok(lhs)
    }

    fn check_divisor(&self, op: BinaryOp, operator: Token, divisor: &DurationExpr) -> Parsed<()> {
        let zero = matches!(divisor, DurationExpr::Number(number) if number.value == 0.0);
        match op {
            BinaryOp::Div if zero => self.error(operator.span, "division by zero"),
            BinaryOp::Mod if zero => self.error(operator.span, "modulo by zero"),
            _ => Ok(()),
        }
    }

    fn wrap(&self, expr: DurationExpr, inner: usize) -> Parsed<Part> {
        self.check_depth(inner)?;
        Ok(Part { expr, depth: inner + 1 })
    }

    fn signed_duration(&mut self) -> Parsed<Part> {
        let sign = self.token();
        match self.sign() {
            None => self.duration_operand(),
            Some(negative) => {
                let operand = self.nested(|parser| parser.duration(POWER))?;
                self.signed(sign, negative, operand)
            }
        }
    }

    /// Applies a sign: a number takes it in, a plus before anything else says nothing.
    fn signed(&self, sign: Token, negative: bool, operand: Part) -> Parsed<Part> {
        let end = operand.expr.span().end;
        let span = Span { start: sign.span.start, end };
        match operand.expr {
            DurationExpr::Number(mut number) => {
                number.value = if negative { -number.value } else { number.value };
                number.span = span;
                Ok(Part { expr: DurationExpr::Number(number), depth: operand.depth })
            }
            expr if !negative => Ok(Part { expr, depth: operand.depth }),
            expr => {
                let operand_box = Box::new(expr);
                let unary = DurationExpr::Unary { negative, operand: operand_box, span };
                self.wrap(unary, operand.depth)
            }
        }
    }

    /// A number, `step()`, `range()`, `min_of(...)`, `max_of(...)` or a parenthesis.
    fn duration_operand(&mut self) -> Parsed<Part> {
        let token = self.token();
        let start = token.span.start;
        match token.kind {
            TokenKind::Keyword(Keyword::Step) => {
                self.advance();
                self.empty_parens()?;
                Ok(Part { expr: DurationExpr::Step(self.span_from(start)), depth: 1 })
            }
            TokenKind::Keyword(Keyword::Range) => {
                self.advance();
                self.empty_parens()?;
                Ok(Part { expr: DurationExpr::Range(self.span_from(start)), depth: 1 })
            }
            TokenKind::Keyword(Keyword::MaxOf) => self.pick(true),
            TokenKind::Keyword(Keyword::MinOf) => self.pick(false),
            TokenKind::LeftParen => {
                self.advance();
                let inner = self.nested(|parser| parser.duration(WEAKEST))?;
                self.expect(TokenKind::RightParen)?;
                let span = self.span_from(start);
                self.wrap(DurationExpr::Paren(Box::new(inner.expr), span), inner.depth)
            }
            _ => Ok(Part { expr: DurationExpr::Number(self.duration_literal()?), depth: 1 }),
        }
    }

    fn pick(&mut self, max: bool) -> Parsed<Part> {
        let start = self.advance().span.start;
        self.expect(TokenKind::LeftParen)?;
        let lhs = self.nested(|parser| parser.duration(WEAKEST))?;
        self.expect(TokenKind::Comma)?;
        let rhs = self.nested(|parser| parser.duration(WEAKEST))?;
        self.expect(TokenKind::RightParen)?;
        let depth = lhs.depth.max(rhs.depth);
        let span = self.span_from(start);
        let (lhs, rhs) = (Box::new(lhs.expr), Box::new(rhs.expr));
        self.wrap(DurationExpr::Pick { max, lhs, rhs, span }, depth)
    }

    fn duration_literal(&mut self) -> Parsed<NumberLiteral> {
        if !matches!(self.kind(), TokenKind::Number | TokenKind::Duration) {
            return Err(Failure::Unexpected);
        }
        let number = self.number_literal()?;
        if number.value.abs() > SECONDS_MAX {
            return self.error(number.span, "duration out of range");
        }
        Ok(number)
    }
}

/// A plain number becomes fixed milliseconds, parts of a millisecond cut off.
fn fixed_if_number(expr: DurationExpr) -> DurationSpec {
    match expr {
        DurationExpr::Number(number) => {
            let nanoseconds = (number.value * 1e9).round();
            DurationSpec::Fixed((nanoseconds / 1e6) as i64)
        }
        other => DurationSpec::Expr(Box::new(other)),
    }
}
