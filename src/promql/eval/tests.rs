//! Queries over series in memory: what the engine as a whole promises.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::super::engine::{Engine, EngineOptions, QueryOptions, QueryOutput};
use super::super::error::QueryError;
use super::super::features::Features;
use super::super::memory::{MemorySample, MemorySource, MemoryValue};
use super::super::script;
use super::super::value::Value;
use crate::model::{Clock, Labels, Timestamp, is_stale_nan, stale_nan};

/// Series with a sample every 10 s from 0 on; NaN leaves one out.
fn memory(series: &[(&[(&str, &str)], &[f64])]) -> MemorySource {
    let mut source = MemorySource::new();
    for (pairs, values) in series {
        let labels = Labels::from_pairs(pairs.iter().copied()).expect("valid");
        let kept = values.iter().enumerate().filter(|(_, v)| !v.is_nan() || is_stale_nan(**v));
        source.append(&labels, kept.map(|(at, value)| sample(at as i64 * 10_000, *value)));
    }
    source
}

fn sample(timestamp: i64, value: f64) -> MemorySample {
    MemorySample { timestamp, start_timestamp: 0, value: MemoryValue::Float(value) }
}

fn engine(pool: bool) -> Engine {
    let threads = || rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("threads");
    Engine::new(EngineOptions {
        features: Features { experimental_functions: true, ..Features::default() },
        pool: pool.then(|| Arc::new(threads())),
        ..EngineOptions::default()
    })
}

fn range(source: &MemorySource, text: &str) -> Result<QueryOutput, QueryError> {
    let (start, end) = (Timestamp(0), Timestamp(60_000));
    engine(false).range(source, text, start, end, 20_000, &QueryOptions::default())
}

/// The result of a range query from 0 to 60 s in steps of 20 s: `labels: time value, ...`.
fn show(source: &MemorySource, text: &str) -> Vec<String> {
    let Value::Matrix(series) = range(source, text).expect("a result").value else {
        panic!("a range query gives a matrix");
    };
    let show = |(ms, value): &(i64, f64)| format!("{} {value}", ms / 1000);
    series
        .iter()
        .map(|s| {
            let points: Vec<String> = s.floats.iter().map(show).collect();
            format!("{}: {}", s.labels, points.join(", "))
        })
        .collect()
}

fn error(source: &MemorySource, text: &str) -> String {
    range(source, text).expect_err("an error").to_string()
}

fn counters() -> MemorySource {
    let gap = f64::NAN;
    memory(&[
        (&[("__name__", "c_total"), ("x", "a")], &[0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0]),
        (&[("__name__", "c_total"), ("x", "b")], &[0.0, 10.0, 0.0, 10.0, gap, stale_nan(), gap]),
    ])
}

