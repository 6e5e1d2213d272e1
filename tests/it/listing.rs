//! Lists of series over HTTP: what has samples in the range, before and after its window is on disk.

use serde_json::Value;

use super::support::remote_write::{TimeSeries, series};
use super::support::{Client, Server, now_ms};

const WINDOW_MS: i64 = 30 * 60_000;

/// A series of ten samples, one a second from `start` (ms) on, with a label of its own.
fn ten_seconds(name: &str, start: i64) -> TimeSeries {
    let samples: Vec<(i64, f64)> = (0..10).map(|i| (start + i * 1000, i as f64)).collect();
    let own = format!("of_{name}");
    series(&[("__name__", name), ("job", "listed"), (own.as_str(), "1")], &samples)
}

fn data(client: &Client, path: &str, start: i64, end: i64) -> Vec<Value> {
    let seconds = |ms: i64| format!("{}.{:03}", ms / 1000, ms % 1000);
    let matcher = "match[]=%7Bjob%3D%22listed%22%7D";
    let target = format!("{path}?{matcher}&start={}&end={}", seconds(start), seconds(end));
    let answer = client.get(&target).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let json: Value = serde_json::from_str(&answer.body).expect("JSON");
    json["data"].as_array().expect("a list").clone()
}

/// The metrics listed from `start` to `end` (ms); their names and labels are listed, too.
fn listed(client: &Client, start: i64, end: i64) -> Vec<String> {
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let series = data(client, "/api/v1/series", start, end);
    let series: Vec<String> = series.iter().map(|set| text(&set["__name__"])).collect();
    let all = |path| -> Vec<String> { data(client, path, start, end).iter().map(text).collect() };
    let (values, names) = (all("/api/v1/label/__name__/values"), all("/api/v1/labels"));
    for metric in &series {
        assert!(values.contains(metric) && names.contains(&format!("of_{metric}")), "{metric}");
    }
    series
}

#[test]
fn a_series_is_listed_when_it_has_samples_in_the_range() {
    let mut server = Server::start();
    let window = (now_ms() - 4 * WINDOW_MS) / WINDOW_MS * WINDOW_MS;
    let (early, late, next) = (window + 60_000, window + 120_000, window + WINDOW_MS);
    server.client().write_ok(&[
        ten_seconds("early", early),
        ten_seconds("late", late),
        ten_seconds("next", next),
    ]);
    for restarted in [false, true] {
        if restarted {
            assert!(server.terminate().success(), "{}", server.log());
            server.restart();
        }
        let client = server.client();
        let none: [&str; 0] = [];
        assert_eq!(listed(&client, window, early - 1), none);
        assert_eq!(listed(&client, window, late - 1), ["early"]);
        assert_eq!(listed(&client, early + 9_001, late + 500), ["late"]);
        assert_eq!(listed(&client, late + 9_001, next - 1), none);
        assert_eq!(listed(&client, late + 9_000, next), ["late", "next"]);
        assert_eq!(listed(&client, next, next + WINDOW_MS), ["next"]);
        assert_eq!(listed(&client, window, now_ms()), ["early", "late", "next"]);
    }
    server.assert_alive();
}
