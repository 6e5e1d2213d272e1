//! Queries by names in circulation, over series as the poller and StatsD store them.

use super::*;
use crate::model::{MatchOp, MetricType, Timestamp};
use crate::promql::memory::MemorySource;
use crate::promql::script::{self, Load, ScriptStore};

/// Series in memory behind the aliases.
struct Aliased {
    memory: MemorySource,
    source: AliasSource,
    switch: Arc<AliasSwitch>,
}

impl Aliased {
    fn new() -> Aliased {
        let switch = AliasSwitch::new(true);
        let source = AliasSource::new(Arc::new(MemorySource::new()), Arc::clone(&switch));
        Aliased { memory: MemorySource::new(), source, switch }
    }

    fn holding(series: &str) -> Aliased {
        let mut store = Aliased::new();
        run(&mut store, series);
        store
    }

    fn values(&self, label: &str, matchers: &[Matcher]) -> Vec<String> {
        let (start, end) = (Timestamp(0), Timestamp(i64::MAX));
        let selector = Selector::new(matchers, start, end);
        self.source.label_values(label, &selector).expect("in memory")
    }
}

impl ScriptStore for Aliased {
    fn clear(&mut self) -> Result<(), String> {
        *self = Aliased::new();
        Ok(())
    }

    fn load(&mut self, load: &Load) -> Result<(), String> {
        self.memory.load(load)?;
        let stored = Arc::new(self.memory.clone());
        self.source = AliasSource::new(stored, Arc::clone(&self.switch));
        Ok(())
    }

    fn source(&self) -> &dyn SeriesSource {
        &self.source
    }
}

fn run(store: &mut Aliased, text: &str) {
    let script = script::parse(text).unwrap_or_else(|error| panic!("{error:?}"));
    let report = script::run(&script, &script::engine(), store);
    assert!(report.failures.is_empty(), "{:#?}", report.failures);
}

/// An hour of two environments: `prod` is asked over its API, `edge` sends StatsD only.
const HOUR: &str = r#"
load 1m
  up{job="airflow",instance="prod",airflow="prod"} 1x60
  airflow_healthy{job="airflow",instance="prod",airflow="prod",component="scheduler"} 1x57 0x2
  airflow_heartbeat_age_seconds{job="airflow",instance="prod",airflow="prod",component="scheduler"} 4x60
  airflow_dag_runs_total{job="airflow",instance="prod",airflow="prod",dag_id="etl",run_type="scheduled",state="success"} 0+3x60
  airflow_dag_runs_total{job="airflow",instance="prod",airflow="prod",dag_id="etl",run_type="manual",state="success"} 0+1x60
  airflow_dag_runs_total{job="airflow",instance="prod",airflow="prod",dag_id="etl",run_type="scheduled",state="failed"} 0+1x60
  airflow_dag_runs_total{job="airflow",instance="prod",airflow="prod",dag_id="etl",run_type="manual",state="failed"} 0x60
  airflow_dag_run_duration_seconds_bucket{job="airflow",instance="prod",airflow="prod",dag_id="etl",run_type="scheduled",state="success",le="60.0"} 0+2x60
  airflow_dag_run_duration_seconds_bucket{job="airflow",instance="prod",airflow="prod",dag_id="etl",run_type="scheduled",state="success",le="120.0"} 0+3x60
  airflow_dag_run_duration_seconds_bucket{job="airflow",instance="prod",airflow="prod",dag_id="etl",run_type="scheduled",state="success",le="+Inf"} 0+3x60
  airflow_dag_run_duration_seconds_sum{job="airflow",instance="prod",airflow="prod",dag_id="etl",run_type="scheduled",state="success"} 0+150x60
  airflow_dag_run_duration_seconds_count{job="airflow",instance="prod",airflow="prod",dag_id="etl",run_type="scheduled",state="success"} 0+3x60
  airflow_dag_run_duration_seconds_count{airflow="edge",dag_id="iot",state="success"} 0+2x60
  airflow_dag_run_duration_seconds_count{airflow="edge",dag_id="iot",state="failed"} 0+1x60
  airflow_dag_runs{job="airflow",instance="prod",airflow="prod",dag_id="etl",state="running"} 2x60
  airflow_dag_runs{job="airflow",instance="prod",airflow="prod",dag_id="etl",state="queued"} 1x60
  airflow_dag_run_running_age_seconds{job="airflow",instance="prod",airflow="prod",dag_id="etl"} 8000x60
  airflow_dag_last_run_duration_seconds{job="airflow",instance="prod",airflow="prod",dag_id="etl",state="success"} 90x60
  airflow_dag_last_run_duration_seconds{job="airflow",instance="prod",airflow="prod",dag_id="idle",state="failed"} 30x60
  airflow_dag_runs_in_database{job="airflow",instance="prod",airflow="prod",dag_id="etl",state="success"} 40x60
  airflow_dag_last_run_state{job="airflow",instance="prod",airflow="prod",dag_id="etl",state="failed"} 1x60
  airflow_dag_info{job="airflow",instance="prod",airflow="prod",dag_id="etl",owner="ann",paused="false",tags="x"} 1x30
  airflow_dag_info{job="airflow",instance="prod",airflow="prod",dag_id="etl",owner="bob",paused="true",tags="x"} _x30 1x30
  airflow_task_attempts_total{job="airflow",instance="prod",airflow="prod",dag_id="etl",task_id="t",state="failed"} 0+2x60
  airflow_task_finish_total{job="airflow",instance="prod",airflow="prod",dag_id="etl",task_id="t",state="success"} 0+5x60
  airflow_ti_failures_total{airflow="edge",dag_id="iot",task_id="read"} 0+1x60
  airflow_queued_tasks{job="airflow",instance="prod",airflow="prod"} 120x60
  airflow_queued_task_instances{job="airflow",instance="prod",airflow="prod",queue="default",pool_name="a"} 70x60
  airflow_queued_task_instances{job="airflow",instance="prod",airflow="prod",queue="default",pool_name="b"} 50x60
  airflow_executor_queued_tasks{airflow="edge",executor="LocalExecutor"} 7x60
  airflow_pool_open_slots{job="airflow",instance="prod",airflow="prod",pool_name="a",pool="a"} 3x60
  airflow_import_errors{job="airflow",instance="prod",airflow="prod"} 2x60
  airflow_dag_processing_import_errors{airflow="edge"} 1x60
  airflow_operator_failures_total{airflow="edge",operator="BashOperator"} 0+1x60
  airflow_scheduler_heartbeat_total{airflow="edge"} 0+12x60