#[test]
fn selectors_look_back_and_stop_at_stale_markers() {
    assert_eq!(
        show(&counters(), "c_total"),
        [
            r#"{__name__="c_total", x="a"}: 0 0, 20 20, 40 40, 60 60"#,
            r#"{__name__="c_total", x="b"}: 0 0, 20 0, 40 10"#,
        ]
    );
    assert_eq!(
        show(&counters(), "c_total{x='a'} offset -10s"),
        [r#"{__name__="c_total", x="a"}: 0 10, 20 30, 40 50, 60 60"#]
    );
    assert_eq!(show(&counters(), "c_total{x='a'} @ 30")[0].matches("30").count(), 4);
}

#[test]
fn rates_correct_resets_and_drop_the_name() {
    assert_eq!(
        show(&counters(), "increase(c_total[20s])"),
        [r#"{x="a"}: 20 20, 40 20, 60 20"#, r#"{x="b"}: 20 0"#]
    );
    assert_eq!(show(&counters(), "sum(rate(c_total[20s]))"), ["{}: 20 1, 40 1, 60 1"]);
}

#[test]
fn aggregations_group_by_labels() {
    let grouped = show(&counters(), "sum by (x) (c_total)");
    assert_eq!(grouped, [r#"{x="a"}: 0 0, 20 20, 40 40, 60 60"#, r#"{x="b"}: 0 0, 20 0, 40 10"#]);
    assert_eq!(show(&counters(), "count(c_total)"), ["{}: 0 2, 20 2, 40 2, 60 1"]);
    assert_eq!(
        show(&counters(), "topk(1, c_total) > 0"),
        [r#"{__name__="c_total", x="a"}: 20 20, 40 40, 60 60"#]
    );
}

#[test]
fn operators_match_series_and_say_when_they_cannot() {
    assert_eq!(
        show(&counters(), "c_total / ignoring(x) group_left sum(c_total)"),
        [r#"{x="a"}: 0 NaN, 20 1, 40 0.8, 60 1"#, r#"{x="b"}: 0 NaN, 20 0, 40 0.2"#]
    );
    assert_eq!(show(&counters(), "c_total unless c_total{x='a'}").len(), 1);
    assert_eq!(
        error(&counters(), "sum(c_total) + ignoring(x) c_total"),
        "found duplicate series for the match group {} on the right hand-side of the operation: \
         [{__name__=\"c_total\", x=\"a\"}, {__name__=\"c_total\", x=\"b\"}];many-to-many matching \
         not allowed: matching labels must be unique on one side"
    );
    assert_eq!(
        error(&counters(), "c_total + ignoring(x) sum(c_total)"),
        "multiple matches for labels: many-to-one matching must be explicit \
         (group_left/group_right)"
    );
}

#[test]
fn subqueries_step_on_multiples_of_their_step() {
    assert_eq!(
        show(&counters(), "max_over_time(c_total{x='a'}[30s:10s])"),
        [r#"{x="a"}: 0 0, 20 20, 40 40, 60 60"#]
    );
    assert_eq!(
        show(&counters(), "count_over_time(c_total{x='a'}[40s:25s])"),
        [r#"{x="a"}: 0 1, 20 1, 40 1, 60 2"#]
    );
}

#[test]
fn threads_change_nothing() {
    let names: Vec<String> = (0..300).map(|i| i.to_string()).collect();
    let rows: Vec<[(&str, &str); 2]> =
        names.iter().map(|n| [("__name__", "m"), ("i", n.as_str())]).collect();
    let values: Vec<[f64; 7]> =
        (0..300).map(|i| std::array::from_fn(|t| 0.1 * (i * 7 + t) as f64)).collect();
    let series: Vec<(&[(&str, &str)], &[f64])> =
        rows.iter().zip(&values).map(|(r, v)| (r.as_slice(), v.as_slice())).collect();
    let source = memory(&series);
    let run = |pool| {
        let (start, end) = (Timestamp(0), Timestamp(60_000));
        let options = QueryOptions::default();
        let output = engine(pool).range(&source, "avg(rate(m[30s]))", start, end, 10_000, &options);
        output.expect("a result")
    };
    let (alone, together) = (run(false), run(true));
    assert_eq!(alone.value, together.value);
    assert_eq!(alone.stats.samples_total, together.stats.samples_total);
    assert_eq!(alone.stats.samples_total, 300 * (1 + 2 + 3 * 5));
}

#[test]
fn limits_and_annotations_reach_the_user() {
    let source = memory(&[(&[("__name__", "g")], &[1.0, 2.0, 3.0])]);
    let output = range(&source, "rate(g[1m])").expect("a result");
    assert_eq!(
        output.annotations.infos,
        ["PromQL info: metric might not be a counter, name does not end in \
          _total/_sum/_count/_bucket: \"g\" (1:6)"]
    );
    let small = EngineOptions { samples_max: 2, ..EngineOptions::default() };
    let options = QueryOptions::default();
    let result = Engine::new(small).instant(&source, "g[1m]", Timestamp(20_000), &options);
    assert!(matches!(result, Err(QueryError::TooManySamples { needed: 3, allowed: 2 })));
}

/// A clock that counts how often a query looks at it, which it does where it can stop, and cancels
/// the query at one of these times.
#[derive(Debug, Default)]
struct StopWatch {
    looks: AtomicU64,
    cancel_at: u64,
    cancel: Arc<AtomicBool>,
}

impl Clock for StopWatch {
    fn now(&self) -> Timestamp {
        if self.looks.fetch_add(1, Ordering::Relaxed) + 1 == self.cancel_at {
            self.cancel.store(true, Ordering::Relaxed);
        }
        Timestamp(0)
    }
}

/// Evaluates until look number `cancel_at`; how often the query looked in all, samples looked at,
/// and whether it was canceled.
fn canceled_at(source: &MemorySource, text: &str, cancel_at: u64) -> (u64, u64, bool) {
    let watch = Arc::new(StopWatch { cancel_at, ..StopWatch::default() });
    let samples = Arc::new(AtomicU64::new(0));
    let options = QueryOptions {
        cancel: Some(Arc::clone(&watch.cancel)),
        looked_at: Some(Arc::clone(&samples)),
        ..QueryOptions::default()
    };
    let engine = Engine::new(EngineOptions {
        clock: Arc::clone(&watch) as Arc<dyn Clock>,
        pool: engine(true).options().pool.clone(),
        ..EngineOptions::default()
    });
    let result = engine.range(source, text, Timestamp(0), Timestamp(600_000), 1000, &options);
    let looks = watch.looks.load(Ordering::Relaxed);
    let canceled = matches!(result, Err(QueryError::Canceled(_)));
    (looks, samples.load(Ordering::Relaxed), canceled)
}

/// That a query stops at the next look, and looks often enough: at least once for so many samples,
/// which are a few ms of work.
#[test]
fn a_canceled_query_ends_where_it_next_can() {
    const SAMPLES_PER_LOOK: u64 = 1 << 19;
    let names: Vec<String> = (0..1000).map(|i| i.to_string()).collect();
    let rows: Vec<[(&str, &str); 2]> =
        names.iter().map(|n| [("__name__", "m"), ("i", n.as_str())]).collect();
    let values: Vec<f64> = (0..60).map(f64::from).collect();
    let series: Vec<(&[(&str, &str)], &[f64])> =
        rows.iter().map(|row| (row.as_slice(), values.as_slice())).collect();
    let source = memory(&series);
    let queries = [
        "sum(quantile_over_time(0.9, m[10m]))",
        "max_over_time(sum(m)[10m:1s])",
        "m + on(i) m",
        "histogram_quantile(0.9, label_replace(m, \"le\", \"+Inf\", \"\", \"\"))",
        "topk(5, m)",
        "count_values by (i) (\"v\", m)",
        "label_replace(m, \"j\", \"$1\", \"i\", \"(.*)\") or m",
    ];
    for text in queries {
        let (looks, samples, canceled) = canceled_at(&source, text, u64::MAX);
        assert!(!canceled && looks * SAMPLES_PER_LOOK > samples, "{text}: {looks} {samples}");
        for part in [1, 4, 7] {
            let at = (looks * part / 8).max(2);
            let (after, _, canceled) = canceled_at(&source, text, at);
            assert!(canceled, "{text} went on to its end after look {at} of {looks}");
            // Each thread may have been on its way to one more.
            assert!(after <= at + 4, "{text} looked {after} times, canceled at look {at}");
        }
    }
}

#[test]
fn scripts_of_prometheus_pass() {
    let Some(dir) = script::tests::shared_scripts() else {
        println!("skipped: no promqltest directory in the shared data");
        return;
    };
    let mut passed = 0;
    for entry in std::fs::read_dir(dir).expect("the directory is readable") {
        let path = entry.expect("the directory is readable").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.ends_with(".test") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("the script is readable");
        let script = script::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let report = script::run(&script, &script::engine(), &mut MemorySource::new());
        passed += report.passed;
        assert!(report.failures.is_empty(), "{name}: {:#?}", report.failures);
    }
    assert!(passed >= 1478, "{passed} evaluations passed");
}

/// Passes when every evaluation of the script does.
fn assert_passes(script: &str) {
    let script = script::parse(script).unwrap_or_else(|error| panic!("{error}"));
    let report = script::run(&script, &script::engine(), &mut MemorySource::new());
    assert!(report.passed > 0 && report.failures.is_empty(), "{report:?}");
}

#[test]
fn native_histograms_are_computed_with() {
    assert_passes(
        "load 1m
  h{x=\"a\"} {{schema:1 count:4 sum:8 buckets:[1 2 1]}}+{{schema:1 count:4 sum:8 buckets:[1 2 1]}}x5
  h{x=\"b\"} {{schema:0 count:2 sum:4 buckets:[1 1]}}x5

eval instant at 5m h{x=\"a\"} / 6
  {x=\"a\"} {{schema:1 count:4 sum:8 buckets:[1 2 1]}}

eval instant at 5m sum(h)
  {} {{schema:0 count:26 sum:52 buckets:[7 19]}}

eval instant at 5m histogram_count(increase(h[5m]))
  {x=\"a\"} 20
  {x=\"b\"} 0

eval instant at 5m histogram_avg(h)
  {x=\"a\"} 2
  {x=\"b\"} 2

eval instant at 5m resets(h[5m])
  {x=\"a\"} 0
  {x=\"b\"} 0
",
    );
}

#[test]
fn histograms_that_go_on_counting_say_so() {
    assert_passes(
        "load 1m
  h {{count:1 buckets:[1]}} {{count:3 buckets:[3]}} 7 {{count:4 buckets:[4]}} {{count:2 buckets:[2]}} {{count:3 buckets:[3]}}

eval instant at 1m h
  h {{count:3 counter_reset_hint:not_reset buckets:[3]}}

eval instant at 3m h
  h {{count:4 counter_reset_hint:unknown buckets:[4]}}

eval instant at 4m h
  h {{count:2 counter_reset_hint:unknown buckets:[2]}}

eval instant at 5m h
  h {{count:3 counter_reset_hint:not_reset buckets:[3]}}
",
    );
}

#[test]
fn names_that_are_no_text_are_refused_as_they_were_written() {
    assert_passes(
        "load 1m
  m{a=\"b\"} 1

eval instant at 0 count_values(\"a\\xc5z\", m)
  expect fail msg:invalid label name \"a\\xc5z\"

eval instant at 0 label_replace(m, \"\\xff\", \"x\", \"a\", \"b\")
  expect fail regex:invalid destination label name in label_replace\\(\\): .
",
    );
}

#[test]
fn info_adds_the_labels_of_info_metrics() {
    assert_passes(
        "load 1m
  up{instance=\"i\", job=\"j\"} 1 1
  up{instance=\"other\", job=\"j\"} 0 0
  target_info{instance=\"i\", job=\"j\", version=\"3\"} 1 1

eval instant at 1m info(up)
  up{instance=\"i\", job=\"j\", version=\"3\"} 1
  up{instance=\"other\", job=\"j\"} 0

eval instant at 1m info(up, {version=~\".+\"})
  up{instance=\"i\", job=\"j\", version=\"3\"} 1
",
    );
}
