//! Queries that take long: they stop when their client goes, wait their turn, and do not hold up a
//! stop.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::support::remote_write::{TimeSeries, series};
use super::support::{Client, Server, now_ms, wait_for};

/// Far below what [`long_query`] takes, far above what a busy machine needs to notice.
const SOON: Duration = Duration::from_secs(20);
const RUNNING: &str = r#"tidewatch_queries{state="running"}"#;
const WAITING: &str = r#"tidewatch_queries{state="waiting"}"#;

/// Something to ask about: 200 series of three hours.
fn fill(client: &Client) {
    let start = now_ms() - 3 * 3_600_000;
    let samples: Vec<(i64, f64)> =
        (0..180).map(|i| (start + i * 60_000, (i * 7919 % 1000) as f64)).collect();
    let set = |i: u32| series(&[("__name__", "long"), ("i", &i.to_string())], &samples);
    client.write_ok(&(0..200).map(set).collect::<Vec<TimeSeries>>());
}

/// The request line of a query that sorts 200 series x 11,000 steps x 10,800 samples: minutes of
/// work, in a build with optimisation too.
fn long_query() -> String {
    let now = now_ms() / 1000;
    let query = "sum(quantile_over_time(0.9,long[3h:1s]))";
    let (start, end) = (now - 10_900, now);
    format!("GET /api/v1/query_range?query={query}&start={start}&end={end}&step=1 HTTP/1.1")
}

/// Samples the long query looks at before it ends by itself: series, steps and windows in full.
const LONG_SAMPLES: f64 = 200.0 * 10_900.0 * 5_400.0;

/// Sends the query and leaves the connection open.
fn ask(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", server.http_port())).expect("connected");
    let request = format!("{}\r\nHost: a\r\n\r\n", long_query());
    stream.write_all(request.as_bytes()).expect("sent");
    stream
}

fn wait_until(client: &Client, metric: &str, value: f64) {
    let what = format!("{metric} to be {value}");
    wait_for(&what, SOON, || (client.metric(metric) == Some(value)).then_some(()));
}

#[test]
fn a_query_ends_when_its_client_is_gone() {
    let mut server = Server::start();
    let client = server.client();
    fill(&client);
    let asked = ask(&server);
    wait_until(&client, RUNNING, 1.0);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(client.metric(RUNNING), Some(1.0), "the query is a long one");
    assert_eq!(client.metric("prometheus_engine_queries"), Some(1.0));
    let left = Instant::now();
    drop(asked);
    wait_until(&client, RUNNING, 0.0);
    println!("the query ended {:?} after its client had gone", left.elapsed());
    assert_eq!(client.metric("tidewatch_queries_canceled_total"), Some(1.0));
    let samples = client.metric("prometheus_engine_query_samples_total").expect("counted");
    assert!(samples < LONG_SAMPLES, "the query went through to its end: {samples} samples");
    assert_eq!(client.query_at("1", now_ms())[0].points[0].1, 1.0);
    server.assert_alive();
}

#[test]
fn queries_above_the_limit_wait_their_turn() {
    let mut server = Server::start_with(&["--query.max-concurrency", "1"]);
    let client = server.client();
    fill(&client);
    assert_eq!(client.metric("prometheus_engine_queries_concurrent_max"), Some(1.0));
    let asked = ask(&server);
    wait_until(&client, RUNNING, 1.0);

    // One that is not patient enough is told so, in Prometheus' words.
    let impatient = client.form("/api/v1/query", &[("query", "1"), ("timeout", "200ms")]);
    let impatient = impatient.expect("an answer");
    assert_eq!(impatient.status, 503, "{}", impatient.body);
    let expected =
        r#"{"status":"error","errorType":"timeout","error":"query timed out in query queue"}"#;
    assert_eq!(impatient.body, expected);

    // One that is waits until the first is gone.
    let patient = client.clone();
    let waiting = std::thread::spawn(move || patient.query_at("1", now_ms()));
    wait_until(&client, WAITING, 1.0);
    drop(asked);
    assert_eq!(waiting.join().expect("no panic")[0].points[0].1, 1.0);
    wait_until(&client, WAITING, 0.0);
    server.assert_alive();
}

#[test]
fn a_query_out_of_time_says_so() {
    let server = Server::start_with(&["--query.timeout", "1s"]);
    fill(&server.client());
    let mut answer = String::new();
    let mut asked = ask(&server);
    asked.set_read_timeout(Some(SOON)).expect("a timeout");
    let mut part = [0; 4096];
    while !answer.contains("}") {
        let read = asked.read(&mut part).expect("an answer in time");
        answer.push_str(&String::from_utf8_lossy(&part[..read]));
        assert!(read > 0, "{answer}");
    }
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains(r#""errorType":"timeout""#), "{answer}");
    assert!(answer.contains("query timed out in expression evaluation"), "{answer}");
}

#[test]
fn a_long_query_does_not_keep_the_store_from_being_closed() {
    let mut server = Server::start();
    let client = server.client();
    fill(&client);
    let _asked = ask(&server);
    wait_until(&client, RUNNING, 1.0);
    assert!(server.terminate().success(), "{}", server.log());
    assert!(!server.log().contains("still in use"), "{}", server.log());
}
