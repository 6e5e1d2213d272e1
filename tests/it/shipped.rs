//! The rule file and the dashboards under `docs/airflow`: well-formed, with expressions that parse
//! and ask for nothing that is not there, and alerts that fire on a bad day and on no other.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use tidewatch::airflow::family::{FAMILIES, Kind};
use tidewatch::airflow::gauges::HELP;
use tidewatch::model::labels::METRIC_NAME;
use tidewatch::model::{Alert, MatchOp, Matcher, Timestamp};
use tidewatch::promql::ast::Expr;
use tidewatch::promql::memory::MemorySource;
use tidewatch::promql::{Engine, EngineOptions, Features, QueryOptions, Value, parse, script};
use tidewatch::statsd::airflow::Airflow;
use tidewatch::statsd::listen::source::Origin;
use tidewatch::statsd::metrics::Counts;
use tidewatch::statsd::{Aggregator, Resolver};

use super::support::{RuleWorld, rule_groups};

/// What Airflow 3 sends by StatsD and the files use, beside names the API tells too.
pub const STATSD: &str = "airflow.dag_processor_heartbeat:1|c
airflow.scheduler_heartbeat:1|c
airflow.triggerer_heartbeat:1|c
airflow.scheduler.scheduler_loop_duration:20|ms
airflow.scheduler.critical_section_duration:20|ms
airflow.scheduler.critical_section_busy:1|c
airflow.scheduler.orphaned_tasks.cleared:1|c
airflow.scheduler.tasks.killed_externally:1|c
airflow.scheduler.tasks.starving:1|g
airflow.task_instances_without_heartbeats_killed:1|c
airflow.deadline_alerts.deadline_missed:1|c
airflow.pool.starving_tasks.default_pool:1|g
airflow.executor.open_slots.LocalExecutor:1|g
airflow.executor.queued_tasks.LocalExecutor:1|g
airflow.executor.running_tasks.LocalExecutor:1|g
airflow.triggers.running.host:1|g
airflow.triggerer.capacity_left.host:1|g
airflow.dag_processing.import_errors:1|g
airflow.dag_processing.processor_timeouts:1|c
airflow.dag_processing.total_parse_time:1|g
";

