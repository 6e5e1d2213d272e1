//! Lines as Airflow 2.11 and 3.3 send them, and recordings of both.

use std::collections::BTreeMap;

use super::*;
use crate::model::{Labels, Timestamp, is_stale_nan};
use crate::statsd::metrics::Counts;
use crate::statsd::replay_tests::{datagrams, recording};
use crate::statsd::series::PointValue;
use crate::statsd::{Aggregator, Resolver};

const NOW: Timestamp = Timestamp(1_795_225_822_000);

fn aggregator(instances: Vec<Instance>) -> Aggregator {
    let mut aggregator = Aggregator::new(100_000);
    let airflow = Some(Airflow::new(instances, "default", false));
    aggregator.set_resolver(Resolver { airflow, ..Resolver::default() });
    aggregator
}

fn take_at(aggregator: &mut Aggregator, lines: &str, at: Timestamp) -> Counts {
    let mut counts = Counts::default();
    aggregator.take_lines(Origin::default(), lines.as_bytes(), at, &mut counts);
    counts
}

/// Present values by series, buckets left out.
fn values(aggregator: &mut Aggregator, at: Timestamp) -> BTreeMap<String, f64> {
    aggregator.settle(at, &mut Counts::default());
    let shown = |labels: &Labels| {
        let labels = labels
            .iter()
            .filter(|(key, _)| !matches!(*key, "__name__" | "airflow" | "job" | "instance"));
        let labels: Vec<String> = labels.map(|(key, value)| format!("{key}={value}")).collect();
        labels.join(",")
    };
    let points = aggregator.points(at);
    let values = points.iter().filter_map(|point| match point.value {
        PointValue::Float(value) if is_stale_nan(value) => None,
        PointValue::Float(value) if point.labels.get("le").is_none() => {
            let labels = shown(point.labels);
            Some((format!("{}{{{labels}}}", point.labels.metric_name()), value))
        }
        _ => None,
    });
    values.collect()
}

/// Values of `lines`, two minutes later, when nothing is held back any more.
fn values_of(lines: &str) -> BTreeMap<String, f64> {
    let mut aggregator = aggregator(Vec::new());
    take_at(&mut aggregator, lines, NOW);
    values(&mut aggregator, NOW.saturating_add(120_000))
}

fn assert_values(lines: &str, expected: &[(&str, f64)]) {
    let expected: BTreeMap<String, f64> =
        expected.iter().map(|(series, value)| ((*series).to_owned(), *value)).collect();
    assert_eq!(values_of(lines), expected, "{lines}");
}

#[test]
fn dotted_names_beat_bare_ones() {
    assert_values(
        "airflow.pool.open_slots:5|g\nairflow.pool.open_slots.default_pool:5|g\n\
         airflow.pool.open_slots:1|g\nairflow.pool.open_slots.one_slot:1|g",
        &[
            ("airflow_pool_open_slots{pool=default_pool,pool_name=default_pool}", 5.0),
            ("airflow_pool_open_slots{pool=one_slot,pool_name=one_slot}", 1.0),
        ],
    );
    assert_values(
        "airflow.ti.start:1|c\nairflow.ti.start.d.t:1|c",
        &[("airflow_task_start_total{dag_id=d,task_id=t}", 1.0)],
    );
}

#[test]
fn tagged_names_beat_dotted_ones() {
    assert_values(
        "airflow.ti.finish.d.g.t.success:1|c|#dag_id:d,task_id:g.t\n\
         airflow.ti.finish:1|c|#dag_id:d,task_id:g.t,state:success",
        &[("airflow_task_finish_total{dag_id=d,state=success,task_id=g.t}", 1.0)],
    );
    assert_values(
        "airflow.executor.open_slots.LocalExecutor,status=open:3|g\n\
         airflow.executor.open_slots,status=open,executor_class_name=LocalExecutor:4|g",
        &[("airflow_executor_open_slots{executor=LocalExecutor}", 4.0)],
    );
}

