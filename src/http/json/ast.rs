//! The syntax tree as JSON, as `parse_query` answers it: keys and values of Prometheus'
//! `web/api/v1/translate_ast.go`.

use crate::model::Matcher;
use crate::promql::ast::{
    Aggregate, AtModifier, Binary, Call, Cardinality, DurationExpr, DurationSpec, EdgeMode, Expr,
    NumberLiteral, Subquery, ValueType, VectorMatching, VectorSelector,
};

use super::number;
use super::writer::JsonWriter;

/// Writes an expression. The recursion is as deep as the expression is nested, which the parser bounds.
pub fn write_expr(out: &mut JsonWriter, expr: &Expr) {
    // A chain of operations is opened from the outermost on, and closed again from the innermost on.
    let (expr, operations) = expr.left_side();
    operations.iter().rev().for_each(|binary| begin_binary(out, binary));
    write_operand(out, expr);
    operations.into_iter().for_each(|binary| end_binary(out, binary));
}

fn write_operand(out: &mut JsonWriter, expr: &Expr) {
    out.begin_object();
    match expr {
        Expr::Number(e) => {
            out.string_field("type", "numberLiteral");
            out.string_field("val", &plain(e.value));
        }
        Expr::String(e) => {
            out.string_field("type", "stringLiteral");
            out.string_field("val", &e.value);
        }
        Expr::VectorSelector(e) => {
            out.string_field("type", "vectorSelector");
            write_selector(out, e);
        }
        Expr::MatrixSelector(e) => {
            out.string_field("type", "matrixSelector");
            write_duration(out, "range", "rangeExpr", Some(&e.range));
            write_selector(out, &e.vector);
        }
        Expr::Subquery(e) => write_subquery(out, e),
        Expr::Call(e) => write_call(out, e),
        // Written by the caller.
        Expr::Binary(_) => {}
        Expr::Unary(e) => {
            out.string_field("type", "unaryExpr");
            out.string_field("op", if e.negative { "-" } else { "+" });
            write_field(out, "expr", &e.expr);
        }
        Expr::Aggregate(e) => write_aggregate(out, e),
        Expr::Paren(e) => {
            out.string_field("type", "parenExpr");
            write_field(out, "expr", &e.expr);
        }
    }
    out.end_object();
}

fn write_field(out: &mut JsonWriter, key: &str, expr: &Expr) {
    out.key(key);
    write_expr(out, expr);
}

fn write_aggregate(out: &mut JsonWriter, e: &Aggregate) {
    out.string_field("type", "aggregation");
    out.string_field("op", e.op.as_str());
    write_field(out, "expr", &e.expr);
    out.key("param");
    match &e.param {
        Some(param) => write_expr(out, param),
        None => out.null(),
    }
    write_names(out, "grouping", &e.grouping);
    out.key("without");
    out.boolean(e.without);
}

/// Up to the left operand.
fn begin_binary(out: &mut JsonWriter, e: &Binary) {
    out.begin_object();
    out.string_field("type", "binaryExpr");
    out.string_field("op", e.op.as_str());
    out.key("lhs");
}

/// From the right operand on.
fn end_binary(out: &mut JsonWriter, e: &Binary) {
    write_field(out, "rhs", &e.rhs);
    out.key("matching");
    match &e.matching {
        Some(matching) => write_matching(out, matching),
        None => out.null(),
    }
    out.key("bool");
    out.boolean(e.return_bool);
    out.end_object();
}

