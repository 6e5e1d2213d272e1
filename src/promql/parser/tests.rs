//! Expressions that parse, how they print, and what is said about those that do not parse.

use super::*;
use crate::promql::printer::pretty;

fn parsed(text: &str) -> Expr {
    parse(text, &Features::all()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The error with every feature on.
fn error(text: &str) -> String {
    match parse(text, &Features::all()) {
        Ok(expr) => panic!("{text} parses as {expr}"),
        Err(error) => error.to_string(),
    }
}

/// Expressions that print as they are written.
const CANONICAL: &[&str] = &[
    "1",
    "-1.5",
    "+Inf",
    "NaN",
    "5m",
    "-1h30m",
    "\"a\\n\\\"b\\\"\"",
    "\"\\ufffd\"",
    "foo",
    "foo{a=\"b\",c!~\"d\"}",
    "{\"a.b\"=\"c\",__name__=\"foo bar\"}",
    "job:rate:sum{x=~\"a|b\"}",
    "foo[5m]",
    "foo[9d]",
    "foo[5m] @ 10.000 offset 1h",
    "foo @ start() offset -1h30m",
    "foo[1h:5m] @ end()",
    "foo[1h:]",
    "foo[5m + step()] offset -range()",
    "foo[(5m - 1m) * 2:min_of(step(), 1m)]",
    "foo offset (5m ^ 2)",
    "foo anchored offset 5m",
    "foo[5m] smoothed @ 1.500",
    "-foo",
    "+foo",
    "-(1)",
    "-1 ^ 2",
    "a + b * c",
    "a == bool 1",
    "a * on (x) group_left (y) b",
    "a * ignoring () group_right () b",
    "a / on () b",
    "a and ignoring (x, \"y.z\") b",
    "a + fill (1) b",
    "a + on (x) fill_left (-1) fill_right (2) b",
    "a </ 5 >/ b",
    "a atan2 b % 2",
    "sum(and)",
    "sum by (a, b) (rate(foo[5m]))",
    "sum by (\"a.b\") (foo)",
    "sum without () (foo)",
    "topk(5, foo)",
    "count_values(\"x\", foo)",
    "limit_ratio(0.5, foo)",
    "time()",
    "step() + range() + start() + end()",
    "max_of(1, min_of(2, 3))",
    "info(foo, {a=\"b\"})",
    "histogram_quantile(0.9, sum by (le) (rate(x_bucket[5m])))",
    "sum",
    "on_call + bool_flag",
];

#[test]
fn canonical_text_survives() {
    for text in CANONICAL {
        assert_eq!(parsed(text).to_string(), *text);
    }
}

#[test]
fn other_ways_of_writing_print_canonically() {
    let cases = [
        ("0x1F", "31"),
        ("010", "8"),
        ("1_000.5e1", "10005"),
        ("iNf", "+Inf"),
        (".5", "0.5"),
        ("foo{b='x',a=`y`,}", "foo{a=\"y\",b=\"x\"}"),
        ("{'foo', a=\"b\"}", "{__name__=\"foo\",a=\"b\"}"),
        ("SUM(foo) BY (a,)", "sum by (a) (foo)"),
        ("sum by () (foo)", "sum(foo)"),
        ("foo # comment\n+ # another\nbar", "foo + bar"),
        ("foo offset 5m [1h:]", "foo offset 5m[1h:]"),
        ("foo offset 5m @ 20", "foo @ 20.000 offset 5m"),
        ("foo[300]", "foo[5m]"),
        ("foo offset 1.5", "foo offset 1s500ms"),
        ("foo offset -2 ^ 2", "foo offset -2s ^ 2"),
        ("foo offset -+4 + 1", "foo offset +-4 + 1"),
        ("foo offset ++4 + 1 - 2", "foo offset ++4 + 1 - 2"),
        ("foo offset +-step() ^ 2", "foo offset +-step() ^ 2"),
        ("foo offset -(4) + 1", "foo offset -(4) + 1"),
        ("foo[+5m]", "foo[5m]"),
        ("foo[((1h) + (((5m))))]", "foo[((1h) + (5m))]"),
        ("2002ms", "2s1ms"),
        ("foo{a=~\"/api/{id}\"}", "foo{a=~\"/api/{id}\"}"),
        ("a - ignoring() b", "a - b"),
        ("fill + fill_left", "fill + fill_left"),
        ("a or b unless c", "a or b unless c"),
        ("--1", "1"),
        ("-5m", "-5m"),
    ];
    for (text, canonical) in cases {
        assert_eq!(parsed(text).to_string(), canonical, "{text}");
    }
}

/// What an expression looks like with every operation in brackets.
fn grouped(expr: &Expr) -> String {
    match expr {
        Expr::Binary(b) => {
            format!("[{} {} {}]", grouped(&b.lhs), b.op.as_str(), grouped(&b.rhs))
        }
        Expr::Unary(u) => format!("[-{}]", grouped(&u.expr)),
        other => other.to_string(),
    }
}

#[test]
fn operators_group_by_precedence() {
    let cases = [
        ("a or b and c", "[a or [b and c]]"),
        ("a and b unless c", "[[a and b] unless c]"),
        ("a == b + c", "[a == [b + c]]"),
        ("a - b - c * d", "[[a - b] - [c * d]]"),
        ("a ^ b ^ c", "[a ^ [b ^ c]]"),
        ("-a ^ b * c", "[[-[a ^ b]] * c]"),
        ("a ^ -b + c", "[[a ^ [-b]] + c]"),
        ("a < b >/ c", "[[a < b] >/ c]"),
        ("a atan2 b / c", "[[a atan2 b] / c]"),
    ];
    for (text, expected) in cases {
        assert_eq!(grouped(&parsed(text)), expected, "{text}");
    }
}

/// Texts that do not parse and the whole error.
const ERRORS: &[(&str, &str)] = &[
    ("", "unknown position: parse error: no expression found in input"),
    (" # nothing", "1:1: parse error: no expression found in input"),
    ("1+", "1:3: parse error: unexpected end of input"),
    ("1 2", "1:3: parse error: unexpected number \"2\""),
    ("a b", "1:3: parse error: unexpected identifier \"b\""),
    ("a\n  b:c", "2:3: parse error: unexpected metric identifier \"b:c\""),
    ("*1", "1:1: parse error: unexpected <op:*>"),
    ("a 'long string here'", "1:3: parse error: unexpected string \"'long stri\"..."),
    ("(1", "1:3: parse error: unclosed left parenthesis"),
    ("1)", "1:3: parse error: unexpected right parenthesis ')'"),
    ("a[5m", "1:5: parse error: unclosed left bracket"),
    ("a]", "1:2: parse error: unexpected right bracket ']'"),
    ("a{", "1:3: parse error: unexpected end of input inside braces"),
    (
        "a{b=~\"*\"}",
        "1:3: parse error: error parsing regexp: missing argument to repetition operator: `*`",
    ),
    ("a{b=~\"x)(y\"}", "1:3: parse error: error parsing regexp: unexpected ): `x)(y`"),
    (
        "a{b}",
        "1:4: parse error: unexpected \"}\" in label matching, expected label matching operator",
    ),
    ("a{b=1}", "1:5: parse error: unexpected character inside braces: '1'"),
    ("a{b=c}", "1:5: parse error: unexpected identifier \"c\" in label matching, expected string"),
    ("a{,}", "1:3: parse error: unexpected \",\" in label matching, expected identifier or \"}\""),
    (
        "a{b=\"c\" d}",
        "1:9: parse error: unexpected identifier \"d\" in label matching, expected \",\" or \"}\"",
    ),
    ("a{b!c}", "1:4: parse error: unexpected character after '!' inside braces: 'c'"),
    ("a{{", "1:3: parse error: unexpected left brace '{'"),
    ("a !b", "1:3: parse error: unexpected character after '!': 'b'"),
    ("a =~ b", "1:3: parse error: unexpected character after '=': '~'"),
    ("a ; b", "1:3: parse error: unexpected character: ';'"),
    ("{}", "1:1: parse error: vector selector must contain at least one non-empty matcher"),
    (
        "{a=~\".*\"}",
        "1:1: parse error: vector selector must contain at least one non-empty matcher",
    ),
    ("a{__name__=\"b\"}", "1:1: parse error: metric name must not be set twice: \"a\" or \"b\""),
    ("\"a", "1:1: parse error: unterminated quoted string"),
    ("`a", "1:1: parse error: unterminated raw string"),
    ("\"\\q\"", "1:1: parse error: unknown escape sequence U+0071 'q'"),
    ("\"\u{fffd}\"", "1:1: parse error: invalid UTF-8 rune"),
    ("1.2.3", "1:1: parse error: bad number or duration syntax: \"1.2.\""),
    ("5mx", "1:1: parse error: bad number or duration syntax: \"5mx\""),
    (
        "0x",
        "1:1: parse error: error parsing number: strconv.ParseFloat: parsing \"0x\": invalid syntax",
    ),
    ("5m5h", "1:1: parse error: not a valid duration string: \"5m5h\""),
    ("sum a", "1:5: parse error: unexpected identifier \"a\""),
    ("sum(a b)", "1:7: parse error: unexpected identifier \"b\" in aggregation"),
    (
        "sum by a (b)",
        "1:8: parse error: unexpected identifier \"a\" in grouping opts, expected \"(\"",
    ),
    (
        "sum by (1) (b)",
        "1:9: parse error: unexpected number \"1\" in grouping opts, expected label",
    ),
    (
        "sum by (a b) (c)",
        "1:11: parse error: unexpected identifier \"b\" in grouping opts, expected \",\" or \")\"",
    ),
    ("sum by (\"\") (c)", "1:9: parse error: invalid label name for grouping: \"\""),
    ("sum by (\"a\\xc5z\") (c)", "1:9: parse error: invalid label name for grouping: \"a\\xc5z\""),
    ("sum by (a) (b) by (c)", "1:16: parse error: unexpected <by>"),
    ("sum()", "1:1: parse error: no arguments for aggregate expression provided"),
    (
        "sum(a, b)",
        "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 1, got 2",
    ),
    (
        "topk(a)",
        "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1",
    ),
    (
        "topk(a, b)",
        "1:6: parse error: expected type scalar in aggregation parameter, got instant vector",
    ),
    (
        "count_values(1, b)",
        "1:14: parse error: expected type string in aggregation parameter, got scalar",
    ),
    (
        "sum(a[5m])",
        "1:5: parse error: expected type instant vector in aggregation expression, got range vector",
    ),
    ("nope(a)", "1:1: parse error: unknown function with name \"nope\""),
    ("START()", "1:1: parse error: unknown function with name \"START\""),
    (
        "rate(a)",
        "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector",
    ),
    ("rate()", "1:1: parse error: expected 1 argument(s) in call to \"rate\", got 0"),
    (
        "round(a, 1, 2)",
        "1:1: parse error: expected at most 2 argument(s) in call to \"round\", got 3",
    ),
    (
        "label_join(a, \"b\")",
        "1:1: parse error: expected at least 3 argument(s) in call to \"label_join\", got 2",
    ),
    ("rate(a[5m],)", "1:11: parse error: trailing commas not allowed in function call args"),
    ("info(a, b)", "1:9: parse error: expected label selectors only, got vector selector instead"),
    (
        "a[5m] + 1",
        "1:1: parse error: binary expression must contain only scalar and instant vector types",
    ),
    ("1 == 1", "1:3: parse error: comparisons between scalars must use BOOL modifier"),
    ("a + bool b", "1:3: parse error: bool modifier can only be used on comparison operators"),
    ("1 and a", "1:1: parse error: set operator \"and\" not allowed in binary scalar expression"),
    ("a + on (b) 1", "1:1: parse error: vector matching only allowed between instant vectors"),
    (
        "a + fill (1) 1",
        "1:1: parse error: filling in missing series only allowed between instant vectors",
    ),
    ("a and on (b) group_left c", "1:1: parse error: no grouping allowed for \"and\" operation"),
    (
        "a or fill (1) b",
        "1:1: parse error: filling in missing series not allowed for set operators",
    ),
    (
        "a + on (b) group_left (b) c",
        "1:3: parse error: label \"b\" must not occur in ON and GROUP clause at once",
    ),
    (
        "-\"a\"",
        "1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, got \"string\"",
    ),
    ("1[5m]", "1:2: parse error: ranges only allowed for vector selectors"),
    ("a offset 5m [5m]", "1:13: parse error: no offset modifiers allowed before range"),
    ("a @ 5 [5m]", "1:7: parse error: no @ modifiers allowed before range"),
    ("1[5m:]", "1:1: parse error: subquery is only allowed on instant vector, got scalar instead"),
    ("a[0]", "1:3: parse error: duration must be greater than 0"),
    ("a[-5m]", "1:3: parse error: duration must be greater than 0"),
    (
        "a[]",
        "1:3: parse error: unexpected \"]\" in subquery or range selector, expected number, duration, step(), or range()",
    ),
    (
        "a[5m 5m]",
        "1:6: parse error: unexpected duration \"5m\" in subquery or range, expected \":\" or \"]\"",
    ),
    (
        "a[5m:(]",
        "1:7: parse error: unexpected \"]\" in subquery selector, expected number, duration, step(), range(), or \"]\"",
    ),
    (
        "a[5m:1m 1]",
        "1:9: parse error: unexpected number \"1\" in subquery selector, expected \"]\"",
    ),
    ("a[5m:1m:]", "1:8: parse error: unexpected colon ':'"),
    ("a[b]", "1:3: parse error: unexpected character in duration expression: 'b'"),
    ("a[5m/0]", "1:5: parse error: division by zero"),
    ("a[5m/0", "1:7: parse error: unclosed left bracket"),
    ("a[0", "1:4: parse error: unclosed left bracket"),
    ("a[0)]", "1:5: parse error: unexpected right parenthesis ')'"),
    ("(sum()", "1:7: parse error: unclosed left parenthesis"),
    ("(sum by (a) ()", "1:2: parse error: no arguments for aggregate expression provided"),
    ("topk(b))", "1:9: parse error: unexpected right parenthesis ')'"),
    (
        "a + on (b) group_left",
        "1:22: parse error: unexpected end of input in grouping opts, expected \"(\"",
    ),
    (
        "a + on (b) group_right bool c",
        "1:24: parse error: unexpected <bool> in grouping opts, expected \"(\"",
    ),
    (
        "sum(a + on (b) group_left * c)",
        "1:27: parse error: unexpected <op:*> in grouping opts, expected \"(\"",
    ),
    ("a[5m%0s]", "1:5: parse error: modulo by zero"),
    ("a[1e18]", "1:3: parse error: duration out of range"),
    (
        "a offset",
        "1:9: parse error: unexpected end of input in offset, expected number, duration, step(), or range()",
    ),
    ("a offset 5m offset 5m", "1:1: parse error: offset may not be set multiple times"),
    (
        "1 offset 5m",
        "1:1: parse error: offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
    ),
    ("a @ b", "1:5: parse error: unexpected identifier \"b\" in @, expected timestamp"),
    ("a @ 1 @ 2", "1:1: parse error: @ <timestamp> may not be set multiple times"),
    ("a @ Inf", "1:1: parse error: timestamp out of bounds for @ modifier: +Inf"),
    (
        "1 @ 1",
        "1:1: parse error: @ modifier must be preceded by an instant vector selector or range vector selector or a subquery",
    ),
    (
        "a anchored smoothed",
        "1:1: parse error: anchored and smoothed modifiers cannot be used together",
    ),
    ("a[5m:] smoothed", "1:1: parse error: smoothed modifier is not supported for subqueries"),
];

#[test]
fn errors_are_worded_as_in_prometheus() {
    for (text, expected) in ERRORS {
        assert_eq!(error(text), *expected, "{text}");
    }
}

#[test]
fn switched_off_features_are_refused_by_name() {
    let cases = [
        (
            "limitk(1, a)",
            "1:1: parse error: limitk() is experimental and must be enabled with --enable-feature=promql-experimental-functions",
        ),
        ("mad_over_time(a[5m])", "1:1: parse error: function \"mad_over_time\" is not enabled"),
        ("step()", "1:1: parse error: function \"step\" is not enabled"),
        ("a anchored", "1:1: parse error: anchored modifier is experimental and not enabled"),
        (
            "a + fill (1) b",
            "1:1: parse error: binop fill modifiers are experimental and not enabled",
        ),
    ];
    for (text, expected) in cases {
        let got = parse(text, &Features::default()).map_err(|error| error.to_string());
        assert_eq!(got, Err(expected.to_owned()), "{text}");
    }
    assert!(parse("a[step() * 2]", &Features::default()).is_ok(), "durations need no switch");
}

#[test]
fn nesting_and_length_are_bounded() {
    let too_deep = "expression is nested more than 512 levels deep";
    for text in [
        format!("{}1{}", "(".repeat(5000), ")".repeat(5000)),
        format!("{}a", "-".repeat(5000)),
        format!("a{}", " ^ a".repeat(5000)),
        format!("a + b * {}", "-c ^ ".repeat(100_000)),
        format!("a[{}1]", "(".repeat(5000)),
        format!("a[1{}]", "+1".repeat(5000)),
        format!("a{}", "[5m:]".repeat(5000)),
        format!("{}a", "sum(".repeat(5000)),
        format!("{}1{}", "(".repeat(100_000), ")".repeat(100_000)),
        "-".repeat(100_000),
        "abs(".repeat(100_000),
        "sum by (x) (".repeat(20_000),
        "max_over_time((".repeat(50_000),
        format!("a[{}", "-(".repeat(100_000)),
        format!("a offset {}", "(".repeat(100_000)),
        "info(".repeat(100_000),
    ] {
        let error = parse(&text, &Features::all()).expect_err("too deep");
        assert_eq!(error.message, too_deep);
    }
    let nested = |levels| format!("{}1{}", "(".repeat(levels), ")".repeat(levels));
    assert!(parse(&nested(511), &Features::all()).is_ok());
    assert!(parse(&nested(512), &Features::all()).is_err());
    // Operands of a chain are no levels.
    assert!(parse(&format!("a{}", " + a".repeat(100_000)), &Features::all()).is_ok());
    let unfinished = parse(&"a or ".repeat(100_000), &Features::all()).expect_err("unfinished");
    assert_eq!(unfinished.message, "unexpected end of input");
    let long = "a".repeat(crate::model::limits::EXPRESSION_BYTES_MAX + 1);
    assert!(error(&long).contains("at most 1048576 are accepted"));
}

#[test]
fn spans_cover_the_modifiers() {
    let expr = parsed("  foo{a=\"b\"}[5m:] offset 1h");
    assert_eq!(expr.span(), Span { start: 2, end: 27 });
    let expr = parsed("foo @ 5 + (bar)");
    let Expr::Binary(binary) = &expr else { panic!("{expr} is no sum") };
    assert_eq!(binary.lhs.span(), Span { start: 0, end: 7 });
    assert_eq!(binary.span, Span { start: 0, end: 15 });
}

#[test]
fn selectors_alone_may_match_everything() {
    let matchers = |text| parse_metric_selector(text).map_err(|error| error.to_string());
    assert_eq!(matchers("{}").map(|m| m.len()), Ok(0));
    assert_eq!(matchers("up{job=\"a\"}").map(|m| m.len()), Ok(2));
    assert_eq!(matchers("up[5m]"), Err("1:3: parse error: unexpected \"[\"".to_owned()));
    assert_eq!(
        matchers(""),
        Err("unknown position: parse error: unexpected end of input".to_owned())
    );
}

#[test]
fn long_lines_are_split() {
    let text = "sum by (job, instance) (rate(http_requests_total{job=\"api\"}[5m])) / on (job) \
                group_left () sum by (job) (rate(http_requests_total[5m]))";
    let expected = "  sum by (job, instance) (rate(http_requests_total{job=\"api\"}[5m]))\n\
                    / on (job) group_left ()\n  \
                      sum by (job) (rate(http_requests_total[5m]))";
    assert_eq!(pretty(&parsed(text)), expected);
    assert_eq!(pretty(&parsed("a + b")), "a + b");
    let call = "histogram_quantile(0.99, sum by (le, namespace, service) \
                (rate(request_duration_seconds_bucket{namespace=\"x\"}[5m])))";
    let expected = "histogram_quantile(\n  0.99,\n  sum by (le, namespace, service) \
                    (rate(request_duration_seconds_bucket{namespace=\"x\"}[5m]))\n)";
    assert_eq!(pretty(&parsed(call)), expected);
}
