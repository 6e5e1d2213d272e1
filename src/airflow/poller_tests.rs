//! Passes over a small server, into a real store.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::client::Api;
use super::super::fake_server::FakeServer;
use super::super::options::{Auth, DagFilter};
use super::super::test_data::{captured, clock, ms, task};
use super::*;
use crate::model::{ManualClock, Matcher, Selector, SeriesData, is_stale_nan};
use crate::secret::Secret;
use crate::storage::StoreOptions;
use crate::web_client::config::{HttpConfig, TlsConfig};

pub(super) struct Watch {
    pub(super) server: FakeServer,
    store: Arc<Store>,
    clock: Arc<ManualClock>,
    _dir: tempfile::TempDir,
}

impl Watch {
    /// A server and a store at `seconds` after 02:00.
    pub(super) fn at(api: Api, seconds: i64) -> Watch {
        let dir = tempfile::TempDir::new().expect("a directory");
        let clock = Arc::new(ManualClock::new(Timestamp(ms(seconds))));
        let as_clock: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
        let options =
            StoreOptions { disk_free_bytes_min: 0, ..StoreOptions::new(dir.path(), as_clock) };
        let store = Arc::new(Store::open(options, &|_| {}).expect("opens"));
        Watch { server: FakeServer::start(api, ms(seconds)), store, clock, _dir: dir }
    }

    /// A worker that remembers what the last one did.
    pub(super) fn worker(&self) -> Worker {
        let password = Secret::Inline("p".to_owned());
        let options = InstanceOptions {
            name: "prod".to_owned(),
            url: format!("http://{}", self.server.address),
            auth: Auth::Password { username: "u".to_owned(), password },
            http: HttpConfig::default(),
            poll_interval: Duration::from_secs(15),
            inventory_interval: Duration::from_secs(60),
            timeout: Duration::from_secs(10),
            backfill: Duration::from_secs(86_400),
            labels: vec![("env".to_owned(), "test".to_owned())],
            dags: DagFilter::default(),
            slas: Vec::new(),
        };
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as Arc<dyn Clock>;
        Worker::new(options, Arc::downgrade(&self.store), clock).expect("options are valid")
    }

    /// Sets the time, here and there.
    pub(super) fn set(&self, now: Timestamp) {
        self.clock.set(now);
        self.server.world().now = now.0;
    }

    pub(super) fn advance(&self, seconds: i64) {
        self.clock.advance_ms(seconds * 1000);
        self.server.world().now += seconds * 1000;
    }

    /// All samples of the series of one metric, by their own labels.
    fn samples(&self, name: &str) -> BTreeMap<String, Vec<(i64, f64)>> {
        let matchers = [Matcher::equal("__name__", name), Matcher::equal("env", "test")];
        let selector = Selector::new(&matchers, Timestamp::MIN, Timestamp::MAX);
        let set = self.store.source().select(&selector).expect("selected");
        let mut found = BTreeMap::new();
        let mut data = SeriesData::default();
        for index in 0..set.len() {
            set.read(index, &mut data).expect("read");
            let common = ["__name__", "airflow", "env", "instance", "job"];
            let own = set.labels(index).filter(|name| !common.contains(&name));
            let values: Vec<&str> = own.iter().map(|(_, value)| value).collect();
            let points = data.timestamps.iter().copied().zip(data.values.iter().copied());
            found.insert(values.join(" "), points.collect());
        }
        found
    }

    /// The newest value of each series of one metric.
    pub(super) fn newest(&self, name: &str) -> BTreeMap<String, f64> {
        let last = |points: &Vec<(i64, f64)>| points.last().expect("a sample").1;
        self.samples(name).iter().map(|(labels, points)| (labels.clone(), last(points))).collect()
    }
}

pub(super) const NEVER: &dyn Fn() -> bool = &|| false;

pub(super) fn catch_up(worker: &mut Worker) {
    for _ in 0..20 {
        if worker.pass(NEVER) {
            return;
        }
        assert_eq!(worker.failures, 0, "the server answers");
    }
    panic!("the present was not reached");
}

fn run(id: &str, state: &str, start: u32, end: Option<u32>) -> Value {
    let updated = ms(i64::from(end.unwrap_or(start)));
    json!({"dag_id": "etl", "dag_run_id": id, "state": state, "run_type": "manual",
        "start_date": clock(start), "end_date": end.map(clock), "_updated": updated})
}

