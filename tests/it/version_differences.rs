//! The rules by which a difference from another version of Prometheus is explained.
//!
//! In: an expression and both answers. Out: the name of a class that docs/promql-differences.md
//! describes. A rule is asked only where the reference evaluator gives what we give.

use std::collections::BTreeMap;

use serde_json::Value;

use super::random_queries::Answer;
use super::reference::newest::is_newest;

/// A rule: its class, which names the version that explains it, and when it applies.
struct Rule {
    class: &'static str,
    /// Whether it is about servers older than 3.0 only.
    only_old: bool,
    applies: fn(&str, &Answer, &Answer) -> bool,
}

fn has(query: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| query.contains(part))
}

fn sees_many_to_one(theirs: &Answer, ours: &Answer) -> bool {
    theirs.is_success && ours.error.starts_with("multiple matches for labels")
}

/// Whether the answers differ only in that series of ours have labels more than theirs with the same
/// values.
fn adds_labels(theirs: &Answer, ours: &Answer) -> bool {
    let labels = |text: &str| -> BTreeMap<String, String> {
        serde_json::from_str(text).expect("labels are a JSON object of strings")
    };
    let points = |one: &Value| (one["value"].clone(), one["values"].clone());
    let mut more: Vec<_> =
        ours.series.iter().filter(|(key, _)| !theirs.series.contains_key(*key)).collect();
    let only_theirs = theirs.series.iter().filter(|(key, _)| !ours.series.contains_key(*key));
    let all_found = only_theirs.into_iter().all(|(key, one)| {
        let few = labels(key);
        let has_more = |(key, other): &(&String, &Value)| {
            let many = labels(key);
            points(other) == points(one) && few.iter().all(|(n, v)| many.get(n) == Some(v))
        };
        more.iter().position(has_more).map(|at| more.swap_remove(at)).is_some()
    });
    theirs.is_success && ours.is_success && all_found && more.is_empty()
}

/// Functions whose last digit depends on the mathematical library.
const MATH: &[&str] = &["exp(", "ln(", "log", "sin", "cos", "tan", " ^ "];
/// Where a last digit becomes more.
const MAGNIFIERS: &[&str] =
    &[" % ", "floor(", "ceil(", "round(", " == ", " != ", " < ", " > ", " <= ", " >= "];

/// Where a note stands: its last word.
fn place(note: &str) -> &str {
    note.rsplit_once(' ').map_or("", |end| end.1)
}

/// The notes without what depends on the order of series: which of them is named, whether bounds
/// were reconciled before one did not fit at all, and what an operator says last. What else they say
/// stays, and where.
fn without_order(answer: &Answer) -> Vec<String> {
    let unfit = |note: &&String| note.contains("exponential and custom buckets schemas");
    let unfit: Vec<&str> = answer.notes.iter().filter(unfit).map(|note| place(note)).collect();
    let stays = |note: &&String| {
        !(note.contains("reconciled during aggregation") && unfit.contains(&place(note)))
    };
    let cut = |note: &String| {
        let place = place(note);
        match note.split_once(" for metric name ") {
            _ if note.contains("binary operator") => format!("an operator {place}"),
            Some((what, _)) => format!("{what} {place}"),
            None => note.clone(),
        }
    };
    let mut notes: Vec<String> = answer.notes.iter().filter(stays).map(cut).collect();
    notes.sort();
    // Several groups may each name one of their series, the same ones or others.
    notes.dedup();
    notes
}