"#;

#[test]
fn queries_from_guides_mean_what_their_authors_meant() {
    let queries = r#"
eval instant at 50m rate(airflow_dag_success_total[5m]) / (rate(airflow_dag_success_total[5m]) + rate(airflow_dag_failure_total[5m])) * 100
  {job="airflow",instance="prod",airflow="prod",dag_id="etl"} 80
  {airflow="edge",dag_id="iot"} 66.66666666666666

eval instant at 50m airflow_queued_tasks > 100
  airflow_queued_tasks{job="airflow",instance="prod",airflow="prod"} 120

eval instant at 50m airflow_num_queued_tasks
  airflow_num_queued_tasks{job="airflow",instance="prod",airflow="prod"} 120
  airflow_num_queued_tasks{airflow="edge"} 7

eval instant at 50m airflow_task_queue_size{queue_name=~"def.*"}
  airflow_task_queue_size{job="airflow",instance="prod",airflow="prod",queue_name="default"} 120

eval instant at 50m airflow_dag_run_duration > 7200
  airflow_dag_run_duration{job="airflow",instance="prod",airflow="prod",dag_id="etl"} 8000

eval instant at 50m airflow_dag_run_duration{state!=""}
  airflow_dag_run_duration{job="airflow",instance="prod",airflow="prod",dag_id="idle",state="failed"} 30

eval instant at 55m up{job="airflow-scheduler"} == 0

eval instant at 60m up{job="airflow-scheduler"} == 0
  up{job="airflow-scheduler",instance="prod",airflow="prod"} 0

eval instant at 50m up{job=~"airflow-w.*"}
  up{job="airflow-webserver",instance="prod",airflow="prod"} 1

eval instant at 50m airflow_dag_status_count{status="success"}
  airflow_dag_status_count{job="airflow",instance="prod",airflow="prod",dag_id="etl",status="success"} 200
  airflow_dag_status_count{airflow="edge",dag_id="iot",status="success"} 100

eval instant at 50m airflow_pool_slots_available < 5
  airflow_pool_slots_available{job="airflow",instance="prod",airflow="prod",pool_name="a",pool="a"} 3

eval instant at 50m airflow_dag_run_running
  airflow_dag_run_running{job="airflow",instance="prod",airflow="prod",dag_id="etl"} 2

eval instant at 50m airflow_active_dag_runs
  airflow_active_dag_runs{job="airflow",instance="prod",airflow="prod",dag_id="etl"} 3

eval instant at 50m increase(airflow_task_instance_failures_total[10m])
  {job="airflow",instance="prod",airflow="prod",dag_id="etl",task_id="t"} 20
  {airflow="edge",dag_id="iot",task_id="read"} 10

eval instant at 50m airflow_dag_processing_import_errors > 0
  airflow_dag_processing_import_errors{job="airflow",instance="prod",airflow="prod"} 2
  airflow_dag_processing_import_errors{airflow="edge"} 1
"#;
    run(&mut Aliased::new(), &format!("{HOUR}{queries}"));
}

