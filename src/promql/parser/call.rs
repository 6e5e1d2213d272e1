//! Function calls and aggregations.

use super::{Failure, Node, Parsed, Parser};
use crate::model::labels::Quoted;
use crate::promql::ast::{Aggregate, AggregateOp, Call, Expr, Span};
use crate::promql::functions::{self, Function};
use crate::promql::lexer::{Keyword, Token, TokenKind};

/// Arguments and the depth of the deepest.
struct Args {
    exprs: Vec<Expr>,
    depth: usize,
}

/// `by (...)` or `without (...)`.
#[derive(Default)]
struct Grouping {
    labels: Vec<String>,
    without: bool,
}

impl Parser<'_> {
    /// Whether the current word is the name of a called function.
    pub(super) fn call_follows(&self) -> bool {
        let callable = match self.kind() {
            TokenKind::Identifier => true,
            TokenKind::Keyword(keyword) => keyword.is_preprocessor(),
            _ => false,
        };
        callable && self.next_kind() == TokenKind::LeftParen
    }

    /// Whether the current aggregator aggregates, instead of being a metric's name.
    pub(super) fn aggregation_follows(&self) -> bool {
        matches!(
            self.next_kind(),
            TokenKind::LeftParen | TokenKind::Keyword(Keyword::By | Keyword::Without)
        )
    }

    pub(super) fn call(&mut self) -> Parsed<Node> {
        let name = self.advance();
        let args = self.args()?;
        let function = self.function(name)?;
        let span = self.span_from(name.span.start);
        self.around(Expr::Call(Call { function, args: args.exprs, span }), args.depth)
    }

    fn function(&self, token: Token) -> Parsed<&'static Function> {
        let name = self.slice(token);
        let Some(function) = functions::find(name) else {
            return self.error(token.span, format!("unknown function with name {}", Quoted(name)));
        };
        if function.experimental && !self.features.experimental_functions {
            return self.error(token.span, format!("function {} is not enabled", Quoted(name)));
        }
        Ok(function)
    }

    /// `(a, b)`; no trailing comma.
    fn args(&mut self) -> Parsed<Args> {
        self.expect(TokenKind::LeftParen)?;
        let mut args = Args { exprs: Vec::new(), depth: 0 };
        if self.eat(TokenKind::RightParen) {
            return Ok(args);
        }
        loop {
            let arg = self.nested(Parser::expression)?;
            args.depth = args.depth.max(arg.depth);
            args.exprs.push(arg.expr);
            if self.kind() != TokenKind::Comma {
                self.expect(TokenKind::RightParen)?;
                return Ok(args);
            }
            let comma = self.advance();
            if self.kind() != TokenKind::Error && !self.starts_expression() {
                let message = "trailing commas not allowed in function call args";
                return self.error(comma.span, message);
            }
        }
    }

    pub(super) fn aggregate(&mut self, op: AggregateOp) -> Parsed<Node> {
        let start = self.advance().span.start;
        let parts = self.aggregate_parts();
        let (grouping, args) = self.within("aggregation", "", parts)?;
        let span = self.span_from(start);
        let depth = args.depth;
        let (param, expr) = self.aggregate_args(op, args.exprs, span)?;
        let Grouping { labels, without } = grouping;
        let aggregate = Aggregate { op, expr, param, grouping: labels, without, span };
        self.around(Expr::Aggregate(Box::new(aggregate)), depth)
    }

    fn aggregate_parts(&mut self) -> Parsed<(Grouping, Args)> {
        if let Some(grouping) = self.grouping()? {
            return Ok((grouping, self.args()?));
        }
        let args = self.args()?;
        Ok((self.grouping()?.unwrap_or_default(), args))
    }

    fn grouping(&mut self) -> Parsed<Option<Grouping>> {
        let without = match self.kind() {
            TokenKind::Keyword(Keyword::By) => false,
            TokenKind::Keyword(Keyword::Without) => true,
            _ => return Ok(None),
        };
        self.advance();
        Ok(Some(Grouping { labels: self.grouping_labels()?, without }))
    }

    /// Parameter and vector of an aggregation.
    fn aggregate_args(
        &self,
        op: AggregateOp,
        args: Vec<Expr>,
        span: Span,
    ) -> Parsed<(Option<Expr>, Expr)> {
        if args.is_empty() {
            return self.error(span, "no arguments for aggregate expression provided");
        }
        let experimental = matches!(op, AggregateOp::Limitk | AggregateOp::LimitRatio);
        if experimental && !self.features.experimental_functions {
            let message = format!(
                "{}() is experimental and must be enabled with \
                 --enable-feature=promql-experimental-functions",
                op.as_str()
            );
            return self.error(span, message);
        }
        let (wanted, got) = (1 + usize::from(op.has_parameter()), args.len());
        let mut args = args.into_iter();
        match (args.next(), args.next(), args.next()) {
            (param, Some(expr), None) if wanted == 2 => Ok((param, expr)),
            (Some(expr), None, None) if wanted == 1 => Ok((None, expr)),
            _ => {
                let message = format!(
                    "wrong number of arguments for aggregate expression provided, \
                     expected {wanted}, got {got}"
                );
                self.error(span, message)
            }
        }
    }

    /// A function call's or preprocessor's empty parentheses.
    pub(super) fn empty_parens(&mut self) -> Parsed<()> {
        self.expect(TokenKind::LeftParen)?;
        match self.expect(TokenKind::RightParen) {
            Ok(_) => Ok(()),
            Err(_) => Err(Failure::Unexpected),
        }
    }
}
