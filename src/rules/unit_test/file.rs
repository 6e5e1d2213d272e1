//! From what a unit test file holds to tests with values.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_saphyr::Location;

use super::raw::{RawAlert, RawAlertTest, RawExprTest, RawFile, RawSample, RawTest};
use crate::model::labels::Quoted;
use crate::model::{Labels, parse_duration_ms};
use crate::promql::series_desc::{SeriesDesc, parse_series_desc};
use crate::rules::file::raw::{Pairs, Text};
use crate::rules::file::read_yaml;

/// `evaluation_interval` of a file that gives none, in ms.
const EVALUATION_INTERVAL_MS: i64 = 60_000;

/// A unit test file.
#[derive(Debug)]
pub struct TestFile {
    /// Patterns of rule files, as written.
    pub rule_files: Vec<PathBuf>,
    /// Time between two evaluations of the groups, in ms.
    pub evaluation_interval_ms: i64,
    /// Rank of groups by name; others have rank 0.
    pub order: HashMap<String, usize>,
    /// Whether the last bit of a float does not count.
    pub fuzzy_compare: bool,
    /// The tests.
    pub tests: Vec<Test>,
}

/// One test.
#[derive(Debug)]
pub struct Test {
    /// Its name; may be empty.
    pub name: String,
    /// Time between two input samples, in ms.
    pub interval_ms: i64,
    /// Time of the first evaluation and the first samples, in ms.
    pub start_ms: i64,
    /// The input.
    pub series: Vec<SeriesDesc>,
    /// What fires.
    pub alerts: Vec<AlertTest>,
    /// What expressions give.
    pub exprs: Vec<ExprTest>,
    /// External labels in templates.
    pub external_labels: Labels,
    /// External URL in templates.
    pub external_url: String,
}

/// What fires at a time.
#[derive(Debug)]
pub struct AlertTest {
    /// Time since the start, in ms.
    pub at_ms: i64,
    /// Name of the alert.
    pub alertname: String,
    /// Only alerts of the group of this name.
    pub group: Option<String>,
    /// All that fire.
    pub expected: Vec<ExpectedAlert>,
}

/// An alert by its labels, `alertname` among them, and annotations.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExpectedAlert {
    /// All labels.
    pub labels: Vec<(String, String)>,
    /// All annotations.
    pub annotations: Vec<(String, String)>,
}

/// What an expression gives at a time.
#[derive(Debug)]
pub struct ExprTest {
    /// The expression.
    pub expr: String,
    /// Time since the start, in ms.
    pub at_ms: i64,
    /// All samples.
    pub expected: Vec<RawSample>,
}

/// Reads the text of a file. `base` is its directory.
///
/// # Errors
/// What is wrong with it, as sentences with places.
pub(super) fn parse(
    text: &str,
    base: &Path,
    ignore_unknown_fields: bool,
) -> Result<TestFile, Vec<String>> {
    let raw: Option<RawFile> = read_yaml(text).map_err(|(place, message)| {
        let place = place.map(|(line, column)| format!("{line}:{column}: ")).unwrap_or_default();
        vec![format!("{place}{message}")]
    })?;
    let mut checker = Checker { errors: Vec::new(), ignore_unknown_fields };
    let file = checker.file(raw.unwrap_or_default(), base);
    if checker.errors.is_empty() { Ok(file) } else { Err(checker.errors) }
}

struct Checker {
    errors: Vec<String>,
    ignore_unknown_fields: bool,
}

impl Checker {
    fn fail(&mut self, at: Location, message: impl std::fmt::Display) {
        self.errors.push(format!("{}:{}: {message}", at.line(), at.column()));
    }

    fn unknown(&mut self, keys: &[Text], of: &str) {
        if self.ignore_unknown_fields {
            return;
        }
        for key in keys {
            self.fail(key.defined, format_args!("field {} not found in {of}", key.value));
        }
    }

    fn duration(&mut self, text: Option<Text>) -> Option<i64> {
        let text = text?;
        parse_duration_ms(&text.value).map_err(|error| self.fail(text.defined, error)).ok()
    }

    fn file(&mut self, raw: RawFile, base: &Path) -> TestFile {
        self.unknown(&raw.unknown, "the file");
        let interval = self.duration(raw.evaluation_interval).filter(|ms| *ms > 0);
        let evaluation_interval_ms = interval.unwrap_or(EVALUATION_INTERVAL_MS);
        let mut order = HashMap::new();
        for (rank, name) in raw.group_eval_order.unwrap_or_default().into_iter().enumerate() {
            if order.insert(name.value.clone(), rank).is_some() {
                let name = &name.value;
                self.errors.push(format!("group name repeated in evaluation order: {name}"));
            }
        }
        let fuzzy_compare = match raw.fuzzy_compare {
            None => false,
            Some(text) => text.value.parse().unwrap_or_else(|_| {
                self.fail(text.defined, "fuzzy_compare is true or false");
                false
            }),
        };
        let files = raw.rule_files.unwrap_or_default().into_iter();
        let tests = raw.tests.unwrap_or_default().into_iter();
        TestFile {
            rule_files: files.map(|file| base.join(file.value)).collect(),
            evaluation_interval_ms,
            order,
            fuzzy_compare,
            tests: tests.map(|test| self.test(test, evaluation_interval_ms)).collect(),
        }
    }