/// What changed between 2.42 and 3.14.
const RULES: &[Rule] = &[
    Rule {
        class: "filters check for many-to-one matching (3.9.0)",
        only_old: false,
        applies: |_, theirs, ours| sees_many_to_one(theirs, ours),
    },
    Rule {
        class: "mad_over_time of NaN is NaN (3.14.0)",
        only_old: false,
        applies: |query, _, _| has(query, &["mad_over_time("]),
    },
    Rule {
        class: "atan2 drops the metric name (2.47.0)",
        only_old: true,
        applies: |query, _, _| has(query, &[" atan2 "]),
    },
    Rule {
        class: "extrapolation is constrained (2.51.0)",
        only_old: true,
        applies: |query, _, _| has(query, &["rate(", "increase("]),
    },
    Rule {
        class: "ranges with @ under functions of the evaluation time (2.51.0)",
        only_old: true,
        applies: |query, _, _| has(query, &["predict_linear("]) && query.contains(" @ "),
    },
    Rule {
        class: "stddev and stdvar of infinities (3.0.0)",
        only_old: true,
        applies: |query, _, _| has(query, &["stddev", "stdvar"]),
    },
    Rule {
        class: "round drops the metric name (2.55.1)",
        only_old: true,
        applies: |query, _, _| has(query, &["round("]),
    },
    Rule {
        class: "histogram_quantile is less inaccurate (2.49.0)",
        only_old: true,
        applies: |query, _, _| has(query, &["histogram_quantile("]),
    },
    Rule {
        class: "a sign makes one series of floats and histograms (3.14.0)",
        only_old: false,
        applies: |query, theirs, ours| {
            let delayed = std::env::var("TIDEWATCH_FEATURES")
                .is_ok_and(|names| names.contains("delayed-name-removal"));
            let loses_name = delayed || has(query, &["-("]);
            loses_name && theirs.is_success && ours.error.ends_with("the same labelset")
        },
    },
    Rule {
        class: "custom buckets that are not a number have no text (3.14.0)",
        only_old: false,
        applies: |_, theirs, _| theirs.error.ends_with("custom buckets have no zero bucket"),
    },
    Rule {
        class: "info looks back as far as the query reads (3.14.0)",
        only_old: false,
        applies: |query, theirs, ours| has(query, &["info("]) && adds_labels(theirs, ours),
    },
    Rule {
        class: "which of several series a note is about",
        only_old: false,
        applies: |query, theirs, ours| {
            let both = theirs.is_success && ours.is_success && theirs.series == ours.series;
            is_newest(query) && both && without_order(theirs) == without_order(ours)
        },
    },
    Rule {
        class: "last digits of a mathematical function, magnified",
        only_old: false,
        applies: |query, _, _| has(query, MATH) && has(query, MAGNIFIERS),
    },
];

/// The class of a difference, if it has one.
pub fn explanation(
    is_old: bool,
    query: &str,
    theirs: &Answer,
    ours: &Answer,
) -> Option<&'static str> {
    let applies = |rule: &&Rule| (is_old || !rule.only_old) && (rule.applies)(query, theirs, ours);
    RULES.iter().find(applies).map(|rule| rule.class)
}

#[test]
fn notes_may_differ_by_the_order_of_series_alone() {
    let answer = |note: &str| Answer {
        is_success: true,
        series: BTreeMap::new(),
        error: String::new(),
        notes: vec![note.to_owned()],
    };
    let explains = |query: &str, theirs: &str, ours: &str| {
        explanation(false, query, &answer(theirs), &answer(ours)).is_some()
    };
    let mix = |name: &str, place: &str| {
        format!("PromQL warning: a mix for metric name \"{name}\" ({place})")
    };
    let operator = "PromQL info: incompatible for binary operator + (1:4)";
    assert!(explains("sum(nhcb)", &mix("g", "1:4"), &mix("h", "1:4")));
    assert!(!explains("sum(nhcb)", &mix("g", "1:4"), &mix("g", "1:5")), "another place");
    assert!(!explains("sum(nhcb)", &mix("g", "1:4"), operator), "another kind");
    assert!(!explains("sum(g)", &mix("g", "1:4"), &mix("h", "1:4")), "nothing new");
}

#[test]
fn every_class_is_documented() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/promql-differences.md");
    let text = std::fs::read_to_string(path).expect("the document is there");
    for Rule { class, .. } in RULES {
        assert!(text.contains(class), "{class:?} is not in docs/promql-differences.md");
    }
}

#[test]
fn info_may_find_labels_that_prometheus_does_not_look_for() {
    let answer = |series: &[(&str, &str)]| Answer {
        is_success: true,
        series: series
            .iter()
            .map(|(labels, value)| ((*labels).to_owned(), serde_json::json!({"value": [1, value]})))
            .collect(),
        error: String::new(),
        notes: Vec::new(),
    };
    let theirs = answer(&[(r#"{"a":"1"}"#, "5"), (r#"{"a":"2"}"#, "6")]);
    let ours = answer(&[(r#"{"a":"1","env":"dev"}"#, "5"), (r#"{"a":"2"}"#, "6")]);
    let explains = |theirs: &Answer, ours: &Answer| {
        explanation(false, "info(rate(x[1m]))", theirs, ours).is_some()
    };
    assert!(explains(&theirs, &ours));
    assert!(!explains(&ours, &theirs), "labels less");
    let other = answer(&[(r#"{"a":"1","env":"dev"}"#, "7"), (r#"{"a":"2"}"#, "6")]);
    assert!(!explains(&theirs, &other), "another value");
}