#[test]
fn bare_names_are_kept_when_nothing_better_comes() {
    let mut aggregator = aggregator(Vec::new());
    take_at(&mut aggregator, "airflow.task.duration:2000|ms\nairflow.ti_failures:1|c", NOW);
    let soon = values(&mut aggregator, NOW.saturating_add(10_000));
    assert_eq!(soon.keys().collect::<Vec<_>>(), ["airflow_ti_failures_total{}"]);
    let later = values(&mut aggregator, NOW.saturating_add(60_000));
    assert_eq!(later["airflow_task_duration_seconds_sum{}"], 2.0);
    // Something better comes after all: the bare series ends.
    take_at(&mut aggregator, "airflow.dag.d.t.duration:3000|ms", NOW.saturating_add(61_000));
    let last = values(&mut aggregator, NOW.saturating_add(70_000));
    assert_eq!(last["airflow_task_duration_seconds_sum{dag_id=d,task_id=t}"], 3.0);
    assert!(!last.contains_key("airflow_task_duration_seconds_sum{}"));
}

#[test]
fn units_follow_version_and_backend() {
    let v2 = "airflow.dataset.updates:0|c\n";
    let v3 = "airflow.asset.updates:0|c\n";
    let tag = "|#dag_id:d,task_id:t";
    for (lines, series, expected) in [
        (format!("{v2}airflow.dag.d.t.queued_duration:2.5|ms"), "task_queue", 2.5),
        (format!("{v2}airflow.dag.d.t.duration:2500|ms"), "task_duration", 2.5),
        (format!("{v2}airflow.task.duration:2.5|ms{tag}"), "task_duration", 2.5),
        (format!("{v3}airflow.task.duration:2500|ms{tag}"), "task_duration", 2.5),
        (format!("{v3}airflow.dag.d.t.scheduled_duration:2500|ms"), "task_scheduled", 2.5),
    ] {
        let name = format!("airflow_{series}_seconds_sum{{dag_id=d,task_id=t}}");
        assert_eq!(values_of(&lines).get(&name), Some(&expected), "{lines}");
    }
    for (lines, expected) in [
        (format!("{v2}airflow.dag_processing.last_duration.a.b:1500|ms"), ("dag_file=a.b", 1.5)),
        (
            format!("{v3}airflow.dag_processing.last_duration.bundle.b:1.5|ms"),
            ("bundle_name=bundle,dag_file=b", 1.5),
        ),
        (
            format!("{v2}airflow.dag_processing.last_duration:1.5|ms|#file_name:b"),
            ("dag_file=b", 1.5),
        ),
    ] {
        let name = format!("airflow_dag_processing_last_duration_seconds_sum{{{}}}", expected.0);
        assert_eq!(values_of(&lines).get(&name), Some(&expected.1), "{lines}");
    }
    let timer = "airflow_scheduler_scheduler_loop_duration_seconds_sum";
    let plain = values_of("airflow.scheduler.scheduler_loop_duration:2500|ms");
    assert_eq!(plain[&format!("{timer}{{}}")], 2.5);
    let dogstatsd = values_of("airflow.scheduler.scheduler_loop_duration:2.5|ms|#env:t");
    assert_eq!(dogstatsd[&format!("{timer}{{env=t}}")], 2.5);
}

#[test]
fn a_doubtful_value_waits_until_the_version_shows() {
    let mut aggregator = aggregator(Vec::new());
    let first = "airflow.dag_processing.last_duration.bundle.f:2|ms";
    let counts = take_at(&mut aggregator, first, NOW);
    assert_eq!(counts.samples, 0);
    assert_eq!(values(&mut aggregator, NOW.saturating_add(1000)), BTreeMap::new());
    let counts = take_at(&mut aggregator, "airflow.dag_processor_heartbeat:1|c", NOW);
    assert_eq!(counts.samples, 2);
    let sum = "airflow_dag_processing_last_duration_seconds_sum{bundle_name=bundle,dag_file=f}";
    assert_eq!(values(&mut aggregator, NOW)[sum], 2.0);

    // One that never shows is a 2.x.
    let mut silent = self::aggregator(Vec::new());
    take_at(&mut silent, first, NOW);
    let values = values(&mut silent, NOW.saturating_add(15_000));
    let sum = "airflow_dag_processing_last_duration_seconds_sum{dag_file=bundle.f}";
    assert_eq!(values[sum], 0.002);
}

