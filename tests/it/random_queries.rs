//! Random expressions, asked of a real Prometheus and of us over the same series.
//!
//! The same samples go to both by remote write. `TIDEWATCH_PROMETHEUS_BIN` names the server to
//! compare with (default: the one in `PATH`), `TIDEWATCH_SEED` the first seed,
//! `TIDEWATCH_QUERIES` how many expressions are asked, `TIDEWATCH_FEATURES` (names with commas
//! between, as `use-start-timestamps`) what is enabled on both sides besides. What differs must be recognised by a rule of
//! [`super::version_differences`]; each is explained in docs/promql-differences.md.
//!
//! With a server older than 3.0 samples, evaluation times and ranges never fall on each other's
//! edges: which of both ends of a range is open changed with 3.0.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::newest_series;
use super::reference::check::{Bench, Outcome, close};
use super::reference::data::{INTERVAL_MS, Point, SAMPLES, Series, series};
use super::reference::dice::Dice;
use super::reference::generate::{Language, expression};
use super::reference::histogram::Histo;
use super::reference::newest::is_unknown;
use super::reference_evaluator::from_env;
use super::support::remote_write::TimeSeries;
use super::support::server::free_port;
use super::support::{Client, Server, now_ms, remote_write, wait_for};
use super::version_differences::explanation;

/// Expressions asked unless told otherwise.
const QUERIES_DEFAULT: u64 = 400;
/// Time between samples of the data and first evaluation, in ms: something is there already.
const LEAD_MS: i64 = 130_000;
/// The class of what the language leaves open.
const OPEN: &str = "which of equals is chosen, last digits as a label";
/// What a server of 3.14 keeps behind flags.
const NEWEST_FEATURES: &[&str] = &[
    "promql-duration-expr",
    "promql-extended-range-selectors",
    "promql-binop-fill-modifiers",
    "st-storage",
    "xor2-encoding",
    "histograms-st-encoding",
];
/// What we keep behind flags.
const OUR_FEATURES: &str = "promql-experimental-functions,promql-extended-range-selectors,\
                            promql-binop-fill-modifiers";
/// Length and step of a range query, in seconds.
const RANGE_S: (i64, i64) = (430, 43);

