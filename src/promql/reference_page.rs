//! `docs/promql.md`: what the language has, made from the tables that parser and evaluator read.
//!
//! In: the tables of functions, aggregations and operators. Out: the page. Never here: what a
//! function means; that is for Prometheus' own documentation.

use std::fmt::Write as _;

use super::ast::{AggregateOp, BinaryOp, ValueType};
use super::functions::{FUNCTIONS, Function};

/// What stands before the tables.
const HEAD: &str = include_str!("reference_page/head.md");
/// What stands after them.
const TAIL: &str = include_str!("reference_page/tail.md");

/// The page.
pub fn page() -> String {
    let experimental = FUNCTIONS.iter().filter(|function| function.experimental).count();
    let mut page = HEAD.to_owned();
    let count = FUNCTIONS.len();
    let _ = write!(page, "\n## Functions\n\nThere are {count}, {experimental} of them ");
    page.push_str("experimental.\n\n| function | gives | |\n|---|---|---|\n");
    for function in FUNCTIONS {
        let mark = if function.experimental { "experimental" } else { "" };
        let gives = function.returns.documented();
        let _ = writeln!(page, "| `{}` | {gives} | {mark} |", signature(function));
    }
    page.push_str("\n## Aggregations\n\n| aggregation | |\n|---|---|\n");
    for op in AggregateOp::ALL {
        let mark = if op.is_experimental() { "experimental" } else { "" };
        let _ = writeln!(page, "| `{}({})` | {mark} |", op.as_str(), parameters(op));
    }
    page.push_str("\n## Binary operators\n\n| operator | kind |\n|---|---|\n");
    for op in BinaryOp::ALL {
        let _ = writeln!(page, "| `{}` | {} |", op.as_str(), kind(op));
    }
    page.push_str(TAIL);
    page
}

/// `clamp(instant vector, scalar, scalar)`; what may be left out is in brackets.
fn signature(function: &Function) -> String {
    let listed = function.args.len().min(function.args_max);
    let mut text = format!("{}(", function.name);
    for (at, arg) in function.args[..listed].iter().enumerate() {
        let optional = at >= function.args_min;
        text.push_str(if optional { " [" } else { "" });
        text.push_str(if at > 0 { ", " } else { "" });
        text.push_str(arg.documented());
        text.push_str(if optional { "]" } else { "" });
    }
    if function.args_max > listed {
        text.push_str(", ...");
    }
    text.push(')');
    text.replace("( [", "([")
}

fn parameters(op: AggregateOp) -> String {
    let parameter = match op {
        AggregateOp::CountValues => ValueType::String,
        _ => ValueType::Scalar,
    };
    match op.has_parameter() {
        true => format!("{}, {}", parameter.documented(), ValueType::Vector.documented()),
        false => ValueType::Vector.documented().to_owned(),
    }
}

fn kind(op: BinaryOp) -> &'static str {
    match op {
        _ if op.is_comparison() => "comparison",
        _ if op.is_set() => "set",
        BinaryOp::TrimUpper | BinaryOp::TrimLower => "trimming of native histograms",
        _ => "arithmetic",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/promql.md");
        if std::env::var_os("TIDEWATCH_UPDATE_DOCS").is_some() {
            std::fs::write(path, page()).expect("written");
        }
        let text = std::fs::read_to_string(path).expect("the page is there");
        assert!(text == page(), "docs/promql.md is old: set TIDEWATCH_UPDATE_DOCS=1 once");
    }

    #[test]
    fn arguments_that_may_be_left_out_are_in_brackets() {
        let of = |name| signature(super::super::functions::find(name).expect("known"));
        assert_eq!(of("rate"), "rate(range vector)");
        assert_eq!(of("hour"), "hour([instant vector])");
        assert_eq!(of("round"), "round(instant vector [, scalar])");
        assert_eq!(of("time"), "time()");
        assert!(of("label_join").ends_with("string [, string], ...)"), "{}", of("label_join"));
    }
}