#[test]
fn timer_unit_consistency_makes_everything_milliseconds_in_2() {
    let instance = Instance {
        timer_unit_consistency: true,
        version: Some(Version::V2),
        ..Instance::new("prod")
    };
    let mut aggregator = aggregator(vec![instance]);
    take_at(&mut aggregator, "airflow.task.queued_duration:2500|ms|#dag_id:d,task_id:t", NOW);
    let values = values(&mut aggregator, NOW);
    assert_eq!(values["airflow_task_queue_seconds_sum{dag_id=d,task_id=t}"], 2.5);
}

#[test]
fn dags_with_dots_are_told_by_names_that_end_with_them() {
    let lines = "airflow.dagrun.dependency-check.defer.dag-1:1|ms\n\
        airflow.ti.start.defer.dag-1.wait:1|c\nairflow.ti.start.ok.grp.inner:1|c";
    let values = values_of(lines);
    assert_eq!(values["airflow_task_start_total{dag_id=defer.dag-1,task_id=wait}"], 1.0);
    assert_eq!(values["airflow_task_start_total{dag_id=ok,task_id=grp.inner}"], 1.0);
}

#[test]
fn processes_go_up_and_down_but_not_below_zero() {
    assert_values(
        "airflow.dag_processing.processes:1|c\nairflow.dag_processing.processes:1|c\n\
         airflow.dag_processing.processes:-1|c",
        &[("airflow_dag_processing_processes{}", 1.0)],
    );
    assert_values(
        "airflow.dag_processing.processes:-1|c|#file_path:/a.py,action:stop\n\
         airflow.dag_processing.processes:1|c|#file_path:/b.py,action:start",
        &[("airflow_dag_processing_processes{}", 1.0)],
    );
}

#[test]
fn zeros_start_only_the_states_that_matter() {
    assert_values(
        "airflow.ti.finish.d.t.None:0|c\nairflow.ti.finish.d.t.success:0|c\n\
         airflow.ti.finish.d.t.removed:0|c\nairflow.ti.finish.d.t.skipped:1|c",
        &[
            ("airflow_task_finish_total{dag_id=d,state=skipped,task_id=t}", 1.0),
            ("airflow_task_finish_total{dag_id=d,state=success,task_id=t}", 0.0),
        ],
    );
}

#[test]
fn names_and_tags_of_both_versions_meet() {
    assert_values(
        "airflow.operator_failures:1|c|#dag_id:d,task_id:t,operator:Bash\n\
         airflow.operator_successes:1|c|#dag_id:d,task_id:t,operator_name:Bash\n\
         airflow.local_task_job.task_exit.4.d.t.-9:1|c\nairflow.zombies_killed:1|c\n\
         airflow.scheduler_heartbeat:1|c\nairflow.job_start:1|c\nairflow.new.thing:3|g\n\
         datadog.dogstatsd.client.metrics:2|c|#client:py\nother.thing:1|c",
        &[
            ("airflow_operator_failures_total{dag_id=d,operator=Bash,task_id=t}", 1.0),
            ("airflow_operator_successes_total{dag_id=d,operator=Bash,task_id=t}", 1.0),
            ("airflow_local_task_job_task_exit_total{dag_id=d,return_code=-9,task_id=t}", 1.0),
            ("airflow_task_instances_without_heartbeats_killed_total{}", 1.0),
            ("airflow_scheduler_heartbeat_total{}", 1.0),
            ("airflow_job_start_total{job_name=job}", 1.0),
            ("airflow_new_thing{}", 3.0),
            ("other_thing{}", 1.0),
        ],
    );
}

