//! `kill -9` while alerts come and receivers are told: no acknowledged alert is lost, everybody who
//! was told that an alert fires is told when it is resolved, and nobody is told twice but for what
//! was under way.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::support::{Rng, Server, now_ms, wait_for};

/// Number of kills.
const ROUNDS: u64 = 8;
/// Alerts of each round.
const ALERTS: u64 = 10;
const PATIENCE: Duration = Duration::from_secs(60);
const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

/// Counts of firing and resolved messages by alert.
type Told = Arc<Mutex<BTreeMap<String, (u32, u32)>>>;

/// A webhook that keeps what it is told.
fn webhook() -> (u16, Told) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let told = Told::default();
    let kept = Arc::clone(&told);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let kept = Arc::clone(&kept);
            std::thread::spawn(move || drop(answer(stream, &kept)));
        }
    });
    (port, told)
}

fn answer(stream: TcpStream, told: &Told) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let (mut length, mut line) = (0, String::new());
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(text) = line.strip_prefix("content-length:") {
                length = text.trim().parse().unwrap_or(0);
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let message: Value = serde_json::from_slice(&body).expect("JSON");
        for alert in message["alerts"].as_array().into_iter().flatten() {
            let name = alert["labels"]["n"].as_str().unwrap_or_default().to_owned();
            let mut told = told.lock().expect("no panic");
            let counts = told.entry(name).or_default();
            match alert["status"] == "firing" {
                true => counts.0 += 1,
                false => counts.1 += 1,
            }
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
}

fn posted(names: &[String], ends_in_ms: i64) -> Value {
    let ends = tidewatch::model::Timestamp(now_ms() + ends_in_ms).to_string();
    let starts = tidewatch::model::Timestamp(now_ms() - 1_000).to_string();
    let alert = |name: &String| json!({"labels": {"alertname": "K", "n": name}, "startsAt": starts, "endsAt": ends});
    json!(names.iter().map(alert).collect::<Vec<_>>())
}

#[test]
fn no_alert_is_lost_and_none_told_without_its_end() {
    let (port, told) = webhook();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = dir.path().join("alertmanager.yml");
    let text = format!(
        "route: {{receiver: hook, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}\n\
         receivers: [{{name: hook, webhook_configs: [{{url: 'http://127.0.0.1:{port}/'}}]}}]\n"
    );
    std::fs::write(&config, text).expect("written");
    let path = config.to_str().expect("UTF-8");
    let mut server = Server::new(dir.path(), &["--alertmanager.config", path]);
    server.restart();
    let mut rng = Rng::new(5);
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let names: Vec<String> = (0..ALERTS).map(|n| format!("{round}-{n}")).collect();
        let body = posted(&names, 3_600_000).to_string();
        let answer = server.client().post("/api/v2/alerts", &JSON, body.as_bytes());
        if answer.is_ok_and(|answer| answer.status == 200) {
            acknowledged.extend(names);
        }
        std::thread::sleep(Duration::from_millis(rng.below(120)));
        server.kill();
        server.restart();
    }
    assert_eq!(acknowledged.len() as u64, ROUNDS * ALERTS, "the server was alive each time");
    let missing = || {
        let told = told.lock().expect("no panic");
        acknowledged.iter().filter(|name| told.get(*name).is_none_or(|n| n.0 == 0)).count()
    };
    wait_for("every alert to be told", PATIENCE, || (missing() == 0).then_some(()));
    let body = posted(&acknowledged, 0).to_string();
    let answer = server.client().post("/api/v2/alerts", &JSON, body.as_bytes()).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
    server.kill();
    server.restart();
    let unresolved = || {
        let told = told.lock().expect("no panic");
        acknowledged.iter().filter(|name| told[*name].1 == 0).count()
    };
    wait_for("every end to be told", PATIENCE, || (unresolved() == 0).then_some(()));
    let told = told.lock().expect("no panic");
    let twice = told.values().filter(|counts| counts.0 > 1 || counts.1 > 1).count();
    // Under way at a kill: no more than the deliveries of one receiver at a time, each kill.
    assert!(twice as u64 <= 2 * (ROUNDS + 1), "{twice} were told twice: {told:?}");
    let shown = server.client().get("/api/v2/alerts").expect("an answer");
    assert_eq!(shown.body, "[]");
}
