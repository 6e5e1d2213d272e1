//! Deliveries to a server in the test.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, sync_channel};

use super::*;
use crate::model::{Annotations, Timestamp};

/// An Alertmanager that answers every request with `status`; what it got comes out.
fn server(status: &'static str) -> (String, Receiver<(String, serde_json::Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/api/v2/alerts", listener.local_addr().expect("bound"));
    let (sender, receiver) = sync_channel(100);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let Some(got) = request(stream, status) else { continue };
            if sender.send(got).is_err() {
                return;
            }
        }
    });
    (url, receiver)
}

fn request(mut stream: TcpStream, status: &str) -> Option<(String, serde_json::Value)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let (head, body) = loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_lowercase();
            let length = head.split("content-length: ").nth(1)?.lines().next()?.parse().ok()?;
            if body.len() >= length {
                break (head, body.to_owned());
            }
        }
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
    };
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}");
    stream.write_all(answer.as_bytes()).ok()?;
    Some((head, serde_json::from_str(&body).ok()?))
}

fn alert(pairs: &[(&str, &str)]) -> Alert {
    Alert {
        labels: Labels::from_pairs(pairs.iter().copied()).expect("valid"),
        annotations: [("summary", "it \"is\"")].into_iter().collect::<Annotations>(),
        starts_at: Timestamp(1_700_000_000_000),
        ends_at: Timestamp(1_700_000_240_000),
        generator_url: "http://me/graph".into(),
    }
}

fn alertmanager(url: &str) -> AlertmanagerOptions {
    AlertmanagerOptions {
        url: url.to_owned(),
        timeout: Duration::from_secs(5),
        relabel: Vec::new(),
        http: HttpConfig::default(),
        sigv4: None,
    }
}

fn http(text: &str) -> HttpConfig {
    let mut http: HttpConfig = serde_saphyr::from_str(text).expect("valid");
    http.complete(std::path::Path::new("")).expect("valid");
    http
}

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn alerts_arrive_with_external_labels_and_steps_in_place() {
    let (url, got) = server("200 OK");
    let step = |text: &str| {
        let step: Step = Step {
            source_labels: vec!["alertname".to_owned()],
            regex: crate::relabel::Anchored::new(text).expect("a pattern"),
            action: crate::relabel::Action::Drop,
            ..Step::default()
        };
        vec![step]
    };
    let options = SenderOptions {
        external_labels: Labels::from_pairs([("zone", "eu"), ("a", "external")]).expect("valid"),
        relabel: step("Dropped"),
        alertmanagers: vec![AlertmanagerOptions {
            relabel: step("NotHere"),
            http: http(
                "{basic_auth: {username: u, password: p}, \
                http_headers: {X-Scope: {values: [one]}}}",
            ),
            ..alertmanager(&url)
        }],
        ..SenderOptions::default()
    };
    let sender = AlertSender::new();
    sender.set(options).expect("set");
    sender.send(&[
        alert(&[("alertname", "Dropped")]),
        alert(&[("alertname", "NotHere")]),
        alert(&[("alertname", "A"), ("a", "own")]),
    ]);
    let (head, body) = got.recv_timeout(PATIENCE).expect("a delivery");
    assert!(head.starts_with("post /api/v2/alerts"), "{head}");
    assert!(head.contains("authorization: basic dtpw"), "{head}");
    assert!(head.contains("x-scope: one"), "{head}");
    assert_eq!(
        body,
        serde_json::json!([{
            "labels": {"alertname": "A", "a": "own", "zone": "eu"},
            "annotations": {"summary": "it \"is\""},
            "startsAt": "2023-11-14T22:13:20.000Z",
            "endsAt": "2023-11-14T22:17:20.000Z",
            "generatorURL": "http://me/graph",
        }])
    );
    assert_eq!(sender.stop(PATIENCE), 0);
}

#[test]
fn batches_are_bounded_and_a_stop_delivers_what_waits() {
    let (url, got) = server("200 OK");
    let options = SenderOptions {
        alertmanagers: vec![alertmanager(&url)],
        batch_alerts_max: 2,
        ..SenderOptions::default()
    };
    let sender = AlertSender::new();
    sender.set(options.clone()).expect("set");
    let many: Vec<Alert> = (0..5).map(|n| alert(&[("n", &n.to_string())])).collect();
    sender.send(&many);
    sender.set(options).expect("unchanged");
    assert_eq!(sender.stop(PATIENCE), 0);
    let sizes = got.iter().take(3).map(|(_, body)| body.as_array().map_or(0, Vec::len));
    let sizes: Vec<usize> = sizes.collect();
    assert_eq!(sizes.iter().sum::<usize>(), 5);
    assert!(sizes.iter().all(|size| *size <= 2), "{sizes:?}");
}