#[test]
fn exporters_dashboards_and_mappings_find_their_names() {
    let queries = r#"
eval instant at 20m airflow_dag_status
  airflow_dag_status{job="airflow",instance="prod",airflow="prod",dag_id="etl",owner="ann",paused="false",status="success"} 40

eval instant at 50m airflow_dag_status{owner="bob"}
  airflow_dag_status{job="airflow",instance="prod",airflow="prod",dag_id="etl",owner="bob",paused="true",status="success"} 40

eval instant at 50m airflow_dag_status{owner="ann"}

eval instant at 50m sum(airflow_dag_last_status{status="failed"}) > 0
  {} 1

eval instant at 50m increase(airflow_dagrun_duration_success_sum[5m]) / clamp_min(increase(airflow_dagrun_duration_success_count[5m]), 1)
  {job="airflow",instance="prod",airflow="prod",dag_id="etl"} 50
  {airflow="edge",dag_id="iot"} NaN

eval instant at 50m airflow_dagrun_duration{quantile="0.5"}
  airflow_dagrun_duration{job="airflow",instance="prod",airflow="prod",dag_id="etl",quantile="0.5"} 45

eval instant at 50m histogram_quantile(0.5, sum by (le) (rate(airflow_dag_duration_seconds_bucket[5m])))
  {} 45

eval instant at 50m rate(airflow_operator_failures[5m]) * 60
  {airflow="edge",operator="BashOperator"} 1

eval instant at 50m rate(airflow_scheduler_heartbeat{type="counter"}[5m]) > 0
  {airflow="edge",type="counter"} 0.2
  {job="airflow",instance="prod",airflow="prod",type="counter"} 1

eval instant at 50m time() - airflow_scheduler_heartbeat{airflow="prod"}
  {job="airflow",instance="prod",airflow="prod",type="counter"} 4

eval instant at 50m af_agg_ti_failures{airflow_id="edge"}
  af_agg_ti_failures{airflow_id="edge",dag_id="iot",task_id="read"} 50

eval instant at 50m af_agg_operator_failures{operator_name!=""}
  af_agg_operator_failures{airflow_id="edge",operator_name="BashOperator"} 50

eval instant at 50m af_agg_executor_queued_tasks
  af_agg_executor_queued_tasks{airflow_id="edge",executor="LocalExecutor"} 7
  af_agg_executor_queued_tasks{job="airflow",instance="prod",airflow_id="prod"} 120
"#;
    let queries = queries.replace("  {airflow=\"edge\",dag_id=\"iot\"} NaN\n", "");
    run(&mut Aliased::new(), &format!("{HOUR}{queries}"));
}

#[test]
fn aliases_are_found_by_patterns_and_never_double_what_is_stored() {
    let queries = r#"
eval instant at 50m count by (__name__) ({__name__=~"airflow_dag_(success|failure)_total"})
  airflow_dag_success_total 2
  airflow_dag_failure_total 2

eval instant at 50m count({dag_id="iot",airflow="edge",state="failed"})
  {} 1

eval instant at 50m count(airflow_dag_runs_total)
  {} 4

eval instant at 50m count(up{job="airflow"})
  {} 1
"#;
    let mut store = Aliased::new();
    run(&mut store, &format!("{HOUR}{queries}"));
    // A name that somebody stores is what is stored.
    let stored = r#"
load 1m
  airflow_dag_success_total{airflow="edge",dag_id="iot"} 7x60

eval instant at 50m airflow_dag_success_total{airflow="edge"}
  airflow_dag_success_total{airflow="edge",dag_id="iot"} 7

eval instant at 50m airflow_dag_success_total{airflow="prod"}
  airflow_dag_success_total{job="airflow",instance="prod",airflow="prod",dag_id="etl"} 200
"#;
    run(&mut store, stored);
}