#[test]
fn instances_are_told_apart_by_origin_and_prefix() {
    let own = |name: &str, prefix: &str, origin: Option<u16>| Instance {
        prefix: prefix.to_owned(),
        origin: origin.map(Origin),
        has_api: name == "api",
        ..Instance::new(name)
    };
    let instances = vec![own("port", "airflow", Some(1)), own("api", "team.a", None)];
    let mut aggregator = aggregator(instances);
    let mut counts = Counts::default();
    for (origin, line) in [
        (0, "airflow.scheduler_heartbeat:1|c"),
        (1, "airflow.scheduler_heartbeat:2|c"),
        (0, "team.a.scheduler_heartbeat:3|c"),
        (1, "team.a.ti.start.d.t:4|c"),
        (0, "team.ab.scheduler_heartbeat:5|c"),
    ] {
        aggregator.take_lines(Origin(origin), line.as_bytes(), NOW, &mut counts);
    }
    let points = aggregator.points(NOW);
    let found: Vec<(&str, &str)> = points
        .iter()
        .map(|point| (point.labels.metric_name(), point.labels.value("airflow")))
        .collect();
    let heartbeat = "airflow_scheduler_heartbeat_total";
    assert_eq!(
        found,
        [
            (heartbeat, "default"),
            (heartbeat, "port"),
            (heartbeat, "api"),
            ("airflow_statsd_task_start_total", "api"),
            ("team_ab_scheduler_heartbeat", ""),
        ]
    );
}

/// A whole recording, datagram by datagram; what is found a minute after its end.
fn replay(name: &str) -> Option<(BTreeMap<String, f64>, Vec<String>)> {
    let text = recording(name)?;
    let mut aggregator = aggregator(Vec::new());
    let (mut last, mut lines) = (NOW, Vec::new());
    for (at, datagram) in datagrams(&text) {
        last = Timestamp((at * 1000.0) as i64);
        let counts = take_at(&mut aggregator, &datagram, last);
        assert_eq!(counts.series_refused + counts.invalid_labels, 0, "{datagram}");
        lines.extend(datagram.lines().filter(|line| !line.is_empty()).map(str::to_owned));
    }
    Some((values(&mut aggregator, last.saturating_add(60_000)), lines))
}

fn count_of(values: &BTreeMap<String, f64>, name: &str) -> f64 {
    let of_name = |series: &&String| series.split('{').next() == Some(name);
    values.keys().filter(of_name).map(|series| values[series]).sum()
}

/// Sum of the values of lines that begin with `start` and end with `end`.
fn sum_of(lines: &[String], start: &str, end: &str) -> f64 {
    let found = lines.iter().filter(|line| line.starts_with(start) && line.contains(end));
    let value = |line: &String| {
        let (_, rest) = line[start.len() - 1..].split_once(':')?;
        rest.split('|').next()?.parse::<f64>().ok()
    };
    found.filter_map(value).sum()
}

