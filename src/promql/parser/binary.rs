//! Binary expressions and their modifiers: precedence climbing.

use super::{Failure, Node, Parsed, Parser};
use crate::promql::ast::{Binary, BinaryOp, Cardinality, Expr, Span, VectorMatching};
use crate::promql::lexer::{Keyword, TokenKind};

/// The weakest precedence, that of `or`.
const WEAKEST: u8 = 1;
/// The precedence of `^`, the strongest and the only one that groups to the right.
pub(super) const POWER: u8 = 6;

/// How strongly an operator binds.
const fn precedence(op: BinaryOp) -> u8 {
    use BinaryOp::{
        Add, And, Atan2, Div, Eq, Ge, Gt, Le, Lt, Mod, Mul, Ne, Or, Pow, Sub, TrimLower, TrimUpper,
        Unless,
    };
    match op {
        Or => WEAKEST,
        And | Unless => 2,
        Eq | Ne | Lt | Le | Gt | Ge | TrimUpper | TrimLower => 3,
        Add | Sub => 4,
        Mul | Div | Mod | Atan2 => 5,
        Pow => POWER,
    }
}

/// What stands between an operator and its right operand.
struct Modifiers {
    return_bool: bool,
    matching: VectorMatching,
}

impl Parser<'_> {
    /// Any expression.
    pub(super) fn expression(&mut self) -> Parsed<Node> {
        self.binary(WEAKEST)
    }

    /// An expression whose operators bind at least as strongly as `weakest`.
    pub(super) fn binary(&mut self, weakest: u8) -> Parsed<Node> {
        let primary = self.primary()?;
        let mut lhs = self.modified(primary)?;
        while let TokenKind::Operator(op) = self.kind() {
            if precedence(op) < weakest {
                break;
            }
            self.advance();
            let modifiers = self.modifiers()?;
            let stronger = if op == BinaryOp::Pow { POWER } else { precedence(op) + 1 };
            let rhs = self.nested(|parser| parser.binary(stronger))?;
            lhs = self.join(op, lhs, modifiers, rhs)?;
        }
        Ok(lhs)
    }

    fn join(&self, op: BinaryOp, lhs: Node, modifiers: Modifiers, rhs: Node) -> Parsed<Node> {
        let span = Span { start: lhs.expr.span().start, end: rhs.expr.span().end };
        let Modifiers { return_bool, matching } = modifiers;
        let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
        if fills && !self.features.binop_fill_modifiers {
            return self.error(span, "binop fill modifiers are experimental and not enabled");
        }
        let depth = lhs.depth.max(rhs.depth);
        let (lhs, rhs, matching) = (lhs.expr, rhs.expr, Some(matching));
        let binary = Binary { op, lhs, rhs, return_bool, matching, span };
        self.around(Expr::Binary(Box::new(binary)), depth)
    }

    /// `bool`, `on` or `ignoring`, `group_left` or `group_right`, `fill...`: all optional.
    fn modifiers(&mut self) -> Parsed<Modifiers> {
        let return_bool = self.eat_keyword(Keyword::Bool);
        let mut matching = VectorMatching::default();
        let on = self.kind() == TokenKind::Keyword(Keyword::On);
        if on || self.kind() == TokenKind::Keyword(Keyword::Ignoring) {
            self.advance();
            matching.on = on;
            matching.labels = self.grouping_labels()?;
            self.group_modifier(&mut matching)?;
        }
        self.fill_modifiers(&mut matching)?;
        Ok(Modifiers { return_bool, matching })
    }

    fn group_modifier(&mut self, matching: &mut VectorMatching) -> Parsed<()> {
        matching.card = match self.kind() {
            TokenKind::Keyword(Keyword::GroupLeft) => Cardinality::ManyToOne,
            TokenKind::Keyword(Keyword::GroupRight) => Cardinality::OneToMany,
            _ => return Ok(()),
        };
        self.advance();
        if self.kind() == TokenKind::LeftParen {
            matching.include = self.grouping_labels()?;
        }
        Ok(())
    }

    fn fill_modifiers(&mut self, matching: &mut VectorMatching) -> Parsed<()> {
        if self.eat_keyword(Keyword::Fill) {
            matching.fill_left = Some(self.fill_value()?);
            matching.fill_right = matching.fill_left;
        } else if self.eat_keyword(Keyword::FillLeft) {
            matching.fill_left = Some(self.fill_value()?);
            if self.eat_keyword(Keyword::FillRight) {
                matching.fill_right = Some(self.fill_value()?);
            }
        } else if self.eat_keyword(Keyword::FillRight) {
            matching.fill_right = Some(self.fill_value()?);
            if self.eat_keyword(Keyword::FillLeft) {
                matching.fill_left = Some(self.fill_value()?);
            }
        }
        Ok(())
    }

    fn fill_value(&mut self) -> Parsed<f64> {
        self.expect(TokenKind::LeftParen)?;
        let negative = self.sign();
        let value = self.number_literal()?.value;
        self.expect(TokenKind::RightParen)?;
        Ok(if negative == Some(true) { -value } else { value })
    }

    /// Reads a sign, if there is one; whether it is minus.
    pub(super) fn sign(&mut self) -> Option<bool> {
        let negative = match self.kind() {
            TokenKind::Operator(BinaryOp::Add) => false,
            TokenKind::Operator(BinaryOp::Sub) => true,
            _ => return None,
        };
        self.advance();
        Some(negative)
    }

    /// `(a, "b", c)`, a trailing comma allowed.
    pub(super) fn grouping_labels(&mut self) -> Parsed<Vec<String>> {
        const CONTEXT: &str = "grouping opts";
        let open = self.expect(TokenKind::LeftParen);
        self.within(CONTEXT, "\"(\"", open)?;
        let mut labels = Vec::new();
        while !self.eat(TokenKind::RightParen) {
            let label = self.grouping_label();
            labels.push(self.within(CONTEXT, "label", label)?);
            if !self.eat(TokenKind::Comma) {
                let close = self.expect(TokenKind::RightParen);
                self.within(CONTEXT, "\",\" or \")\"", close)?;
                break;
            }
        }
        Ok(labels)
    }

    fn grouping_label(&mut self) -> Parsed<String> {
        let token = self.token();
        let name = match token.kind {
            TokenKind::String => self.unquoted(token)?,
            kind if is_grouping_label(kind) => self.slice(token).to_owned(),
            _ => return Err(Failure::Unexpected),
        };
        if name.is_empty() {
            return self.error(token.span, "invalid label name for grouping: \"\"");
        }
        self.advance();
        Ok(name)
    }
}

/// Whether the token can be a label in `by (...)` without quotes.
fn is_grouping_label(kind: TokenKind) -> bool {
    use BinaryOp::{And, Atan2, Or, Unless};
    match kind {
        TokenKind::Identifier
        | TokenKind::MetricIdentifier
        | TokenKind::Aggregator(_)
        | TokenKind::Operator(And | Or | Unless | Atan2) => true,
        TokenKind::Keyword(keyword) => keyword != Keyword::Without,
        _ => false,
    }
}
