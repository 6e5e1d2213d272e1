//! `kill -9` under load, again and again: what was acknowledged is there afterwards, bit for bit,
//! and nothing is there that was not sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::support::remote_write::{self, TimeSeries};
use super::support::{Client, Rng, Series, Server, now_ms};

/// Number of kills.
const ROUNDS: u64 = 22;
/// Connections that write at the same time.
const WRITERS: u64 = 4;
/// Series of each writer.
const SERIES: u64 = 8;
/// Samples per series in one request.
const BLOCK: i64 = 5;
/// First timestamp: so long before the start of the test, in milliseconds.
const HISTORY_MS: i64 = 40 * 60 * 1000;
/// The server lives between these times after it is ready.
const LIFE_MS: (u64, u64) = (30, 400);

/// What one writer sent: request `i` held the timestamps `first + i * BLOCK ..` of every series.
struct Sent {
    writer: u64,
    first: i64,
    /// Whether request `i` was acknowledged.
    acknowledged: Vec<bool>,
}

impl Sent {
    fn request(&self, block: usize) -> Vec<TimeSeries> {
        let start = self.first + block as i64 * BLOCK;
        (0..SERIES).map(|series| one_series(self.writer, series, start)).collect()
    }
}

fn one_series(writer: u64, series: u64, start: i64) -> TimeSeries {
    let (w, s) = (writer.to_string(), series.to_string());
    let labels = [("__name__", "crash"), ("series", s.as_str()), ("writer", w.as_str())];
    let samples: Vec<(i64, f64)> =
        (start..start + BLOCK).map(|t| (t, value(writer, series, t))).collect();
    remote_write::series(&labels, &samples)
}

/// The one value that a sample can have; exact in a float.
fn value(writer: u64, series: u64, timestamp: i64) -> f64 {
    let mixed = (timestamp as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (writer << 8 | series);
    (mixed >> 20) as f64 / 8.0
}

/// Writes until it is told to stop. After a failure the same request is sent again (as Prometheus
/// does) or given up, in turn; given-up ones may or may not be stored.
fn write(client: &Client, writer: u64, first: i64, stop: &AtomicBool) -> Sent {
    let mut sent = Sent { writer, first, acknowledged: Vec::new() };
    let mut failures = 0u64;
    let mut block = 0;
    while !stop.load(Ordering::Relaxed) {
        let answer = client.write(&sent.request(block));
        let acknowledged = match answer {
            Ok(answer) if answer.status == 204 => true,
            Ok(answer) => {
                assert!(answer.status >= 500, "status {}: {}", answer.status, answer.body);
                false
            }
            Err(_) => false,
        };
        if acknowledged || failures % 2 == 1 {
            sent.acknowledged.push(acknowledged);
            block += 1;
        }
        failures += u64::from(!acknowledged);
        std::thread::sleep(Duration::from_millis(if acknowledged { 1 } else { 10 }));
    }
    sent
}

struct Load {
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<Sent>>,
}

impl Load {
    fn start(server: &Server, first: i64) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let start_one = |writer| {
            let (client, stop) = (server.client(), Arc::clone(&stop));
            std::thread::spawn(move || write(&client, writer, first, &stop))
        };
        Load { writers: (0..WRITERS).map(start_one).collect(), stop }
    }

    fn finish(self) -> Vec<Sent> {
        self.stop.store(true, Ordering::Relaxed);
        self.writers.into_iter().map(|writer| writer.join().expect("a writer ended well")).collect()
    }
}

fn stored(client: &Client, writer: u64, first: i64) -> Vec<Series> {
    // Ranges are open on the left.
    let query = format!("crash{{writer=\"{writer}\"}}[{}ms]", 2 * HISTORY_MS);
    client.query_at(&query, first - 1 + 2 * HISTORY_MS)
}

