//! Expressions that parse, how they print, and what is said about those that do not parse.

use super::*;

/// Expressions that print as they are written.
const CANONICAL: &[&str] = &[
    "1",
    "-1.5",
    "+Inf",
    "foo",
    "foo{a=\"b\",c!~\"d\"}",
    "{__name__=\"foo bar\"}",
    "sum by (a, b) (rate(foo[5m]))",
    "sum without () (foo)",
    "topk(5, foo)",
    "a + b * c",
    "a == bool 1",
    "a * on (x) group_left (y) b",
    "a and ignoring (x) b",
    "-foo",
    "-(1)",
    "foo[5m] @ 10.000 offset 1h",
    "foo @ start() offset -1h30m",
    "foo[1h:5m] @ end()",
    "foo[5m + step()] offset -range()",
    "foo[(5m - 1m) * 2:min_of(step(), 1m)]",
    "sum(and)",
    "5m",
    "histogram_quantile(0.9, sum by (le) (rate(x_bucket[5m])))",
    "foo anchored offset 5m",
    "foo[5m] smoothed",
    "a + fill (1) b",
    "a </ 5",
    "time()",
    "count_values(\"x\", foo)",
];

#[test]
fn canonical_text_survives() {
    for text in CANONICAL {
        let expr = parse(text, &Features::all()).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(expr.to_string(), *text);
    }
}