/// A Prometheus that takes remote writes; it ends with this.
struct Prometheus {
    child: Child,
    client: Client,
    _dir: TempDir,
    /// Older than 3.0.
    is_old: bool,
    /// 3.14 or later.
    is_newest: bool,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Features to enable besides, each behind a comma.
fn more_features() -> String {
    std::env::var("TIDEWATCH_FEATURES").map_or(String::new(), |names| format!(",{names}"))
}

fn program() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("TIDEWATCH_PROMETHEUS_BIN") {
        return Some(path.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join("prometheus")).find(|file| file.is_file())
}

impl Prometheus {
    fn start(program: &PathBuf) -> Prometheus {
        let dir = TempDir::new().expect("a temporary directory");
        let config = dir.path().join("prometheus.yml");
        fs::write(&config, "global: {evaluation_interval: 1m}\n").expect("written");
        let help = Command::new(program).arg("--help").output().expect("prometheus starts");
        let help = String::from_utf8_lossy(&[help.stdout, help.stderr].concat()).into_owned();
        let is_old = !help.contains("promql-delayed-name-removal");
        let is_newest = help.contains("promql-binop-fill-modifiers");
        let mut features = vec!["promql-experimental-functions"];
        features.extend(if is_newest { NEWEST_FEATURES } else { &[] });
        let features = format!("{}{}", features.join(","), more_features());
        let port = free_port();
        let log = fs::File::create(dir.path().join("log")).expect("a log file");
        let child = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("tsdb").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--web.enable-remote-write-receiver")
            .args(is_newest.then_some("--web.enable-otlp-receiver"))
            .args((!is_old).then(|| format!("--enable-feature={features}")))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle of the log"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
        let client = Client::new(port);
        wait_for("Prometheus to be ready", Duration::from_secs(60), || {
            client.get("/-/ready").ok().filter(|answer| answer.status == 200)
        });
        Prometheus { child, client, _dir: dir, is_old, is_newest }
    }
}

/// The samples of a stretch of time as remote write sends them. All at once would not do: of one
/// request Prometheus takes the floats of a series first, and older histograms no more.
fn messages(series: &[Series], times: Range<i64>) -> Vec<TimeSeries> {
    let message = |series: &Series| {
        let labels: Vec<(&str, &str)> =
            series.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let (mut samples, mut histograms) = (Vec::new(), Vec::new());
        for (time, point) in series.samples.iter().filter(|(time, _)| times.contains(time)) {
            match point {
                Point::Float(value) => samples.push((*time, *value)),
                Point::Stale => samples.push((*time, tidewatch::model::stale_nan())),
                Point::Histogram(histogram) => histograms.push(native(*time, histogram)),
            }
        }
        TimeSeries { histograms, ..remote_write::series(&labels, &samples) }
    };
    series.iter().map(message).collect()
}

fn native(timestamp: i64, histogram: &Histo) -> remote_write::Histogram {
    let first = histogram.buckets.keys().next().copied().unwrap_or(0);
    let last = histogram.buckets.keys().last().copied().unwrap_or(0);
    let count = |bucket| histogram.buckets.get(&bucket).copied().unwrap_or(0.0);
    let span = remote_write::BucketSpan { offset: first as i32, length: (last - first + 1) as u32 };
    remote_write::Histogram {
        count_float: Some(histogram.count),
        zero_count_float: Some(0.0),
        sum: histogram.sum,
        schema: 0,
        positive_spans: vec![span],
        positive_counts: (first..=last).map(count).collect(),
        timestamp,
        ..remote_write::Histogram::default()
    }
}

/// What a server says: its result, or its error.
pub struct Answer {
    /// Whether it is a result.
    pub is_success: bool,
    /// The result's series by their labels, or nothing.
    pub series: BTreeMap<String, Value>,
    /// The error, or nothing.
    pub error: String,
    /// Warnings and infos.
    pub notes: Vec<String>,
}

fn ask(client: &Client, form: &[(&str, &str)], path: &str) -> Answer {
    let answer = client.form(path, form).unwrap_or_else(|e| panic!("{form:?}: no answer: {e}"));
    let json: Value = serde_json::from_str(&answer.body)
        .unwrap_or_else(|e| panic!("{form:?}: status {}, {e}: {}", answer.status, answer.body));
    let texts = |key: &str| {
        let list = json[key].as_array().into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    let is_success = json["status"] == "success";
    let result = json["data"]["result"].as_array().into_iter().flatten();
    let scalar = json["data"]["resultType"] == "scalar";
    let series = match scalar {
        true => BTreeMap::from([(String::new(), json["data"]["result"].clone())]),
        false => result.map(|one| (one["metric"].to_string(), one.clone())).collect(),
    };
    let error = json["error"].as_str().unwrap_or_default().to_owned();
    let notes = [texts("warnings"), texts("infos")].concat();
    Answer { is_success, series, error, notes }
}

/// How two answers differ.
fn difference(theirs: &Answer, ours: &Answer) -> Option<String> {
    match (theirs.is_success, ours.is_success) {
        (false, false) => None,
        (true, false) => Some(format!("we fail: {}", ours.error)),
        (false, true) => Some(format!("Prometheus fails: {}", theirs.error)),
        (true, true) => {
            let keys = |answer: &Answer| answer.series.keys().cloned().collect::<Vec<_>>();
            if keys(theirs) != keys(ours) {
                return Some(format!("expected {:?}\n  got      {:?}", keys(theirs), keys(ours)));
            }
            theirs.series.iter().find_map(|(labels, expected)| {
                let got = &ours.series[labels];
                (!alike(expected, got)).then(|| format!("expected {expected}\n  got      {got}"))
            })
        }
    }
}

/// Whether two JSON values are equal but for the rounding of numbers.
fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| alike(a, b)))
        }
        (Value::String(a), Value::String(b)) => match (a.parse(), b.parse()) {
            (Ok(a), Ok(b)) => close(a, b),
            _ => a == b,
        },
        (a, b) => a == b || a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| close(a, b)),
    }
}