#[test]
fn a_recording_of_2_11_is_counted_once_and_labelled() {
    let Some((values, lines)) = replay("statsd-2.11.jsonl") else { return };
    assert_eq!(count_of(&values, "airflow_task_duration_seconds_count"), 72.0);
    assert_eq!(count_of(&values, "airflow_task_queue_seconds_count"), 67.0);
    assert_eq!(count_of(&values, "airflow_task_start_total"), 72.0);
    assert_eq!(count_of(&values, "airflow_dag_run_duration_seconds_count"), 30.0);
    assert_eq!(count_of(&values, "airflow_operator_failures_total"), 7.0);
    assert_eq!(count_of(&values, "airflow_ti_failures_total"), 7.0);
    assert_eq!(count_of(&values, "airflow_scheduler_heartbeat_total"), 81.0);
    assert_eq!(values["airflow_dag_processing_processes{}"], 0.0);
    let ended = sum_of(&lines, "airflow.ti.finish:", "|c");
    assert_eq!(count_of(&values, "airflow_task_finish_total"), ended);
    let duration = sum_of(&lines, "airflow.task.duration:", "|ms") / 1000.0;
    let stored = count_of(&values, "airflow_task_duration_seconds_sum");
    assert!((duration - stored).abs() < 0.01 * duration, "{stored} of {duration} s");
    // Queue times are seconds already.
    let queued = sum_of(&lines, "airflow.task.queued_duration:", "|ms");
    let stored = count_of(&values, "airflow_task_queue_seconds_sum");
    assert!((queued - stored).abs() < 0.01 * queued, "{stored} of {queued} s");
    let dotted = "airflow_dag_run_duration_seconds_count{dag_id=defer.dag-1,state=success}";
    assert_eq!(values[dotted], 1.0);
    assert_eq!(
        values["airflow_task_duration_seconds_count{dag_id=defer.dag-1,task_id=wait_async}"],
        2.0
    );
    assert!(values.keys().any(|series| series.contains("dag_id=ok_dag,task_id=grp.inner")));
    assert_no_bare(&values);
}

#[test]
fn a_recording_of_3_3_is_counted_once_and_labelled() {
    let Some((values, lines)) = replay("statsd-3.3.jsonl") else { return };
    assert_eq!(count_of(&values, "airflow_task_duration_seconds_count"), 49.0);
    assert_eq!(count_of(&values, "airflow_task_finish_total"), 50.0);
    assert_eq!(count_of(&values, "airflow_dag_run_duration_seconds_count"), 23.0);
    let scheduled = sum_of(&lines, "airflow.task.scheduled_duration:", "|ms") / 1000.0;
    let stored = count_of(&values, "airflow_task_scheduled_seconds_sum");
    assert!((scheduled - stored).abs() < 0.01 * scheduled, "{stored} of {scheduled} s");
    let parsed = sum_of(&lines, "airflow.dag_processing.last_duration:", "|ms");
    let stored = count_of(&values, "airflow_dag_processing_last_duration_seconds_sum");
    assert!((parsed - stored).abs() < 0.01 * parsed, "{stored} of {parsed} s");
    // The old name comes twice for each run.
    assert_eq!(
        count_of(&values, "airflow_dag_run_first_task_scheduling_delay_seconds_count"),
        10.0
    );
    assert_no_bare(&values);
}

#[test]
fn a_recording_of_2_11_with_tags_is_counted_once_and_in_seconds() {
    let Some((values, lines)) = replay("statsd-2.11-dogstatsd.jsonl") else { return };
    assert_eq!(count_of(&values, "airflow_task_duration_seconds_count"), 23.0);
    let duration = sum_of(&lines, "airflow.task.duration:", "|ms");
    let stored = count_of(&values, "airflow_task_duration_seconds_sum");
    assert!((duration - stored).abs() < 0.01 * duration, "{stored} of {duration} s");
    let looped = sum_of(&lines, "airflow.scheduler.scheduler_loop_duration:", "|ms");
    let stored = count_of(&values, "airflow_scheduler_scheduler_loop_duration_seconds_sum");
    assert!((looped - stored).abs() < 0.01 * looped, "{stored} of {looped} s");
    let ended = sum_of(&lines, "airflow.ti.finish:", "|c");
    assert_eq!(count_of(&values, "airflow_task_finish_total"), ended);
    assert!(values.keys().any(|s| s.starts_with("airflow_sla_missed_total{dag_id=sla_dag")));
    assert!(!values.keys().any(|series| series.starts_with("datadog")));
    assert_no_bare(&values);
}

#[test]
fn a_recording_of_3_3_with_influx_tags_is_counted_once() {
    let Some((values, _)) = replay("statsd-3.3-influx.jsonl") else { return };
    assert_eq!(count_of(&values, "airflow_task_duration_seconds_count"), 24.0);
    assert_eq!(count_of(&values, "airflow_task_finish_total"), 24.0);
    assert_eq!(count_of(&values, "airflow_dag_run_first_task_scheduling_delay_seconds_count"), 8.0);
    assert!(values.contains_key("airflow_executor_open_slots{executor=LocalExecutor}"));
    assert_no_bare(&values);
}