fn stamped(mut task: Value, updated: i64) -> Value {
    task["_updated"] = json!(ms(updated));
    task
}

/// When an entry last changed, as far as its captured answer says.
fn changed_at(entry: &Value) -> i64 {
    let text = entry["end_date"].as_str().or(entry["start_date"].as_str());
    let time = text.map(|text| text.parse::<jiff::Timestamp>().expect("a time"));
    time.map_or(0, |time| time.as_millisecond())
}

fn entries(text: &str, key: &str) -> Vec<Value> {
    let mut page: Value = serde_json::from_str(text).expect("JSON");
    let Value::Array(mut entries) = page[key].take() else { panic!("no {key}") };
    for entry in &mut entries {
        entry["_updated"] = json!(changed_at(entry));
    }
    entries
}

#[test]
fn captured_lists_of_both_versions_are_counted_at_their_times() {
    for (api, dir) in [(Api::V1, "api-2.11"), (Api::V2, "api-3.3")] {
        let Some(runs) = captured(&format!("{dir}/dagruns_all.json")) else { return };
        let Some(tasks) = captured(&format!("{dir}/tis_all.json")) else { return };
        let watch = Watch::at(api, 3600);
        let (runs, tasks) = (entries(&runs, "dag_runs"), entries(&tasks, "task_instances"));
        for (path, file) in [(api.health(), "health"), ("/pools", "pools"), ("/dags", "dags")] {
            let text = captured(&format!("{dir}/{file}.json")).expect("beside the others");
            let value = serde_json::from_str(&text).expect("JSON");
            watch.server.world().other.insert(path.to_owned(), value);
        }
        watch.server.world().runs = runs.clone();
        watch.server.world().tasks = tasks.clone();
        catch_up(&mut watch.worker());
        watch.advance(15);
        catch_up(&mut watch.worker()); // as after a restart

        let finished = |e: &&Value| e["state"] == "success" || e["state"] == "failed";
        let expected = runs.iter().filter(finished).count() as f64;
        let counted = watch.newest("airflow_dag_runs_total");
        assert_eq!(counted.values().sum::<f64>(), expected, "{counted:?}");
        let over = ["success", "failed", "skipped", "upstream_failed"];
        let is_over = |e: &&Value| over.contains(&e["state"].as_str().unwrap_or(""));
        let expected = tasks.iter().filter(is_over).count() as f64;
        let counted = watch.newest("airflow_task_finish_total");
        assert_eq!(counted.values().sum::<f64>(), expected, "{counted:?}");
        // History lies where it happened.
        let ends: Vec<i64> = runs.iter().filter(finished).map(changed_at).collect();
        let samples = watch.samples("airflow_dag_runs_total");
        let times: Vec<i64> = samples.values().flatten().map(|(at, _)| *at).collect();
        assert!(ends.iter().all(|end| times.contains(end)), "{samples:?}");
        assert_eq!(watch.newest("airflow_pool_slots")["default_pool default_pool"], 128.0);
        assert_eq!(watch.newest("airflow_healthy")["scheduler"], 1.0);
        assert_eq!(watch.newest("airflow_dags").values().sum::<f64>(), 10.0);
        assert_eq!(watch.newest("up").values().copied().collect::<Vec<_>>(), [1.0]);
    }
}