fn shipped(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/airflow").join(path)
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(path: &str) -> Json {
    serde_saphyr::from_str(&text(&shipped(path))).expect("a valid YAML file")
}

/// The alerts of the rule file.
fn alerts() -> Vec<Json> {
    let file = yaml("rules.yml");
    let groups = file["groups"].as_array().expect("groups");
    groups.iter().flat_map(|group| group["rules"].as_array().expect("rules").clone()).collect()
}

pub fn dashboards() -> Vec<(String, Json)> {
    let entries = fs::read_dir(shipped("dashboards")).expect("a directory of dashboards");
    let files = entries.map(|entry| entry.expect("an entry").path());
    files
        .map(|path| {
            let json = serde_json::from_str(&text(&path)).expect("valid JSON");
            (path.file_name().expect("a name").to_string_lossy().into_owned(), json)
        })
        .collect()
}

/// Every metric name that is produced.
fn produced() -> BTreeSet<String> {
    let mut names: BTreeSet<String> = HELP.iter().map(|(name, _)| (*name).to_owned()).collect();
    names.extend(["up", "scrape_duration_seconds", "airflow_poll_requests"].map(str::to_owned));
    for family in FAMILIES {
        match family.kind {
            Kind::Counter => names.extend([family.name.to_owned()]),
            Kind::Histogram => names
                .extend(["_bucket", "_sum", "_count"].map(|end| format!("{}{end}", family.name))),
        }
    }
    names.extend(produced_by_statsd());
    names
}

fn produced_by_statsd() -> BTreeSet<String> {
    let now = Timestamp(1_795_225_822_000);
    let mut aggregator = Aggregator::new(10_000);
    let airflow = Some(Airflow::new(Vec::new(), "default", false));
    aggregator.set_resolver(Resolver { airflow, ..Resolver::default() });
    aggregator.take_lines(Origin::default(), STATSD.as_bytes(), now, &mut Counts::default());
    let points = aggregator.points(now.saturating_add(120_000));
    points.iter().map(|point| point.labels.metric_name().to_owned()).collect()
}

/// Names that the selectors of an expression ask for.
pub fn names(expr: &Expr, out: &mut BTreeSet<String>) {
    match expr {
        Expr::Number(_) | Expr::String(_) => {}
        Expr::VectorSelector(selector) => names_of_matchers(&selector.matchers, out),
        Expr::MatrixSelector(selector) => names_of_matchers(&selector.vector.matchers, out),
        Expr::Subquery(subquery) => names(&subquery.expr, out),
        Expr::Call(call) => call.args.iter().for_each(|arg| names(arg, out)),
        Expr::Binary(binary) => [&binary.lhs, &binary.rhs].into_iter().for_each(|e| names(e, out)),
        Expr::Unary(unary) => names(&unary.expr, out),
        Expr::Aggregate(aggregate) => names(&aggregate.expr, out),
        Expr::Paren(paren) => names(&paren.expr, out),
    }
}

fn names_of_matchers(matchers: &[Matcher], out: &mut BTreeSet<String>) {
    let matcher = matchers.iter().find(|matcher| matcher.name() == METRIC_NAME);
    let matcher = matcher.expect("a selector names its metric");
    match matcher.op() {
        MatchOp::Equal => out.extend([matcher.value().to_owned()]),
        _ => out.extend(matcher.literals().expect("a list of names").iter().cloned()),
    }
}

/// What is wrong with an expression: it does not parse, or asks for what is not produced.
fn fault(expr: &str, produced: &BTreeSet<String>) -> Option<String> {
    let parsed = match parse(expr, &Features::default()) {
        Ok(parsed) => parsed,
        Err(error) => return Some(format!("{expr}: {error}")),
    };
    let mut used = BTreeSet::new();
    names(&parsed, &mut used);
    let unknown: Vec<_> = used.difference(produced).collect();
    (used.is_empty() || !unknown.is_empty()).then(|| format!("{expr}: not produced: {unknown:?}"))
}

/// An expression as Grafana would send it.
fn filled_in(expr: &str) -> String {
    let expr = expr.replace("$__rate_interval", "1m").replace("$__range", "1d");
    let expr = expr.replace("$instance", "prod").replace("$dag_id", "etl");
    assert!(!expr.contains('$'), "an unknown variable: {expr}");
    expr
}

/// Expressions of the panels of a dashboard.
pub fn panel_expressions(dashboard: &Json) -> Vec<String> {
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    targets.map(|target| filled_in(target["expr"].as_str().expect("an expression"))).collect()
}

/// Variables of a dashboard: the selector and the label whose values they offer.
pub fn variables(dashboard: &Json) -> Vec<(String, String)> {
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    let queries = variables.iter().filter_map(|variable| variable["query"]["query"].as_str());
    let parts = queries.map(|query| {
        let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
        inner.and_then(|inner| inner.rsplit_once(", ")).expect("label_values(selector, label)")
    });
    parts.map(|(selector, label)| (filled_in(selector), label.to_owned())).collect()
}

/// Expressions of the panels and of the variables of a dashboard.
fn expressions(dashboard: &Json) -> Vec<String> {
    let selectors = variables(dashboard).into_iter().map(|(selector, _)| selector);
    panel_expressions(dashboard).into_iter().chain(selectors).collect()
}

#[test]
fn every_alert_is_complete() {
    let mut seen = BTreeSet::new();
    for alert in alerts() {
        let name = alert["alert"].as_str().expect("a name").to_owned();
        for field in ["/expr", "/for", "/annotations/summary", "/annotations/description"] {
            let value = alert.pointer(field).and_then(Json::as_str);
            assert!(value.is_some_and(|value| !value.is_empty()), "{name} lacks {field}");
        }
        let severity = alert["labels"]["severity"].as_str().unwrap_or_default();
        assert!(["critical", "warning", "info"].contains(&severity), "{name}: {severity}");
        let runbook = alert["annotations"]["runbook"].as_str().unwrap_or_default();
        assert!(runbook.lines().count() > 1 && runbook.starts_with("1. "), "{name}: {runbook}");
        assert!(seen.insert(name.clone()), "{name} is there twice");
    }
    assert!(seen.len() > 30, "the rules were not found: {seen:?}");
}

#[test]
fn alerts_ask_for_what_is_produced() {
    let produced = produced();
    let alerts = alerts();
    let exprs = alerts.iter().map(|alert| alert["expr"].as_str().expect("an expression"));
    let faults: Vec<String> = exprs.filter_map(|expr| fault(expr, &produced)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn dashboards_ask_for_what_is_produced() {
    let produced = produced();
    let dashboards = dashboards();
    assert_eq!(dashboards.len(), 3);
    for (file, dashboard) in dashboards {
        let exprs = expressions(&dashboard);
        let faults: Vec<String> = exprs.iter().filter_map(|expr| fault(expr, &produced)).collect();
        assert!(exprs.len() > 15 && faults.is_empty(), "{file}:\n{}", faults.join("\n"));
    }
}

#[test]
fn panels_have_their_own_place_and_the_chosen_source() {
    for (file, dashboard) in dashboards() {
        assert!(dashboard["uid"].is_string() && dashboard["schemaVersion"].as_u64() >= Some(38));
        let mut ids = BTreeSet::new();
        let mut cells = BTreeSet::new();
        for panel in dashboard["panels"].as_array().expect("panels") {
            let at = |key: &str| panel["gridPos"][key].as_u64().expect("a place");
            assert!(ids.insert(panel["id"].as_u64()), "{file}: {}", panel["title"]);
            assert!(at("x") + at("w") <= 24, "{file}: {}", panel["title"]);
            for (x, y) in (0..at("w")).flat_map(|x| (0..at("h")).map(move |y| (x, y))) {
                assert!(cells.insert((at("x") + x, at("y") + y)), "{file}: {}", panel["title"]);
            }
            if panel["type"] != "row" {
                assert_eq!(panel["datasource"]["uid"], "${datasource}", "{file}");
            }
        }
    }
}

#[test]
fn provisioning_names_the_own_address() {
    let source = &yaml("provisioning/datasources/tidewatch.yml")["datasources"][0];
    assert_eq!((&source["type"], &source["access"]), (&"prometheus".into(), &"proxy".into()));
    assert_eq!(source["url"], "http://127.0.0.1:9090");
    let provider = &yaml("provisioning/dashboards/airflow.yml")["providers"][0];
    assert_eq!(provider["type"], "file");
    assert!(provider["options"]["path"].is_string());
}

#[test]
fn what_is_not_produced_is_found() {
    let produced = produced();
    for expr in ["up ==", "vector(1)", "airflow_dag_run_failed_total > 0", "up{job=\"x\"} or x"] {
        assert!(fault(expr, &produced).is_some(), "{expr}");
    }
    assert_eq!(fault("rate(airflow_scheduler_heartbeat_total[5m]) == 0", &produced), None);
}

/// Ten days of an environment, a value each five minutes. Times: 2881 values are all of them, the
/// last 577 the last two days.
pub const HEALTHY: &str = r#"load 5m
  up{job="airflow",airflow="prod"} 1x2880
  airflow_healthy{airflow="prod",component="metadatabase"} 1x2880
  airflow_healthy{airflow="prod",component="scheduler"} 1x2880
  airflow_healthy{airflow="prod",component="triggerer"} 1x2880
  airflow_healthy{airflow="prod",component="dag_processor"} 1x2880
  airflow_scheduler_heartbeat_age_seconds{airflow="prod"} 4x2880
  airflow_poll_lag_seconds{airflow="prod"} 15x2880
  airflow_dag_last_run_successful{airflow="prod",dag_id="etl"} 1x2880
  airflow_dag_last_run_successful{airflow="prod",dag_id="switched_off"} 0x2880
  airflow_dag_last_success_age_seconds{airflow="prod",dag_id="etl"} 240x2880
  airflow_dag_last_run_successful{airflow="prod",dag_id="removed"} 0x2880
  airflow_dag_active{airflow="prod",dag_id="removed"} 0x2880
  airflow_dag_active{airflow="prod",dag_id="etl"} 1x2880
  airflow_dag_paused{airflow="prod",dag_id="etl"} 0x2880
  airflow_dag_paused{airflow="prod",dag_id="switched_off"} 1x2880
  airflow_dag_run_duration_seconds_count{airflow="prod",dag_id="etl",state="success"} 0+1x2880
  airflow_dag_run_duration_seconds_sum{airflow="prod",dag_id="etl",state="success"} 0+900x2880
  airflow_dag_run_duration_seconds_count{airflow="prod",dag_id="etl",state="failed"} 0x2860 1x19
  airflow_dag_run_running_age_seconds{airflow="prod",dag_id="etl"} 2000x2880
  airflow_dag_run_schedule_delay_seconds_sum{airflow="prod",dag_id="etl"} 0+3x2880
  airflow_dag_run_schedule_delay_seconds_count{airflow="prod",dag_id="etl"} 0+1x2880
  airflow_task_finish_total{airflow="prod",dag_id="etl",task_id="t",state="success"} 0+10x2880
  airflow_task_finish_total{airflow="prod",dag_id="etl",task_id="t",state="failed"} 0x2860 1x19
  airflow_task_attempts_total{airflow="prod",dag_id="etl",task_id="t",state="success"} 0+10x2880
  airflow_task_retries_total{airflow="prod",dag_id="etl",task_id="t"} 0x2860 2x19
  airflow_sla_missed_total{airflow="prod",dag_id="etl",sla="nightly"} 0x2000 3x879
  airflow_queued_tasks{airflow="prod"} 12x2880
  airflow_queued_task_instances{airflow="prod",queue="default",pool_name="default_pool"} 12x2880
  airflow_queued_tasks_oldest_age_seconds{airflow="prod",queue="default",pool_name="default_pool"} 9x2880
  airflow_task_instances{airflow="prod",dag_id="etl",state="running"} 7x2880
  airflow_pool_open_slots{airflow="prod",pool_name="default_pool"} 100x2880
  airflow_pool_open_slots{airflow="prod",pool_name="unlimited"} -1x2880
  airflow_pool_open_slots{airflow="prod",pool_name="full"} 0x2880
  airflow_pool_queued_slots{airflow="prod",pool_name="full"} 0x2880
  airflow_pool_scheduled_slots{airflow="prod",pool_name="full"} 0x2880
  airflow_import_errors{airflow="prod"} 0x2880
  airflow_dags{airflow="prod"} 41x2870 40x9
  airflow_pool_starving_tasks{airflow="prod",pool_name="default_pool"} 0x2880
  airflow_executor_open_slots{airflow="prod",executor="LocalExecutor"} 0x2880
  airflow_executor_queued_tasks{airflow="prod",executor="LocalExecutor"} 0x2880
  airflow_task_instances_without_heartbeats_killed_total{airflow="prod"} 5x2880
  airflow_scheduler_tasks_killed_externally_total{airflow="prod"} 1x2880
  airflow_deadline_alerts_deadline_missed_total{airflow="prod",dag_id="etl"} 0x2880
  airflow_dag_processing_processor_timeouts_total{airflow="prod"} 2x2880
  airflow_scheduler_scheduler_loop_duration_seconds_sum{airflow="prod"} 0+9x2880
  airflow_scheduler_scheduler_loop_duration_seconds_count{airflow="prod"} 0+300x2880
  airflow_triggerer_capacity_left{airflow="prod",hostname="h"} 990x2880

load 1m
  airflow_scheduler_heartbeat_total{airflow="prod"} 0+12x14400
"#;

/// The same with everything wrong that there is an alert for.
pub const BAD: &str = r#"load 5m
  up{job="airflow",airflow="gone"} 0x2880
  airflow_healthy{airflow="bad",component="metadatabase"} 0x2880
  airflow_healthy{airflow="bad",component="triggerer"} 0x2880
  airflow_healthy{airflow="bad",component="dag_processor"} 0x2880
  airflow_scheduler_heartbeat_age_seconds{airflow="bad"} 300x2880
  airflow_poll_lag_seconds{airflow="bad"} 4000x2880
  airflow_dag_last_run_successful{airflow="bad",dag_id="etl"} 0x2880
  airflow_dag_last_success_age_seconds{airflow="bad",dag_id="etl"} 172800x2880
  airflow_dag_paused{airflow="bad",dag_id="other"} 0x2860 1x19
  airflow_dag_run_duration_seconds_count{airflow="bad",dag_id="etl",state="success"} 0+1x2303 2303x576
  airflow_dag_run_duration_seconds_sum{airflow="bad",dag_id="etl",state="success"} 0+60x2303 138180x576
  airflow_dag_run_duration_seconds_count{airflow="bad",dag_id="etl",state="failed"} 0x2303 0+1x576
  airflow_dag_run_running_age_seconds{airflow="bad",dag_id="etl"} 100000x2880
  airflow_dag_run_schedule_delay_seconds_sum{airflow="bad",dag_id="etl"} 0+1000x2880
  airflow_dag_run_schedule_delay_seconds_count{airflow="bad",dag_id="etl"} 0+1x2880
  airflow_task_finish_total{airflow="bad",dag_id="etl",task_id="t",state="success"} 0+5x2880
  airflow_task_finish_total{airflow="bad",dag_id="etl",task_id="t",state="failed"} 0+10x2880
  airflow_task_attempts_total{airflow="bad",dag_id="etl",task_id="t",state="failed"} 0+12x2880
  airflow_task_retries_total{airflow="bad",dag_id="etl",task_id="t"} 0+10x2880
  airflow_sla_missed_total{airflow="bad",dag_id="etl",sla="nightly"} 0x2875 1x4
  airflow_queued_tasks{airflow="bad"} 250x2880
  airflow_queued_task_instances{airflow="bad",queue="default",pool_name="full"} 250x2880
  airflow_queued_tasks_oldest_age_seconds{airflow="bad",queue="default",pool_name="full"} 3000x2880
  airflow_pool_open_slots{airflow="bad",pool_name="full"} 0x2880
  airflow_pool_queued_slots{airflow="bad",pool_name="full"} 3x2880
  airflow_pool_scheduled_slots{airflow="bad",pool_name="full"} 5x2880
  airflow_import_errors{airflow="bad"} 2x2880
  airflow_dags{airflow="bad"} 40x2870 20x9
  airflow_pool_starving_tasks{airflow="bad",pool_name="full"} 4x2880
  airflow_executor_open_slots{airflow="bad",executor="LocalExecutor"} 0x2880
  airflow_executor_queued_tasks{airflow="bad",executor="LocalExecutor"} 9x2880
  airflow_task_instances_without_heartbeats_killed_total{airflow="bad"} 0+1x2880
  airflow_scheduler_tasks_killed_externally_total{airflow="bad"} 0+1x2880
  airflow_deadline_alerts_deadline_missed_total{airflow="bad",dag_id="etl"} 0x2875 1x4
  airflow_dag_processing_processor_timeouts_total{airflow="bad"} 0+1x2880
  airflow_scheduler_scheduler_loop_duration_seconds_sum{airflow="bad"} 0+300x2880
  airflow_scheduler_scheduler_loop_duration_seconds_count{airflow="bad"} 0+10x2880
  airflow_triggerer_capacity_left{airflow="bad",hostname="h"} 0x2880

load 1m
  airflow_scheduler_heartbeat_total{airflow="bad"} 500x14400
"#;

/// Alerts whose expression gives series at the end of the ten days, as `name environment`.
fn firing(series: &str) -> BTreeSet<String> {
    let mut source = MemorySource::new();
    let script = script::parse(series).expect("series that can be read");
    let engine = Engine::new(EngineOptions::default());
    let loads = series.lines().filter(|line| line.starts_with("load")).count();
    assert_eq!(script.commands.len(), loads);
    let report = script::run(&script, &engine, &mut source);
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    let end = Timestamp(10 * 24 * 3_600_000);
    let mut firing = BTreeSet::new();
    for alert in alerts() {
        let expr = alert["expr"].as_str().expect("an expression");
        let output = engine.instant(&source, expr, end, &QueryOptions::default());
        let Value::Vector(samples) = output.expect("a value").value else {
            panic!("{expr} is no vector")
        };
        let name = alert["alert"].as_str().expect("a name");
        firing.extend(samples.iter().map(|s| format!("{name} {}", s.labels.value("airflow"))));
    }
    firing
}

/// Alerts that fire after the last hours of the ten days were evaluated as a server does it.
fn fired(series: &str) -> BTreeSet<String> {
    let mut source = MemorySource::new();
    let script = script::parse(series).expect("series that can be read");
    script::run(&script, &Engine::new(EngineOptions::default()), &mut source);
    let world = RuleWorld::new(rule_groups(&shipped("rules.yml")), source);
    let end = 10 * 24 * 3_600_000;
    let mut at = end - EVALUATED_MS;
    while at <= end {
        world.evaluate(at);
        at += EVALUATED_STEP_MS;
    }
    let sent = world.sent.lock().expect("no panic before");
    let name = |alert: &Alert| {
        assert!(!alert.annotations.iter().any(|(_, text)| text.contains("<error")), "{alert:?}");
        format!("{} {}", alert.labels.value("alertname"), alert.labels.value("airflow"))
    };
    sent.iter().filter(|alert| !alert.is_resolved_at(Timestamp(end))).map(name).collect()
}

/// How much is evaluated in ms: longer than the longest `for`.
const EVALUATED_MS: i64 = 2 * 3_600_000;
const EVALUATED_STEP_MS: i64 = 5 * 60_000;

#[test]
fn the_evaluator_fires_what_the_expressions_promise() {
    assert_eq!(fired(HEALTHY), BTreeSet::new());
    let series = format!("{HEALTHY}\n{BAD}");
    assert_eq!(fired(&series), firing(&series));
}

/// A day of few failures, a full pool nobody waits for, and failed DAGs that are switched off or gone.
#[test]
fn nothing_fires_on_a_healthy_day() {
    assert_eq!(firing(HEALTHY), BTreeSet::new());
}

#[test]
fn everything_fires_on_a_bad_day_and_only_where_it_is_bad() {
    let name = |alert: Json| alert["alert"].as_str().expect("a name").to_owned();
    let expected = alerts().into_iter().map(name).map(|name| match name.as_str() {
        "AirflowNotReachable" => format!("{name} gone"),
        _ => format!("{name} bad"),
    });
    assert_eq!(firing(&format!("{HEALTHY}\n{BAD}")), expected.collect());
}