/// Compares what is stored with what one writer knows; returns (acknowledged, stored) samples.
fn check(client: &Client, sent: &Sent) -> (usize, usize) {
    let stored = stored(client, sent.writer, sent.first);
    assert_eq!(stored.len() as u64, SERIES, "series of writer {}", sent.writer);
    let (mut acknowledged, mut total) = (0, 0);
    for series in stored {
        let number: u64 = series.labels["series"].parse().expect("our label");
        let mut present = vec![0; sent.acknowledged.len() + 1];
        for (seconds, found) in &series.points {
            let timestamp = (seconds * 1000.0).round() as i64;
            let block = (timestamp - sent.first).div_euclid(BLOCK);
            let block = usize::try_from(block).expect("no sample before the first one");
            assert!(block < present.len(), "a sample that nobody sent, at {timestamp}");
            present[block] += 1;
            let expected = value(sent.writer, number, timestamp);
            assert_eq!(*found, expected, "writer {} series {number} at {timestamp}", sent.writer);
        }
        for (block, _) in sent.acknowledged.iter().enumerate().filter(|(_, known)| **known) {
            let found = present[block];
            assert_eq!(
                found,
                BLOCK,
                "writer {} series {number}: block {block} of {} was acknowledged",
                sent.writer,
                sent.acknowledged.len()
            );
            acknowledged += found as usize;
        }
        total += series.points.len();
    }
    (acknowledged, total)
}

fn count(client: &Client, first: i64) -> f64 {
    let query = format!("sum(count_over_time(crash[{}ms]))", 2 * HISTORY_MS);
    client.single(&query, first - 1 + 2 * HISTORY_MS).unwrap_or(0.0)
}

#[test]
fn acknowledged_samples_survive_kill_9() {
    let started = Instant::now();
    let mut rng = Rng::new(9);
    let first = now_ms() - HISTORY_MS;
    let mut server = Server::start();
    let load = Load::start(&server, first);
    let mut counted = 0.0;
    for round in 0..ROUNDS {
        std::thread::sleep(Duration::from_millis(LIFE_MS.0 + rng.below(LIFE_MS.1 - LIFE_MS.0)));
        server.kill();
        server.restart();
        // What was seen before the kill is still there: nothing that a query has shown goes away.
        let now = count(&server.client(), first);
        assert!(now >= counted, "round {round}: {counted} samples before the kill, {now} after");
        counted = now;
    }
    let sent = load.finish();
    server.kill();
    server.restart();
    let client = server.client();
    let checked: Vec<(usize, usize)> = sent.iter().map(|sent| check(&client, sent)).collect();
    let acknowledged: usize = checked.iter().map(|(acknowledged, _)| acknowledged).sum();
    let stored: usize = checked.iter().map(|(_, stored)| stored).sum();
    assert_eq!(count(&client, first), stored as f64, "no series beside those of the writers");
    assert!(acknowledged > 5_000, "only {acknowledged} samples were acknowledged, too few to tell");
    server.assert_alive();
    println!(
        "{ROUNDS} kills in {:.1?}: {acknowledged} samples acknowledged, {stored} stored",
        started.elapsed()
    );
}

#[test]
fn sigterm_stops_in_order_and_loses_nothing() {
    let first = now_ms() - HISTORY_MS;
    let mut server = Server::start();
    let load = Load::start(&server, first);
    std::thread::sleep(Duration::from_millis(500));
    let status = server.terminate();
    assert!(status.success(), "SIGTERM ended the server with {status}:\n{}", server.log());
    let sent = load.finish();
    server.restart();
    for sent in &sent {
        let (acknowledged, _) = check(&server.client(), sent);
        assert!(acknowledged > 0, "writer {} wrote nothing", sent.writer);
    }
}

#[test]
fn what_was_read_back_is_shown() {
    let mut server = Server::start();
    let shown = |server: &Server| {
        let answer = server.client().get("/api/v1/status/walreplay").expect("an answer");
        let json: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
        ["min", "max", "current"].map(|key| json["data"][key].as_u64().expect("a number"))
    };
    assert_eq!(shown(&server), [0, 0, 0], "there was nothing to read back");
    server
        .client()
        .write_ok(&[remote_write::series(&[("__name__", "replayed")], &[(now_ms(), 1.0)])]);
    server.kill();
    server.restart();
    let [min, max, current] = shown(&server);
    assert!(1 <= min && min <= max && current == max, "{min} {max} {current}");
}