#[test]
fn more_than_a_page_is_read_in_windows() {
    let watch = Watch::at(Api::V1, 7200);
    let ended = |i: u32| run(&format!("r{i}"), "success", 10 * i, Some(10 * i + 5));
    watch.server.world().runs = (0..350).map(ended).collect();
    catch_up(&mut watch.worker());
    assert_eq!(watch.newest("airflow_dag_runs_total")["etl manual success"], 350.0);
    let points = &watch.samples("airflow_dag_runs_total")["etl manual success"];
    assert!(points.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{points:?}");
    assert_eq!(watch.newest("airflow_dag_run_duration_seconds_count").len(), 1);
}

#[test]
fn an_outage_a_restart_and_a_missed_attempt_lose_nothing() {
    let watch = Watch::at(Api::V2, 100);
    watch.server.world().runs = vec![run("r1", "running", 90, None)];
    watch.server.world().tasks = vec![stamped(task("t", "running", 1, Some(95), None), 95)];
    let mut worker = watch.worker();
    catch_up(&mut worker);
    assert_eq!(watch.newest("airflow_dag_runs")["etl running"], 1.0);
    assert_eq!(watch.newest("airflow_task_instances")["etl running"], 1.0);

    watch.server.world().is_broken = true;
    watch.advance(60);
    worker.pass(NEVER);
    assert_eq!(watch.newest("up").values().copied().collect::<Vec<_>>(), [0.0]);
    assert!(is_stale_nan(watch.newest("airflow_dag_runs")["etl running"]));
    drop(worker);

    // Meanwhile: a failure, a second attempt, the end; and the token has changed.
    watch.advance(3600);
    {
        let mut world = watch.server.world();
        world.is_broken = false;
        world.token = "second".to_owned();
        world.runs = vec![run("r1", "success", 90, Some(400))];
        world.tasks = vec![stamped(task("t", "success", 2, Some(300), Some(390)), 390)];
        let first = task("t", "failed", 1, Some(95), Some(200));
        world
            .tries
            .insert("t".to_owned(), vec![first, task("t", "success", 2, Some(300), Some(390))]);
    }
    let mut worker = watch.worker();
    catch_up(&mut worker);
    watch.server.world().token = "third".to_owned();
    watch.advance(15);
    catch_up(&mut worker);
    let attempts = watch.samples("airflow_task_attempts_total");
    assert!(attempts["etl failed t"].contains(&(ms(200), 1.0)), "{attempts:?}");
    assert!(attempts["etl success t"].contains(&(ms(390), 1.0)), "{attempts:?}");
    assert_eq!(watch.newest("airflow_task_attempts_total").values().sum::<f64>(), 2.0);
    assert_eq!(watch.newest("airflow_dag_runs_total")["etl manual success"], 1.0);
    assert_eq!(watch.newest("airflow_poll_failures_total").values().sum::<f64>(), 1.0);
    assert!(is_stale_nan(watch.newest("airflow_dag_runs")["etl running"]));
    assert_eq!(
        watch.newest("airflow_dag_last_success_timestamp_seconds")["etl"],
        ms(400) as f64 / 1e3
    );
}

#[test]
fn a_deleted_run_leaves_the_gauges_and_is_counted() {
    let watch = Watch::at(Api::V1, 100);
    watch.server.world().runs = vec![run("r1", "running", 90, None)];
    let mut worker = watch.worker();
    catch_up(&mut worker);
    watch.server.world().runs.clear();
    watch.advance(15);
    catch_up(&mut worker);
    assert!(is_stale_nan(watch.newest("airflow_dag_runs")["etl running"]));
    assert_eq!(watch.newest("airflow_dag_runs_deleted_total")["etl"], 1.0);
    watch.advance(15);
    catch_up(&mut worker);
    assert_eq!(watch.newest("airflow_dag_runs_deleted_total")["etl"], 1.0);
}

#[test]
fn one_instance_does_not_disturb_another() {
    let (good, bad) = (Watch::at(Api::V2, 100), Watch::at(Api::V2, 100));
    bad.server.world().is_broken = true;
    let clock: Arc<dyn Clock> = Arc::clone(&good.clock) as Arc<dyn Clock>;
    let mut pollers = Pollers::new(Arc::downgrade(&good.store), clock);
    let first = good.worker().options;
    let second = InstanceOptions {
        name: "test".to_owned(),
        url: format!("http://{}", bad.server.address),
        ..first.clone()
    };
    let ca = Some(Secret::File("absent.pem".into()));
    let tls_config = TlsConfig { ca, ..TlsConfig::default() };
    let http = HttpConfig { tls_config, ..HttpConfig::default() };
    let third = InstanceOptions { name: "third".to_owned(), http, ..first.clone() };
    pollers.set(&[first.clone(), second, third]);
    for _ in 0..500 {
        if newest_up(&good.store).len() == 3 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(pollers.len(), 3);
    assert_eq!(newest_up(&good.store), [0.0, 0.0, 1.0]);
    pollers.set(&[first]);
    assert_eq!(pollers.len(), 1);
}

/// `up` of all instances, ascending.
fn newest_up(store: &Store) -> Vec<f64> {
    let matchers = [Matcher::equal("__name__", "up")];
    let selector = Selector::new(&matchers, Timestamp::MIN, Timestamp::MAX);
    let set = store.source().select(&selector).expect("selected");
    let mut data = SeriesData::default();
    let mut up = Vec::new();
    for index in 0..set.len() {
        set.read(index, &mut data).expect("read");
        up.extend(data.values.last());
    }
    up.sort_by(f64::total_cmp);
    up
}