#[test]
fn a_failure_is_counted_and_not_repeated() {
    let (url, got) = server("500 Internal Server Error");
    let sender = AlertSender::new();
    let alertmanagers = vec![alertmanager(&url)];
    sender.set(SenderOptions { alertmanagers, ..SenderOptions::default() }).expect("set");
    sender.send(&[alert(&[("a", "b")])]);
    got.recv_timeout(PATIENCE).expect("a delivery");
    let value = |name: &str| {
        let families = families(&sender);
        let family = families.iter().find(|family| family.name == name).expect(name);
        family.samples[0].value
    };
    let end = std::time::Instant::now() + PATIENCE;
    while value("prometheus_notifications_errors_total") == 0.0 {
        assert!(std::time::Instant::now() < end, "the failure is not counted");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(value("prometheus_notifications_sent_total"), 1.0);
    assert_eq!(value("prometheus_notifications_queue_length"), 0.0);
    assert_eq!(sender.urls().0, [url]);
    sender.stop(PATIENCE);
    assert!(got.try_recv().is_err());
}

#[test]
fn the_oldest_go_when_too_many_wait() {
    let queue = queue::Queue::new(2);
    let alerts = |range: std::ops::Range<i32>| {
        range.map(|n| Arc::new(alert(&[("n", &n.to_string())]))).collect::<Vec<_>>()
    };
    assert_eq!(queue.push(alerts(0..2)), 0);
    assert_eq!(queue.push(alerts(2..3)), 1);
    let taken = queue.take(10).expect("two");
    let numbers: Vec<&str> = taken.iter().map(|alert| alert.labels.value("n")).collect();
    assert_eq!(numbers, ["1", "2"]);
    queue.close();
    assert!(queue.take(10).is_none());
}

#[test]
fn requests_to_amazon_are_signed() {
    let (url, got) = server("200 OK");
    let secret = |text: &str| Some(crate::secret::Secret::Inline(text.to_owned()));
    let sigv4 = Sigv4 {
        region: "eu-west-1".to_owned(),
        access_key: secret("AKID"),
        secret_key: secret("hunter2"),
        ..Sigv4::default()
    };
    let options = AlertmanagerOptions { sigv4: Some(sigv4), ..alertmanager(&url) };
    let sender = AlertSender::new();
    sender.set(SenderOptions { alertmanagers: vec![options], ..Default::default() }).expect("set");
    sender.send(&[alert(&[("a", "b")])]);
    let (head, _) = got.recv_timeout(PATIENCE).expect("a delivery");
    assert!(head.contains("authorization: aws4-hmac-sha256 credential=akid/"), "{head}");
    let scope = "/eu-west-1/aps/aws4_request, signedheaders=content-type;host;x-amz-date";
    assert!(head.contains(scope), "{head}");
    assert!(head.contains("x-amz-date: "), "{head}");
    sender.stop(PATIENCE);
}

#[test]
fn alertmanagers_are_found_and_lost_again() {
    let (url, got) = server("200 OK");
    let address = url.trim_start_matches("http://").trim_end_matches("/api/v2/alerts").to_owned();
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("am.yml");
    let write = |text: &str| {
        let fresh = dir.path().join("fresh");
        std::fs::write(&fresh, text).expect("written");
        std::fs::rename(&fresh, &file).expect("in place");
    };
    write(&format!("- targets: ['{address}', 'dropped:1']\n  labels: {{zone: eu}}\n"));
    let drop = Step {
        source_labels: vec!["__address__".to_owned(), "__meta_filepath".to_owned()],
        regex: crate::relabel::Anchored::new("dropped:1;.*am.yml").expect("a pattern"),
        action: crate::relabel::Action::Drop,
        ..Step::default()
    };
    let entry = Discovered {
        template: alertmanager(""),
        scheme: "http",
        path: "/api/v2/alerts".to_owned(),
        relabel: vec![drop],
        sources: vec![Source {
            kind: SourceKind::Files(vec![dir.path().join("*.yml")]),
            every: Duration::from_millis(20),
        }],
    };
    let sender = AlertSender::new();
    let options = SenderOptions { discovered: vec![entry], ..SenderOptions::default() };
    sender.set(options.clone()).expect("set");
    let wait = |active: &[&str], dropped: &[&str]| {
        let end = std::time::Instant::now() + PATIENCE;
        loop {
            let urls = sender.urls();
            if urls.0 == active && urls.1 == dropped {
                return;
            }
            assert!(std::time::Instant::now() < end, "{urls:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    wait(&[&url], &["http://dropped:1/api/v2/alerts"]);
    sender.set(options).expect("set again");
    assert_eq!(sender.urls().0, [&*url], "known ones are kept");
    sender.send(&[alert(&[("a", "b")])]);
    got.recv_timeout(PATIENCE).expect("a delivery");
    write("no list");
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(sender.urls().0, [&*url], "a file that is wrong changes nothing");
    write("[]");
    wait(&[], &[]);
    sender.stop(PATIENCE);
}

#[test]
fn lists_are_fetched_over_http() {
    let (answers, answer) = sync_channel(10);
    let address = crate::web_client::test_servers::web_server(move |lines, _| {
        answers.send(lines.to_vec()).expect("the test waits");
        r#"[{"targets": ["127.0.0.1:9"], "labels": {"a": "b"}}]"#.to_owned()
    });
    let entry = Discovered {
        template: alertmanager(""),
        scheme: "https",
        path: "/x".to_owned(),
        relabel: Vec::new(),
        sources: vec![
            Source {
                kind: SourceKind::Http {
                    url: format!("http://{address}/sd"),
                    http: Box::new(http("{authorization: {credentials: t}}")),
                },
                every: Duration::from_secs(60),
            },
            Source {
                kind: SourceKind::Dns {
                    names: vec!["localhost".to_owned()],
                    record: RecordKind::A,
                    port: 9093,
                },
                every: Duration::from_secs(60),
            },
        ],
    };
    let sender = AlertSender::new();
    let options = SenderOptions { discovered: vec![entry], ..SenderOptions::default() };
    sender.set(options).expect("set");
    let end = std::time::Instant::now() + PATIENCE;
    while sender.urls().0 != ["https://127.0.0.1:9/x", "https://127.0.0.1:9093/x"] {
        assert!(std::time::Instant::now() < end, "{:?}", sender.urls());
        std::thread::sleep(Duration::from_millis(5));
    }
    let asked = answer.recv_timeout(PATIENCE).expect("asked").join("\n").to_lowercase();
    for part in ["authorization: bearer t", "x-prometheus-refresh-interval-seconds: 60"] {
        assert!(asked.contains(part), "{asked}");
    }
    sender.stop(PATIENCE);
}