fn write_matching(out: &mut JsonWriter, matching: &VectorMatching) {
    let card = match matching.card {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    out.begin_object();
    out.string_field("card", card);
    write_names(out, "labels", &matching.labels);
    out.key("on");
    out.boolean(matching.on);
    write_names(out, "include", &matching.include);
    out.key("fillValues");
    out.begin_object();
    for (key, value) in [("lhs", matching.fill_left), ("rhs", matching.fill_right)] {
        out.key(key);
        match value {
            Some(value) => out.float(value),
            None => out.null(),
        }
    }
    out.end_object();
    out.end_object();
}

/// The function's signature; `variadic` counts the optional arguments, -1 for any number.
fn write_call(out: &mut JsonWriter, e: &Call) {
    let function = e.function;
    let variadic = match function.args_max {
        usize::MAX => -1,
        most => (most - function.args_min) as i64,
    };
    out.string_field("type", "call");
    out.key("func");
    out.begin_object();
    out.string_field("name", function.name);
    out.key("argTypes");
    out.strings(function.args.iter().map(|argument| type_name(*argument)));
    out.key("variadic");
    out.integer(variadic);
    out.string_field("returnType", type_name(function.returns));
    out.end_object();
    out.key("args");
    out.begin_array();
    e.args.iter().for_each(|argument| write_expr(out, argument));
    out.end_array();
}

fn write_subquery(out: &mut JsonWriter, e: &Subquery) {
    out.string_field("type", "subquery");
    write_field(out, "expr", &e.expr);
    write_duration(out, "range", "rangeExpr", Some(&e.range));
    write_duration(out, "offset", "offsetExpr", Some(&e.offset));
    write_duration(out, "step", "stepExpr", e.step.as_ref());
    write_at(out, e.at);
}

fn write_selector(out: &mut JsonWriter, e: &VectorSelector) {
    out.string_field("name", &e.name);
    write_duration(out, "offset", "offsetExpr", Some(&e.offset));
    out.key("matchers");
    out.begin_array();
    e.matchers.iter().for_each(|matcher| write_matcher(out, matcher));
    out.end_array();
    write_at(out, e.at);
    out.key("anchored");
    out.boolean(e.edge == EdgeMode::Anchored);
    out.key("smoothed");
    out.boolean(e.edge == EdgeMode::Smoothed);
}

fn write_matcher(out: &mut JsonWriter, matcher: &Matcher) {
    out.begin_object();
    out.string_field("name", matcher.name());
    out.string_field("type", matcher.op().as_str());
    out.string_field("value", matcher.value());
    out.end_object();
}

/// The `@` modifier: its time in ms, or which end of the query it names.
fn write_at(out: &mut JsonWriter, at: Option<AtModifier>) {
    out.key("timestamp");
    match at {
        Some(AtModifier::Time(time)) => out.integer(time.0),
        _ => out.null(),
    }
    out.key("startOrEnd");
    match at {
        Some(AtModifier::Start) => out.string("start"),
        Some(AtModifier::End) => out.string("end"),
        _ => out.null(),
    }
}

/// A duration in ms under `key`, or 0 there and the expression that computes it under `expr_key`.
fn write_duration(out: &mut JsonWriter, key: &str, expr_key: &str, spec: Option<&DurationSpec>) {
    let (ms, expr) = match spec {
        None => (0, None),
        Some(DurationSpec::Fixed(ms)) => (*ms, None),
        Some(DurationSpec::Expr(expr)) => (0, Some(expr)),
    };
    out.key(key);
    out.integer(ms);
    out.key(expr_key);
    match expr {
        Some(expr) => write_duration_expr(out, expr, false),
        None => out.null(),
    }
}

fn write_duration_expr(out: &mut JsonWriter, expr: &DurationExpr, wrapped: bool) {
    match expr {
        DurationExpr::Number(number) => write_duration_number(out, number),
        DurationExpr::Paren(inner, _) => write_duration_expr(out, inner, true),
        DurationExpr::Step(_) => write_operation(out, "step", None, None, wrapped),
        DurationExpr::Range(_) => write_operation(out, "range", None, None, wrapped),
        DurationExpr::Unary { negative, operand, .. } => {
            let op = if *negative { "-" } else { "+" };
            write_operation(out, op, None, Some(operand), wrapped);
        }
        DurationExpr::Binary { op, lhs, rhs, .. } => {
            write_operation(out, op.as_str(), Some(lhs), Some(rhs), wrapped);
        }
        DurationExpr::Pick { max, lhs, rhs, .. } => {
            let op = if *max { "max_of" } else { "min_of" };
            write_operation(out, op, Some(lhs), Some(rhs), wrapped);
        }
    }
}

fn write_operation(
    out: &mut JsonWriter,
    op: &str,
    lhs: Option<&DurationExpr>,
    rhs: Option<&DurationExpr>,
    wrapped: bool,
) {
    out.begin_object();
    out.string_field("type", "durationExpr");
    out.string_field("op", op);
    for (key, side) in [("lhs", lhs), ("rhs", rhs)] {
        out.key(key);
        match side {
            Some(side) => write_duration_expr(out, side, false),
            None => out.null(),
        }
    }
    out.key("wrapped");
    out.boolean(wrapped);
    out.end_object();
}

fn write_duration_number(out: &mut JsonWriter, number: &NumberLiteral) {
    out.begin_object();
    out.string_field("type", "numberLiteral");
    out.string_field("val", &plain(number.value));
    out.key("duration");
    out.boolean(number.is_duration);
    out.end_object();
}

fn write_names(out: &mut JsonWriter, key: &str, names: &[String]) {
    out.key(key);
    out.strings(names.iter().map(String::as_str));
}

fn type_name(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::Scalar => "scalar",
        ValueType::Vector => "vector",
        ValueType::Matrix => "matrix",
        ValueType::String => "string",
    }
}

fn plain(value: f64) -> String {
    let mut text = Vec::with_capacity(24);
    number::push_plain(&mut text, value);
    String::from_utf8_lossy(&text).into_owned()
}