    fn test(&mut self, raw: RawTest, evaluation_interval_ms: i64) -> Test {
        self.unknown(&raw.unknown, "a test");
        let name = raw.name.map(|name| name.value).unwrap_or_default();
        let interval_ms = self.duration(raw.interval).filter(|ms| *ms > 0);
        let mut series = Vec::new();
        for raw in raw.input_series.unwrap_or_default() {
            self.unknown(&raw.unknown, "a series");
            let text = |text: Option<Text>| text.map(|text| text.value).unwrap_or_default();
            let at = raw.series.as_ref().map(|series| series.defined);
            let line = format!("{} {}", text(raw.series), text(raw.values));
            match parse_series_desc(&line) {
                Ok(desc) => series.push(desc),
                Err(error) => self.fail(at.unwrap_or(Location::UNKNOWN), error),
            }
        }
        let exprs = raw.promql_expr_test.unwrap_or_default();
        let exprs = exprs.into_iter().chain(raw.metricsql_expr_test.unwrap_or_default());
        let alerts = raw.alert_rule_test.unwrap_or_default().into_iter();
        Test {
            interval_ms: interval_ms.unwrap_or(evaluation_interval_ms),
            start_ms: self.start(raw.start_timestamp),
            series,
            alerts: alerts.map(|test| self.alert(test, &name)).collect(),
            exprs: exprs.map(|test| self.expr(test)).collect(),
            external_labels: self.labels(raw.external_labels),
            external_url: raw.external_url.map(|url| url.value).unwrap_or_default(),
            name,
        }
    }

    /// Seconds since the epoch, or a calendar time; 0 when absent.
    fn start(&mut self, text: Option<Text>) -> i64 {
        let Some(text) = text else { return 0 };
        let seconds = text.value.parse::<f64>().ok().filter(|seconds| seconds.abs() < 1e12);
        let ms = seconds.map(|seconds| (seconds * 1000.0).round() as i64);
        let calendar = || text.value.parse::<jiff::Timestamp>().ok().map(|t| t.as_millisecond());
        ms.or_else(calendar).unwrap_or_else(|| {
            let message = "start_timestamp is neither seconds since the epoch nor an RFC 3339 time";
            self.fail(text.defined, message);
            0
        })
    }

    fn labels(&mut self, pairs: Option<Pairs>) -> Labels {
        let pairs = pairs_of(pairs);
        let labels = Labels::from_pairs(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        labels.unwrap_or_else(|error| {
            self.errors.push(format!("external_labels: {error}"));
            Labels::empty()
        })
    }

    fn alert(&mut self, raw: RawAlertTest, test: &str) -> AlertTest {
        self.unknown(&raw.unknown, "a test of an alert");
        let at_ms = self.duration(raw.eval_time).unwrap_or(0);
        let alertname = raw.alertname.map(|name| name.value).unwrap_or_default();
        if alertname.is_empty() {
            let of =
                if test.is_empty() { String::new() } else { format!(" (in TestGroup {test})") };
            let at = crate::model::DurationMs(at_ms);
            self.errors.push(format!(
                "an item under alert_rule_test misses required attribute alertname at eval_time \
                 {at}{of}"
            ));
        }
        let expected = raw.exp_alerts.unwrap_or_default().into_iter();
        let expected = expected.map(|alert| self.expected(alert, &alertname)).collect();
        AlertTest { at_ms, alertname, group: raw.groupname.map(|name| name.value), expected }
    }

    fn expected(&mut self, raw: RawAlert, alertname: &str) -> ExpectedAlert {
        self.unknown(&raw.unknown, "an expected alert");
        let mut labels = pairs_of(raw.exp_labels);
        labels.retain(|(name, value)| name != "alertname" && !value.is_empty());
        labels.push(("alertname".to_owned(), alertname.to_owned()));
        labels.sort();
        ExpectedAlert { labels, annotations: pairs_of(raw.exp_annotations) }
    }

    fn expr(&mut self, raw: RawExprTest) -> ExprTest {
        self.unknown(&raw.unknown, "a test of an expression");
        let at_ms = self.duration(raw.eval_time).unwrap_or(0);
        let expected = raw.exp_samples.unwrap_or_default();
        for sample in &expected {
            self.unknown(&sample.unknown, "an expected sample");
            let value = sample.value.as_ref();
            if let Some(text) = value.filter(|text| yaml_float(&text.value).is_none()) {
                let message = format!("value {} is not a number", Quoted(&text.value));
                self.fail(text.defined, message);
            }
        }
        ExprTest { expr: raw.expr.map(|expr| expr.value).unwrap_or_default(), at_ms, expected }
    }
}

/// Pairs ascending by name.
fn pairs_of(pairs: Option<Pairs>) -> Vec<(String, String)> {
    let pairs = pairs.unwrap_or_default().0.into_iter();
    let text = |text: Option<Text>| text.map(|text| text.value).unwrap_or_default();
    let mut pairs: Vec<_> = pairs.map(|(name, value)| (name.value, text(value))).collect();
    pairs.sort();
    pairs
}

/// A number as YAML writes it: `.inf` and `.nan` among them.
pub(super) fn yaml_float(text: &str) -> Option<f64> {
    let bare = text.trim_start_matches(['+', '-']);
    if bare.eq_ignore_ascii_case(".nan") {
        return Some(f64::NAN);
    }
    if bare.eq_ignore_ascii_case(".inf") {
        return Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    // Other words for them are texts there.
    if !bare.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    let hexadecimal =
        bare.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
    hexadecimal.map(|number| number as f64).or_else(|| text.replace('_', "").parse().ok())
}
