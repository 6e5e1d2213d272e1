//! Syntax tree to JSON, as `/api/v1/parse_query` answers it.
//!
//! In: a tree. Out: a JSON value whose shape is that of Prometheus' `web/api/v1/translate_ast.go`.
//! Never here: HTTP.

use serde_json::{Value as Json, json};

use crate::model::Matcher;

use super::ast::{
    AtModifier, Binary, Call, Cardinality, DurationExpr, DurationSpec, EdgeMode, Expr,
    MatrixSelector, NumberLiteral, Subquery, ValueType, VectorMatching, VectorSelector,
};
use super::functions::Function;

/// The tree as JSON.
pub fn to_json(expr: &Expr) -> Json {
    match expr {
        Expr::Number(number) => json!({"type": "numberLiteral", "val": float(number.value)}),
        Expr::String(string) => json!({"type": "stringLiteral", "val": string.value}),
        Expr::VectorSelector(vector) => vector_selector(vector),
        Expr::MatrixSelector(matrix) => matrix_selector(matrix),
        Expr::Subquery(subquery) => subquery_json(subquery),
        Expr::Call(call) => call_json(call),
        Expr::Binary(binary) => binary_json(binary),
        Expr::Paren(paren) => json!({"type": "parenExpr", "expr": to_json(&paren.expr)}),
        Expr::Unary(unary) => json!({
            "type": "unaryExpr",
            "op": if unary.negative { "-" } else { "+" },
            "expr": to_json(&unary.expr),
        }),
        Expr::Aggregate(aggregate) => json!({
            "type": "aggregation",
            "op": aggregate.op.as_str(),
            "expr": to_json(&aggregate.expr),
            "param": aggregate.param.as_ref().map(to_json),
            "grouping": aggregate.grouping,
            "without": aggregate.without,
        }),
    }
}

fn vector_selector(vector: &VectorSelector) -> Json {
    json!({
        "type": "vectorSelector",
        "name": vector.name,
        "offset": fixed(&vector.offset),
        "offsetExpr": duration_expr(&vector.offset),
        "matchers": matchers(&vector.matchers),
        "timestamp": timestamp(vector.at),
        "startOrEnd": start_or_end(vector.at),
        "anchored": vector.edge == EdgeMode::Anchored,
        "smoothed": vector.edge == EdgeMode::Smoothed,
    })
}

fn matrix_selector(matrix: &MatrixSelector) -> Json {
    let mut json = vector_selector(&matrix.vector);
    json["type"] = json!("matrixSelector");
    json["range"] = fixed(&matrix.range);
    json["rangeExpr"] = duration_expr(&matrix.range);
    json
}

fn subquery_json(subquery: &Subquery) -> Json {
    json!({
        "type": "subquery",
        "expr": to_json(&subquery.expr),
        "range": fixed(&subquery.range),
        "rangeExpr": duration_expr(&subquery.range),
        "offset": fixed(&subquery.offset),
        "offsetExpr": duration_expr(&subquery.offset),
        "step": subquery.step.as_ref().map_or(json!(0), fixed),
        "stepExpr": subquery.step.as_ref().map_or(Json::Null, duration_expr),
        "timestamp": timestamp(subquery.at),
        "startOrEnd": start_or_end(subquery.at),
    })
}

fn call_json(call: &Call) -> Json {
    let function = call.function;
    let args: Vec<Json> = call.args.iter().map(to_json).collect();
    let arg_types: Vec<&str> = function.args.iter().map(|arg| type_name(*arg)).collect();
    json!({
        "type": "call",
        "func": {
            "name": function.name,
            "argTypes": arg_types,
            "variadic": variadic(function),
            "returnType": type_name(function.returns),
        },
        "args": args,
    })
}

/// How Prometheus counts optional arguments: 0 when there are none, -1 when there is no limit.
fn variadic(function: &Function) -> i64 {
    if function.args_min == function.args_max {
        return 0;
    }
    if function.args_max == usize::MAX {
        return -1;
    }
    // Counted from the listed arguments but the last one.
    let fixed = function.args.len().saturating_sub(1);
    i64::try_from(function.args_max.saturating_sub(fixed)).unwrap_or(-1)
}

fn binary_json(binary: &Binary) -> Json {
    json!({
        "type": "binaryExpr",
        "op": binary.op.as_str(),
        "lhs": to_json(&binary.lhs),
        "rhs": to_json(&binary.rhs),
        "matching": binary.matching.as_ref().map(matching),
        "bool": binary.return_bool,
    })
}

