//! A small client of the Prometheus HTTP API.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

use super::{otlp, remote_write};

/// A client of one server.
#[derive(Clone)]
pub struct Client {
    agent: Agent,
    port: u16,
}

/// An HTTP answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// One series of a result; scalars have no labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub labels: BTreeMap<String, String>,
    /// (seconds since the epoch, value)
    pub points: Vec<(f64, f64)>,
}

impl Client {
    pub fn new(port: u16) -> Client {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build();
        Client { agent: Agent::new_with_config(config), port }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn get(&self, path: &str) -> Result<Answer, ureq::Error> {
        answer(self.agent.get(self.url(path)).call()?)
    }

    pub fn delete(&self, path: &str) -> Result<Answer, ureq::Error> {
        answer(self.agent.delete(self.url(path)).call()?)
    }

    /// The value of one series of `/metrics`; `name` is the series as it stands there.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let page = self.get("/metrics").expect("an answer").body;
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map(|value| value.parse().expect("a number"))
    }

    /// POST of a form.
    pub fn form(&self, path: &str, form: &[(&str, &str)]) -> Result<Answer, ureq::Error> {
        answer(self.agent.post(self.url(path)).send_form(form.iter().copied())?)
    }

    /// POST of bytes with headers.
    pub fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, ureq::Error> {
        let request = self.agent.post(self.url(path));
        let request = headers.iter().fold(request, |r, (name, value)| r.header(*name, *value));
        answer(request.send(body)?)
    }

    /// POST of a body as remote write 1.0; the body is already compressed.
    pub fn write_raw(&self, body: &[u8]) -> Result<Answer, ureq::Error> {
        self.post("/api/v1/write", &remote_write::HEADERS, body)
    }

    /// Writes series by remote write 1.0.
    pub fn write(&self, series: &[remote_write::TimeSeries]) -> Result<Answer, ureq::Error> {
        self.write_raw(&remote_write::compress(&remote_write::encode(series)))
    }

    /// Writes series and panics unless they are acknowledged.
    pub fn write_ok(&self, series: &[remote_write::TimeSeries]) {
        let answer = self.write(series).expect("an answer");
        assert_eq!(answer.status, 204, "{}", answer.body);
    }

    /// Writes series by remote write 2.0, start timestamps too, and panics unless they are
    /// acknowledged.
    pub fn write_2_ok(&self, series: &[remote_write::TimeSeries]) {
        let body = remote_write::compress(&remote_write::encode_2(series));
        let answer = self.post("/api/v1/write", &remote_write::HEADERS_2, &body);
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 204, "{}", answer.body);
    }

    /// Writes series by OTLP, start timestamps too, and panics unless they are acknowledged.
    pub fn write_otlp_ok(&self, series: &[remote_write::TimeSeries]) {
        let body = otlp::encode(series);
        let answer = self.post("/api/v1/otlp/v1/metrics", &otlp::HEADERS, &body);
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    /// The `data` of an API answer, or what the server said instead.
    pub fn try_data(&self, path: &str, form: &[(&str, &str)]) -> Result<Value, String> {
        let answer = self.form(path, form).map_err(|error| error.to_string())?;
        let mut json: Value = serde_json::from_str(&answer.body)
            .map_err(|error| format!("status {}, {error}: {}", answer.status, answer.body))?;
        if json["status"] == "success" {
            Ok(json["data"].take())
        } else {
            Err(format!("status {}: {}", answer.status, answer.body))
        }
    }

    /// An instant query at `time` (seconds).
    pub fn instant(&self, query: &str, time: &str) -> Result<Vec<Series>, String> {
        self.try_data("/api/v1/query", &[("query", query), ("time", time)])
            .map(|data| series(&data))
    }

    /// An instant query that must succeed, at `time_ms`.
    pub fn query_at(&self, query: &str, time_ms: i64) -> Vec<Series> {
        let time = format!("{}.{:03}", time_ms.div_euclid(1000), time_ms.rem_euclid(1000));
        self.instant(query, &time).unwrap_or_else(|why| panic!("{query} at {time}: {why}"))
    }

    /// A range query; times in seconds, step in seconds.
    pub fn range(
        &self,
        query: &str,
        start: &str,
        end: &str,
        step: &str,
    ) -> Result<Vec<Series>, String> {
        let form = [("query", query), ("start", start), ("end", end), ("step", step)];
        self.try_data("/api/v1/query_range", &form).map(|data| series(&data))
    }

    /// The value of a query with at most one result series.
    pub fn single(&self, query: &str, time_ms: i64) -> Option<f64> {
        let found = self.query_at(query, time_ms);
        assert!(found.len() <= 1, "{query} gave {} series", found.len());
        found.first().map(|series| series.points[0].1)
    }
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> Result<Answer, ureq::Error> {
    let status = response.status().as_u16();
    let limit = 1 << 30;
    let body = response.body_mut().with_config().limit(limit).lossy_utf8(true).read_to_string()?;
    Ok(Answer { status, body })
}

fn series(data: &Value) -> Vec<Series> {
    let result = &data["result"];
    match data["resultType"].as_str().expect("a result type") {
        "scalar" | "string" => {
            vec![Series { labels: BTreeMap::new(), points: vec![point(result)] }]
        }
        _ => result.as_array().expect("an array").iter().map(one_series).collect(),
    }
}

fn one_series(series: &Value) -> Series {
    let labels = serde_json::from_value(series["metric"].clone()).expect("labels");
    let points = match series["values"].as_array() {
        Some(values) => values.iter().map(point).collect(),
        None => vec![point(&series["value"])],
    };
    Series { labels, points }
}

fn point(pair: &Value) -> (f64, f64) {
    let value = pair[1].as_str().expect("a value as text");
    (pair[0].as_f64().expect("a time"), value.parse().unwrap_or_else(|_| panic!("number {value}")))
}