/// What happened by DAG and task, counted from the same recordings by rules that know nothing of the
/// receiver (see the README beside the file).
const TRUTH: &str = include_str!("../../../tests/fixtures/airflow/truth-statsd.tsv");

/// The series a row of the truth is about, with its value.
fn expected_series(row: &[&str]) -> Vec<(String, f64)> {
    let number = |text: &str| text.parse::<f64>().expect("a number");
    let (dag, task, state) = (row[2], row[3], row[4]);
    let labels = match row[1] {
        "finish" => format!("dag_id={dag},state={state},task_id={task}"),
        "duration" => format!("dag_id={dag},task_id={task}"),
        _ => format!("dag_id={dag},state={state}"),
    };
    let name = match row[1] {
        "finish" => return vec![(format!("task_finish_total{{{labels}}}"), number(row[5]))],
        "duration" => "task_duration_seconds",
        _ => "dag_run_duration_seconds",
    };
    let series = |ending: &str| format!("{name}_{ending}{{{labels}}}");
    vec![(series("count"), number(row[5])), (series("sum"), number(row[6]))]
}

#[test]
fn recordings_tell_what_happened_in_each_dag_and_task() {
    for (name, file) in [
        ("2.11", "statsd-2.11.jsonl"),
        ("3.3", "statsd-3.3.jsonl"),
        ("2.11-dogstatsd", "statsd-2.11-dogstatsd.jsonl"),
        ("3.3-influx", "statsd-3.3-influx.jsonl"),
    ] {
        let Some((values, _)) = replay(file) else { return };
        let rows = TRUTH.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        let rows: Vec<_> = rows.filter(|row| row[0] == name).collect();
        assert!(rows.len() > 20, "{name}");
        let expected: BTreeMap<String, f64> =
            rows.iter().flat_map(|row| expected_series(row)).collect();
        let mut found: BTreeMap<String, f64> = BTreeMap::new();
        for (series, value) in values.iter().filter(|(_, value)| **value != 0.0) {
            let Some(short) = series.strip_prefix("airflow_") else { continue };
            let (metric, _) = short.split_once('{').expect("labels");
            let is_told =
                ["task_finish_total", "task_duration_seconds_", "dag_run_duration_seconds_"];
            if is_told.iter().any(|start| metric.starts_with(start)) {
                *found.entry(plain(short)).or_default() += value;
            }
        }
        let keys = |map: &BTreeMap<String, f64>| map.keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&found), keys(&expected), "{name}");
        for (series, value) in expected {
            let differs = (found[&series] - value).abs();
            assert!(differs < 0.01, "{name}: {series}: {} is not {value}", found[&series]);
        }
    }
}

/// A series without labels that only some dialects tell.
fn plain(series: &str) -> String {
    let (metric, labels) = series.split_once('{').expect("labels");
    let labels = labels.trim_end_matches('}').split(',');
    let told = ["dag_id=", "task_id=", "state="];
    let labels: Vec<&str> =
        labels.filter(|l| told.iter().any(|name| l.starts_with(name))).collect();
    format!("{metric}{{{}}}", labels.join(","))
}

/// No metric of tasks, runs or pools is without its labels.
fn assert_no_bare(values: &BTreeMap<String, f64>) {
    for series in values.keys() {
        let needs = ["airflow_task_", "airflow_dag_run_", "airflow_pool_"];
        if needs.iter().any(|start| series.starts_with(start)) {
            assert!(
                // It has no old name, so that plain StatsD strips all there is.
                series.contains("first_task_start_delay")
                    || series.contains("dag_id=")
                    || series.contains("pool_name=")
                    || series.contains("operator="),
                "{series}"
            );
        }
    }
}
