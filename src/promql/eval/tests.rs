//! Queries over series in memory: what the engine as a whole promises.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::super::engine::{Engine, EngineOptions, QueryOptions, QueryOutput};
use super::super::error::QueryError;
use super::super::features::Features;
use super::super::memory::{MemorySample, MemorySource, MemoryValue};
use super::super::script;
use super::super::value::Value;
use crate::model::limits::QUERY_SERIES_MAX;
use crate::model::{
    Clock, Labels, Selector, SeriesData, SeriesSet, SeriesSource, SourceError, Timestamp,
    is_stale_nan, stale_nan,
};

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

/// As many series as are asked for, without samples.
struct Crowd(usize, Labels);

impl SeriesSet for Crowd {
    fn len(&self) -> usize {
        self.0
    }

    fn labels(&self, _: usize) -> &Labels {
        &self.1
    }

    fn read(&self, _: usize, _: &mut SeriesData) -> Result<(), SourceError> {
        Err(SourceError::Unavailable("nobody should have come so far".to_owned()))
    }
}

impl SeriesSource for Crowd {
    fn select(&self, _: &Selector<'_>) -> Result<Box<dyn SeriesSet>, SourceError> {
        Ok(Box::new(Crowd(self.0, self.1.clone())))
    }

    fn series(&self, _: &Selector<'_>) -> Result<Vec<Labels>, SourceError> {
        Ok(Vec::new())
    }

