//! Chains of many operands, on the small stack of a test's thread.

use crate::model::{Labels, Timestamp};
use crate::promql::ast::Expr;
use crate::promql::memory::{MemorySample, MemorySource, MemoryValue};
use crate::promql::printer::pretty;
use crate::promql::value::{PointValue, Value};
use crate::promql::{Engine, EngineOptions, Features, QueryOptions, parse};

/// Operands of a chain.
const OPERANDS: usize = 10_000;

/// `a`, then the other operands in turn, each behind its operator.
fn chain(more: &[&str]) -> String {
    chain_of(OPERANDS, more)
}

fn chain_of(operands: usize, more: &[&str]) -> String {
    let more = more.iter().cycle().take(operands - 1);
    more.fold("a".to_owned(), |text, more| text + " " + more)
}

fn source() -> MemorySource {
    let mut source = MemorySource::new();
    for (name, x) in [("a", "1"), ("a", "2"), ("b", "1"), ("c", "3")] {
        let labels = Labels::from_pairs([("__name__", name), ("x", x)]).expect("valid");
        let value = MemoryValue::Float(1.0);
        let sample = |at| MemorySample { timestamp: at, start_timestamp: 0, value: value.clone() };
        source.append(&labels, [0, 10_000, 20_000].map(sample));
    }
    source
}

/// The values at one time and the number of points over a range.
fn values(text: &str) -> (Vec<f64>, usize) {
    let engine =
        Engine::new(EngineOptions { features: Features::all(), ..EngineOptions::default() });
    let (source, options) = (source(), QueryOptions::default());
    let once = engine.instant(&source, text, Timestamp(20_000), &options).expect("evaluated");
    let (start, end) = (Timestamp(0), Timestamp(20_000));
    let over = engine.range(&source, text, start, end, 10_000, &options).expect("evaluated");
    let Value::Matrix(series) = over.value else { panic!("a range query gives a matrix") };
    let float = |point: &PointValue| match point {
        PointValue::Float(value) => *value,
        PointValue::Histogram(_) => panic!("no histograms here"),
    };
    let values = match once.value {
        Value::Vector(vector) => vector.iter().map(|sample| float(&sample.value)).collect(),
        Value::Scalar { value, .. } => vec![value],
        other => panic!("neither vector nor scalar: {other:?}"),
    };
    (values, series.iter().map(|one| one.floats.len()).sum())
}

#[test]
fn long_chains_are_parsed_printed_copied_and_compared() {
    for text in [
        chain(&["+ a"]),
        chain(&["and b", "or c", "unless on (x) d"]),
        chain(&["+ 1", "> on (x) group_left () b", "- c"]),
        chain(&["+ 1", "== bool 1"]).replacen('a', "1", 1),
    ] {
        let expr = parse(&text, &Features::all()).expect("valid");
        let printed = expr.to_string();
        assert_eq!(printed, text);
        let copy = expr.clone();
        assert!(copy == expr, "a copy differs");
        let other = parse(&format!("{text} + z"), &Features::all()).expect("valid");
        assert!(other != expr, "another one is equal");
        assert!(format!("{expr:?}").len() > text.len(), "not all is shown");
        let lines = pretty(&expr);
        let joined: Vec<&str> = lines.split_whitespace().collect();
        assert!(joined.join(" ") == text, "lines mean something else");
    }
}

#[test]
fn long_chains_are_evaluated() {
    let count = OPERANDS as f64;
    assert_eq!(values(&chain(&["+ a"])), (vec![count, count], 6));
    assert_eq!(values(&chain(&["+ 1"])), (vec![count, count], 6));
    assert_eq!(values(&chain(&["+ 1"]).replacen('a', "1", 1)), (vec![count], 3));
}

#[test]
fn chains_of_all_kinds_are_evaluated() {
    // More than are applied series by series.
    let chain = |more: &[&str]| chain_of(1000, more);
    assert_eq!(values(&chain(&["+ 0", "+ 1 * a"])).0, [500.0, 500.0]);
    assert_eq!(values(&chain(&["or b", "and a", "unless c"])), (vec![1.0, 1.0], 6));
    assert_eq!(values(&chain(&["or c", "or b"])), (vec![1.0, 1.0, 1.0], 9));
    let fixed = chain(&["+ a @ 5"]).replacen('a', "a @ 5", 1);
    assert_eq!(values(&fixed), (vec![1000.0, 1000.0], 6));
    assert_eq!(values(&format!("{fixed} + a")), (vec![1001.0, 1001.0], 6));
    assert_eq!(values(&format!("sum({})", chain(&["+ 1"]))), (vec![2000.0], 3));
    let unnamed = chain(&["+ 1"]).replacen('a', "{x=\"1\", __name__=~\"a|z\"}", 1);
    assert_eq!(values(&unnamed), (vec![1000.0], 3));
    assert_eq!(values(&chain(&["> 0"])), (vec![1.0, 1.0], 6));
}

#[test]
fn a_long_chain_is_refused_for_what_is_nested_in_it() {
    let text = format!("{} + {}1{}", chain(&["+ a"]), "(".repeat(600), ")".repeat(600));
    let error = parse(&text, &Features::all()).expect_err("too deep");
    assert!(error.message.starts_with("expression is nested more than"), "{}", error.message);
    let late = format!("{} + \"text\"", chain(&["+ a"]));
    let error = parse(&late, &Features::all()).expect_err("a text");
    let only = "binary expression must contain only scalar and instant vector types";
    assert_eq!(error.message, only);
    assert_eq!(error.column as usize, chain(&["+ a"]).len() + " + ".len() + 1);
}

#[test]
fn types_of_chains_are_those_of_their_operands() {
    let parsed = |text: &str| -> Expr { parse(text, &Features::all()).expect("valid") };
    assert_eq!(parsed("1 + 2 + 3").value_type().documented(), "scalar");
    assert_eq!(parsed("1 + 2 + a").value_type().documented(), "instant vector");
    assert_eq!(parsed("a + 2 + 3").value_type().documented(), "instant vector");
}