#[test]
fn values_of_labels_show_aliases() {
    let store = Aliased::holding(HOUR);
    let names = store.values("__name__", &[]);
    assert!(names.is_sorted() && names.contains(&"airflow_dag_success_total".to_owned()));
    assert!(!names.contains(&"airflow_zombies_killed".to_owned()), "nothing stored for it");
    let about_iot = store.values("__name__", &[Matcher::equal("dag_id", "iot")]);
    assert!(about_iot.contains(&"airflow_ti_failures".to_owned()), "{about_iot:?}");
    assert!(!about_iot.contains(&"airflow_dag_status".to_owned()), "{about_iot:?}");
    let name = |name: &str| [Matcher::equal("__name__", name)];
    assert_eq!(store.values("status", &name("airflow_dag_status")), ["success"]);
    assert_eq!(store.values("owner", &name("airflow_dag_status")), ["ann", "bob"][1..]);
    assert_eq!(store.values("airflow_id", &name("af_agg_ti_failures")), ["edge", "prod"]);
    assert_eq!(store.values("job", &name("up")).len(), 3);
    let regex = [Matcher::new(MatchOp::Regex, "__name__", "af_agg_.+").expect("valid")];
    assert!(store.values("__name__", &regex).iter().all(|name| name.starts_with("af_agg_")));
    assert_eq!(store.values("airflow_id", &regex), ["edge", "prod"]);
    store.switch.set(false);
    assert!(!store.values("__name__", &[]).contains(&"airflow_dag_success_total".to_owned()));
    assert!(store.values("status", &name("airflow_dag_status")).is_empty());
}

#[test]
fn what_is_listed_is_what_is_selected() {
    let store = Aliased::holding(HOUR);
    let patterns = ["af_agg_.*", "airflow_dag_status|airflow_dag_runs", "airflow_.*", "up", "none"];
    for pattern in patterns {
        let matchers = [Matcher::new(MatchOp::Regex, METRIC_NAME, pattern).expect("valid")];
        for (start, end) in [(0, 3_600_000), (3_500_000, i64::MAX), (i64::MIN, -1)] {
            let selector = Selector::new(&matchers, Timestamp(start), Timestamp(end));
            let set = store.source.select(&selector).expect("in memory");
            let selected: Vec<Labels> = (0..set.len()).map(|i| set.labels(i).clone()).collect();
            assert_eq!(store.source.series(&selector).expect("in memory"), selected, "{pattern}");
            assert_eq!(selected.is_empty(), pattern == "none" || end < 0, "{pattern}");
        }
    }
}

#[test]
fn a_whole_range_of_a_sum_has_no_false_growth() {
    // One of two series begins late and one is missing for a while: the sum never falls.
    let mut store = Aliased::new();
    run(
        &mut store,
        r#"
load 30s
  airflow_dag_runs_total{airflow="a",dag_id="d",run_type="scheduled",state="success"} 1000x20 _x20 1001x60
  airflow_dag_runs_total{airflow="a",dag_id="d",run_type="manual",state="success"} _x30 0 1 1x68

eval instant at 50m sum(increase(airflow_dag_success_total[45m])) < bool 4
  {} 1

eval range from 0 to 50m step 10m resets(airflow_dag_success_total[5m])
  {airflow="a",dag_id="d"} 0 0 0 0 0 0

eval instant at 45m airflow_dag_success_total
  airflow_dag_success_total{airflow="a",dag_id="d"} 1002
"#,
    );
}

#[test]
fn metadata_marks_aliases() {
    let stored = |name: &str| {
        let help = "Finished runs.".to_owned();
        let is_known = name == "airflow_dag_runs_total" || name == "airflow_dagbag_size";
        is_known.then(|| MetricMetadata {
            metric_type: MetricType::Counter,
            help,
            ..MetricMetadata::default()
        })
    };
    let switch = AliasSwitch::new(true);
    let all = switch.metadata(None, &stored);
    assert!(all.iter().any(|(name, _)| name == "airflow_dag_failure_total"));
    assert!(all.iter().all(|(name, _)| name != "airflow_dagbag_size"), "it is stored");
    let (name, one) = switch.metadata(Some("airflow_dag_success_total"), &stored).remove(0);
    assert_eq!(
        (name.as_str(), one.metric_type),
        ("airflow_dag_success_total", MetricType::Counter)
    );
    assert_eq!(one.help, "Alias of airflow_dag_runs_total: Finished runs.");
    assert!(switch.metadata(Some("airflow_zombies_killed"), &stored).is_empty());
    switch.set(false);
    assert!(switch.metadata(None, &stored).is_empty());
}