    fn label_names(&self, _: &Selector<'_>) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }

    fn label_values(&self, _: &str, _: &Selector<'_>) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }
}

#[test]
fn a_selector_of_too_many_series_is_refused_before_they_are_read() {
    let crowd = Crowd(QUERY_SERIES_MAX + 1, Labels::empty());
    let options = QueryOptions::default();
    for text in ["a", "rate(a[5m])", "sum(a)", "a[5m]", "info(vector(1) or a)"] {
        let error = engine(false).instant(&crowd, text, Timestamp(0), &options);
        assert_eq!(
            error.expect_err("too many").to_string(),
            "a selector matches 2000001 series, a query may read 2000000 of one",
            "{text}"
        );
    }
}

#[test]
fn a_query_that_needs_too_many_samples_tells_how_many() {
    let source = counters();
    let options = EngineOptions { samples_max: 10, ..EngineOptions::default() };
    let error = Engine::new(options)
        .range(
            &source,
            "c_total",
            Timestamp(0),
            Timestamp(60_000),
            10_000,
            &QueryOptions::default(),
        )
        .expect_err("more than ten");
    let QueryError::TooManySamples { needed, allowed } = error else { panic!("{error}") };
    assert!(needed > 10 && allowed == 10, "{needed}");
}

#[test]
fn only_the_last_word_of_an_operator_at_a_step_is_told() {
    assert_passes(
        "load 1m\n  h{x=\"a\"} {{count:1 sum:1 buckets:[1]}}\n  h{x=\"b\"} {{count:1 sum:1 buckets:[1]}}\n  \
         g{x=\"a\"} 1\n\n\
         eval instant at 0 h atan2 fill_left(1) h\n  \
         expect info msg: PromQL info: incompatible sample types encountered for binary operator \
         \"atan2\": float atan2 histogram (1:1)\n",
    );
}

#[test]
fn names_are_dropped_before_the_next_operation_begins() {
    let mut source = memory(&[(&[("__name__", "f"), ("x", "1")], &[1.0, 2.0])]);
    let labels = Labels::from_pairs([("__name__", "h"), ("x", "1")]).expect("valid");
    let histogram = MemoryValue::Histogram(Box::default());
    let point = MemorySample { timestamp: 0, start_timestamp: 0, value: histogram };
    source.append(&labels, [point]);
    // The sine of a histogram is nothing, but its double is one.
    for text in [r#"sin({__name__=~"f|h"} * 2)"#, r#"sum(sin({__name__=~"f|h"} * 2))"#] {
        assert_eq!(error(&source, text), "vector cannot contain metrics with the same labelset");
    }
    // What gives nothing is no series.
    let sums = show(&source, r#"sum(abs({__name__=~"f|h"}))"#);
    assert_eq!(sums, ["{}: 0 1, 20 2, 40 2, 60 2"]);
}

#[test]
fn samples_are_counted_by_step_as_prometheus_does() {
    let values: &[f64] = &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let name = ("__name__", "c_total");
    let source = memory(&[(&[name, ("x", "a")], values), (&[name, ("x", "b")], values)]);
    let options = QueryOptions { by_step: true, ..QueryOptions::default() };
    let counted = |text: &str| {
        let (start, end) = (Timestamp(20_000), Timestamp(60_000));
        let output = engine(false).range(&source, text, start, end, 20_000, &options);
        let steps = output.expect("a result").stats.steps;
        steps.iter().map(|(_, seen, read)| (*seen, *read)).collect::<Vec<_>>()
    };
    let series = counted("c_total").first().map_or(0, |(seen, _)| *seen);
    assert_eq!(counted("c_total"), vec![(series, series); 3]);
    assert_eq!(counted("c_total @ 20"), [(series, series), (series, 0), (series, 0)]);
    let window = [(2 * series, 2 * series); 3];
    assert_eq!(counted("rate(c_total[20s])"), window);
    assert_eq!(counted("sum(rate(c_total[20s])) + 1"), window);
    let overlapping = [(3, 3), (4, 2), (4, 2)].map(|(seen, read)| (seen * series, read * series));
    assert_eq!(counted("sum_over_time(c_total[40s])"), overlapping);
    assert_eq!(
        counted("sum_over_time(c_total[40s:20s])"),
        [(2 * series, 2 * series), (2 * series, series), (2 * series, series)]
    );
}

#[test]
fn what_cannot_be_interpolated_is_left_out_and_told() {
    assert_passes(
        "load 30s\n  m {{schema:0 sum:1 count:1 buckets:[1]}} \
         {{schema:-53 sum:1 count:1 custom_values:[5 10] buckets:[1]}} \
         {{schema:0 sum:5 count:4 buckets:[1 2 1]}}\n\n\
         eval instant at 45s histogram_count(m smoothed)\n  \
         expect warn msg: PromQL warning: vector contains a mix of histograms with exponential and \
         custom buckets schemas for metric name \"m\" (1:17)\n",
    );
}

#[test]
fn the_side_that_is_not_there_is_filled_but_duplicates_are_refused() {
    assert_passes(
        "load 1m\n  a{x=\"1\"} 1\n  b{x=\"1\"} 2\n\n\
         eval instant at 0 none + on (x) fill_left(5) b\n  {x=\"1\"} 7\n\n\
         eval instant at 0 none + on (x) fill_right(5) {__name__=~\"a|b\"}\n  \
         expect fail regex: found duplicate series for the match group\n\n\
         eval instant at 0 resets(a[min_of(2m, range())] smoothed)\n  \
         expect fail msg: 16:27: duration must be greater than 0\n",
    );
}

#[test]
fn what_stands_first_fails_first_and_what_stands_last_is_told() {
    let source = counters();
    let (twins, pattern) =
        ("(c_total + on () c_total)", r#"scalar(label_replace(c_total, "x", "", "x", "("))"#);
    for text in [
        format!("{twins} * {pattern}"),
        format!("clamp({twins}, 0, {pattern})"),
        format!("quantile_over_time({pattern}, {twins}[20s:10s])"),
    ] {
        assert!(error(&source, &text).contains("duplicate series"), "{text}");
    }
    let text = format!("{pattern} * {twins}");
    assert!(error(&source, &text).contains("regular expression"), "{text}");

    let gauge = memory(&[(&[("__name__", "g")], &[1.0, 2.0, 3.0])]);
    let told = range(&gauge, "rate(g[20s]) + scalar(sum(rate(g[20s])))").expect("a result");
    assert_eq!(told.annotations.infos.len(), 1);
    assert!(told.annotations.infos[0].ends_with("(1:32)"), "{:?}", told.annotations);
}

#[test]
fn the_first_step_that_cannot_be_matched_is_told() {
    let gap = f64::NAN;
    let source = memory(&[
        (&[("__name__", "l"), ("x", "1"), ("y", "1")], &[gap, gap, 1.0, 1.0, 1.0]),
        (&[("__name__", "l"), ("x", "1"), ("y", "2")], &[gap, gap, 1.0, 1.0, 1.0]),
        (&[("__name__", "r"), ("x", "1"), ("y", "1")], &[1.0, 1.0, 1.0, 1.0, 1.0]),
        (&[("__name__", "r"), ("x", "1"), ("y", "2")], &[gap, gap, gap, gap, 1.0]),
    ]);
    assert!(error(&source, "l + on (x) r").contains("multiple matches"));
    assert!(error(&source, "l + on (x) group_left () r").contains("duplicate series"));
}