#[test]
fn random_expressions_give_what_prometheus_gives() {
    let Some(program) = program() else {
        assert!(std::env::var_os("CI").is_none(), "prometheus must be installed");
        println!("skipped: prometheus is not installed");
        return;
    };
    let prometheus = Prometheus::start(&program);
    let features = format!("{OUR_FEATURES}{}", more_features());
    let mut server = Server::start_with(&["--enable-feature", &features]);
    let ours = server.client();
    let (is_old, newest) = (prometheus.is_old, prometheus.is_newest);
    // Ends of ranges and samples keep away from each other, or meet.
    let (shift_ms, half) = if is_old { (137, ".5") } else { (0, "") };
    let start_ms = (now_ms() / 3_600_000 - 1) * 3_600_000;
    let all = series(start_ms, shift_ms, !is_old);
    for number in 0..SAMPLES {
        let from = start_ms + shift_ms + number * INTERVAL_MS;
        let mut messages = messages(&all, from..from + INTERVAL_MS);
        if newest {
            messages.extend(newest_series::messages(start_ms, from..from + INTERVAL_MS));
            ours.write_2_ok(&messages);
            let is_started = |series: &TimeSeries| {
                let is_name = |l: &remote_write::Label| l.value.starts_with(newest_series::STARTED);
                series.labels.iter().any(is_name)
            };
            let (started, others): (Vec<_>, Vec<_>) = messages.into_iter().partition(is_started);
            prometheus.client.write_ok(&others);
            // By remote write 3.14 takes no start timestamps.
            prometheus.client.write_otlp_ok(&started);
            continue;
        }
        prometheus.client.write_ok(&messages);
        ours.write_ok(&messages);
    }

    let first_s = (start_ms + LEAD_MS) / 1000;
    let times = [first_s + 170, first_s + 320, first_s + 425].map(|s| format!("{s}{half}"));
    let (young, nested_subqueries, histograms) = (!is_old, !is_old, !is_old);
    let all_series = newest;
    let started = all_series;
    let language =
        Language { young, nested_subqueries, histograms, newest, all_series, started, times };
    let first_ms = first_s * 1000 + if is_old { 500 } else { 0 };
    let last_ms = first_ms + RANGE_S.0 * 1000;
    let at_once = Bench::new(all.clone(), (last_ms, last_ms, 1000));
    let over_range = Bench::new(all, (first_ms, last_ms, RANGE_S.1 * 1000));
    let (start, end) = (format!("{first_s}{half}"), format!("{}{half}", first_s + RANGE_S.0));
    let step = RANGE_S.1.to_string();
    let (first, count) =
        (from_env("TIDEWATCH_SEED", 1), from_env("TIDEWATCH_QUERIES", QUERIES_DEFAULT));
    println!("{}: seeds {first}..{}, data from {start_ms}", program.display(), first + count);
    let mut explained: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut same, mut fail, mut failures) = (0, 0, Vec::new());
    for seed in first..first + count {
        let query = expression(&mut Dice::new(&[], Some(seed)), &language);
        let mut form = vec![("query", query.as_str())];
        let (path, bench) = if seed % 4 == 0 {
            form.push(("time", &end));
            ("/api/v1/query", &at_once)
        } else {
            form.extend([("start", start.as_str()), ("end", &end), ("step", &step)]);
            ("/api/v1/query_range", &over_range)
        };
        let theirs = ask(&prometheus.client, &form, path);
        let found = ask(&ours, &form, path);
        match difference(&theirs, &found).or_else(|| told_differently(is_old, &theirs, &found)) {
            None if theirs.is_success => same += 1,
            None => fail += 1,
            Some(how) => match explain(bench, is_old, &query, &theirs, &found) {
                Some(why) => *explained.entry(why).or_default() += 1,
                None => failures.push(format!("seed {seed}: {query}\n  {how}")),
            },
        }
    }
    server.assert_alive();
    let unexplained = failures.len();
    println!(
        "{same} the same, {fail} fail in both, {unexplained} differ, explained: {explained:#?}"
    );
    failures.truncate(25);
    assert!(failures.is_empty(), "{unexplained} differ:\n{}", failures.join("\n"));
    assert!(same > count / 2, "too few expressions have a value");
}

/// The class of a difference: the reference evaluator must side with us, if it knows the expression.
fn explain(
    bench: &Bench,
    is_old: bool,
    query: &str,
    theirs: &Answer,
    ours: &Answer,
) -> Option<&'static str> {
    if is_unknown(query) {
        let chooses = query.contains("topk") || query.contains("bottomk");
        let is_open = chooses || query.contains("count_values") && rounded(theirs) == rounded(ours);
        return explanation(is_old, query, theirs, ours).or_else(|| is_open.then_some(OPEN));
    }
    match bench.compare(query) {
        Err(_) => None,
        Ok(Outcome::Open(_)) => Some(OPEN),
        Ok(Outcome::Same | Outcome::BothFail) => explanation(is_old, query, theirs, ours),
    }
}

/// The labels of the series, numbers in them without their last digits.
fn rounded(answer: &Answer) -> BTreeSet<String> {
    let is_of_number = |c: char| c.is_ascii_digit() || "+-.e".contains(c);
    let round = |word: &str| match word.parse::<f64>() {
        Ok(number) => format!("{number:.9e}"),
        Err(_) => word.to_owned(),
    };
    let label = |labels: &String| {
        let words = labels.split_inclusive(|c| !is_of_number(c));
        let rounded = words.map(|word| match word.char_indices().next_back() {
            Some((at, last)) if !is_of_number(last) => format!("{}{last}", round(&word[..at])),
            _ => round(word),
        });
        rounded.collect()
    };
    answer.series.keys().map(label).collect()
}

/// How errors and annotations differ; those of old servers were others.
fn told_differently(is_old: bool, theirs: &Answer, ours: &Answer) -> Option<String> {
    if is_old {
        return None;
    }
    // Of several duplicates it names the first it meets, in no particular order.
    let duplicates = "found duplicate series for the match group";
    let both = [theirs, ours].iter().all(|answer| answer.error.starts_with(duplicates));
    if theirs.error != ours.error && !both {
        return Some(format!("expected error {:?}\n  got      {:?}", theirs.error, ours.error));
    }
    let sorted = |answer: &Answer| {
        let mut notes = answer.notes.clone();
        notes.sort();
        notes
    };
    let (expected, got) = (sorted(theirs), sorted(ours));
    (expected != got).then(|| format!("expected notes {expected:?}\n  got      {got:?}"))
}