fn matching(matching: &VectorMatching) -> Json {
    let card = match matching.card {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    json!({
        "card": card,
        "labels": matching.labels,
        "on": matching.on,
        "include": matching.include,
        "fillValues": {"lhs": matching.fill_left, "rhs": matching.fill_right},
    })
}

fn matchers(matchers: &[Matcher]) -> Json {
    let list = matchers.iter().map(|matcher| {
        json!({
            "name": matcher.name(),
            "value": matcher.value(),
            "type": matcher.op().as_str(),
        })
    });
    Json::Array(list.collect())
}

fn timestamp(at: Option<AtModifier>) -> Json {
    match at {
        Some(AtModifier::Time(time)) => json!(time.as_millis()),
        Some(AtModifier::Start | AtModifier::End) | None => Json::Null,
    }
}

fn start_or_end(at: Option<AtModifier>) -> Json {
    match at {
        Some(AtModifier::Start) => json!("start"),
        Some(AtModifier::End) => json!("end"),
        Some(AtModifier::Time(_)) | None => Json::Null,
    }
}

/// Milliseconds; 0 for a computed duration.
fn fixed(duration: &DurationSpec) -> Json {
    match duration {
        DurationSpec::Fixed(ms) => json!(ms),
        DurationSpec::Expr(_) => json!(0),
    }
}

fn duration_expr(duration: &DurationSpec) -> Json {
    match duration {
        DurationSpec::Fixed(_) => Json::Null,
        DurationSpec::Expr(expr) => duration_json(expr, false),
    }
}

fn duration_json(expr: &DurationExpr, wrapped: bool) -> Json {
    let node = |op: &str, lhs: Json, rhs: Json| json!({"type": "durationExpr", "op": op, "lhs": lhs, "rhs": rhs, "wrapped": wrapped});
    let inner = |expr: &DurationExpr| duration_json(expr, false);
    match expr {
        // A number in parentheses is a plus without left side.
        DurationExpr::Number(number) if wrapped => node("+", Json::Null, number_json(number)),
        DurationExpr::Number(number) => number_json(number),
        DurationExpr::Step(_) => node("step", Json::Null, Json::Null),
        DurationExpr::Range(_) => node("range", Json::Null, Json::Null),
        DurationExpr::Paren(expr, _) => duration_json(expr, true),
        DurationExpr::Unary { negative, operand, .. } => {
            node(if *negative { "-" } else { "+" }, Json::Null, inner(operand))
        }
        DurationExpr::Binary { op, lhs, rhs, .. } => node(op.as_str(), inner(lhs), inner(rhs)),
        DurationExpr::Pick { max, lhs, rhs, .. } => {
            node(if *max { "max_of" } else { "min_of" }, inner(lhs), inner(rhs))
        }
    }
}

fn number_json(number: &NumberLiteral) -> Json {
    let (value, duration) = (float(number.value), number.is_duration);
    json!({"type": "numberLiteral", "val": value, "duration": duration})
}

/// A float in decimal notation, without exponent.
fn float(value: f64) -> String {
    match value {
        value if value == f64::INFINITY => "+Inf".to_owned(),
        value if value == f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    }
}

/// The type's short name.
const fn type_name(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::Scalar => "scalar",
        ValueType::Vector => "vector",
        ValueType::Matrix => "matrix",
        ValueType::String => "string",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::{Features, parse};

    #[test]
    fn a_tree_becomes_the_json_of_prometheus() {
        let expr = parse("-rate(a{b!=\"c\"}[5m] offset 1m)", &Features::default()).expect("valid");
        let expected = json!({
            "type": "unaryExpr",
            "op": "-",
            "expr": {
                "type": "call",
                "func": {
                    "name": "rate",
                    "argTypes": ["matrix"],
                    "variadic": 0,
                    "returnType": "vector",
                },
                "args": [{
                    "type": "matrixSelector",
                    "name": "a",
                    "range": 300_000,
                    "rangeExpr": null,
                    "offset": 60_000,
                    "offsetExpr": null,
                    "matchers": [
                        {"name": "b", "value": "c", "type": "!="},
                        {"name": "__name__", "value": "a", "type": "="},
                    ],
                    "timestamp": null,
                    "startOrEnd": null,
                    "anchored": false,
                    "smoothed": false,
                }],
            },
        });
        assert_eq!(to_json(&expr), expected);
    }

    #[test]
    fn computed_durations_and_optional_arguments_are_told() {
        let features = Features::all();
        let expr = parse("round(foo[(5m):step() * 2] offset -range())", &features);
        assert!(expr.is_err(), "a subquery is no instant vector");
        let expr = parse("last_over_time(foo[(5m):step() * 2])", &features).expect("valid");
        let json = to_json(&expr);
        let subquery = &json["args"][0];
        assert_eq!(subquery["range"], 0);
        assert_eq!(subquery["rangeExpr"]["op"], "+");
        assert_eq!(subquery["rangeExpr"]["wrapped"], true);
        assert_eq!(subquery["stepExpr"]["lhs"]["op"], "step");
        let round = parse("round(foo)", &features).expect("valid");
        assert_eq!(to_json(&round)["func"]["variadic"], 1);
    }
}
