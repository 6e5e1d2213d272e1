//! What a hostile or broken neighbour sends, and what a broken disk holds: each gets a clear error
//! that names the thing, and the server stays up.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::support::client::Answer;
use super::support::remote_write::{self, TimeSeries, series};
use super::support::server::free_port;
use super::support::{Client, Rng, Server, now_ms, wait_for};

/// Most bytes a message may have after decompression, as documented for remote write.
const DECODED_MAX: usize = 32 << 20;

fn assert_refused(answer: &Answer, status: &[u16], names: &str) {
    let Answer { status: found, body } = answer;
    assert!(status.contains(found), "status {found}, expected one of {status:?}: {body}");
    assert!(body.to_lowercase().contains(names), "the answer does not name {names:?}: {body}");
}

/// A snappy block that claims to decompress to `length` bytes.
fn claim(length: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = length;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
    out.extend_from_slice(&[0x00, b'x']);
    out
}

#[test]
fn malformed_and_exploding_bodies_are_refused() {
    let mut server = Server::start();
    let client = server.client();
    let write = |body: &[u8]| client.write_raw(body).expect("an answer");
    assert_refused(&write(b"this is not snappy at all"), &[400], "snappy");
    assert_refused(&write(&claim(1 << 20)), &[400], "snappy");
    for length in [DECODED_MAX as u64 + 1, u64::from(u32::MAX), u64::MAX] {
        assert!([400, 413].contains(&write(&claim(length)).status), "claim of {length} bytes");
    }
    let bomb = remote_write::compress(&vec![0; DECODED_MAX + 1]);
    assert!([400, 413].contains(&write(&bomb).status), "a bomb of {} bytes", bomb.len());
    let garbage = remote_write::compress(&[0xff; 100]);
    assert_refused(&write(&garbage), &[400], "");
    let huge = vec![0x5a; DECODED_MAX + (1 << 20)];
    if let Ok(answer) = client.write_raw(&huge) {
        assert_eq!(answer.status, 413, "{}", answer.body);
    } // else: the server closed the connection before it had taken 33 MB
    server.assert_alive();
}

#[test]
fn wrong_methods_and_types_are_named() {
    let mut server = Server::start();
    let client = server.client();
    assert_eq!(client.get("/api/v1/write").expect("an answer").status, 405);
    let post = |headers: &[(&str, &str)]| {
        client.post("/api/v1/write", headers, b"x").expect("an answer").status
    };
    assert_eq!(post(&[("Content-Type", "text/plain")]), 415);
    let gzip = [("Content-Type", "application/x-protobuf"), ("Content-Encoding", "br")];
    assert_eq!(post(&gzip), 415);
    assert_eq!(client.get("/no/such/page").expect("an answer").status, 404);
    server.assert_alive();
}

#[test]
fn damaged_protobuf_is_refused_or_harmless() {
    let mut server = Server::start();
    let client = server.client();
    let now = now_ms();
    let good = remote_write::encode(&[
        series(&[("__name__", "damaged"), ("a", "b")], &[(now, 1.0), (now + 1, 2.0)]),
        series(&[("__name__", "damaged"), ("a", "c")], &[(now, 3.0)]),
    ]);
    let mut rng = Rng::new(7);
    for round in 0..400 {
        let mut bytes = good.clone();
        if round % 2 == 0 {
            bytes.truncate(rng.below(good.len() as u64) as usize);
        } else {
            for _ in 0..=rng.below(3) {
                let at = rng.below(good.len() as u64) as usize;
                bytes[at] = rng.next() as u8;
            }
        }
        let answer = client.write_raw(&remote_write::compress(&bytes)).expect("an answer");
        assert!([204, 400].contains(&answer.status), "{}: {}", answer.status, answer.body);
        assert_eq!(answer.status == 204, answer.body.is_empty(), "{}", answer.body);
    }
    server.assert_alive();
}

fn stored(client: &Client, matcher: &str) -> usize {
    client.query_at(&format!("{matcher}[1h]"), now_ms() + 1000).len()
}

#[test]
fn label_sets_out_of_order_repeated_or_too_long() {
    let mut server = Server::start();
    let client = server.client();
    let now = now_ms();
    let write = |set: TimeSeries| {
        let good = series(&[("__name__", "neighbour")], &[(now, 1.0)]);
        let answer = client.write(&[set, good]).expect("an answer");
        assert!([204, 400].contains(&answer.status), "{}: {}", answer.status, answer.body);
        answer
    };
    let unsorted =
        write(series(&[("b", "2"), ("__name__", "unsorted"), ("a", "1")], &[(now, 1.0)]));
    if unsorted.status == 204 {
        assert_eq!(stored(&client, r#"unsorted{a="1",b="2"}"#), 1, "acknowledged, so it is there");
    }
    write(series(&[("__name__", "twice"), ("a", "1"), ("a", "2")], &[(now, 1.0)]));
    write(series(&[("a", "nameless")], &[(now, 1.0)]));
    write(series(&[("", "x"), ("__name__", "empty_label_name")], &[(now, 1.0)]));
    let long = "v".repeat(100_000);
    write(series(&[("__name__", "long_value"), ("a", &long)], &[(now, 1.0)]));
    write(series(&[("__name__", "long_name"), (&long, "a")], &[(now, 1.0)]));
    let names: Vec<String> = (0..5_000).map(|i| format!("l{i:05}")).collect();
    let mut many = vec![("__name__", "many")];
    many.extend(names.iter().map(|name| (name.as_str(), "v")));
    write(series(&many, &[(now, 1.0)]));
    let refused = r#"{__name__=~"twice|empty_label_name|long_value|long_name|many"}"#;
    assert_eq!(stored(&client, refused), 0);
    assert_eq!(stored(&client, r#"{a="nameless"}"#), 0);
    server.assert_alive();
}

#[test]
fn timestamps_of_another_age_are_refused_by_name() {
    let mut server = Server::start();
    let client = server.client();
    let year_57000 = 1_736_553_600_000_000;
    for timestamp in [year_57000, i64::MAX, i64::MIN, now_ms() + 3_600_000] {
        let set = series(&[("__name__", "far_away")], &[(timestamp, 1.0)]);
        let answer = client.write(&[set]).expect("an answer");
        assert_refused(&answer, &[400], "far_away");
    }
    // All or nothing: the good sample of a refused request is not stored.
    let mixed = [
        series(&[("__name__", "beside_far_away")], &[(now_ms(), 1.0)]),
        series(&[("__name__", "far_away")], &[(year_57000, 1.0)]),
    ];
    assert_eq!(client.write(&mixed).expect("an answer").status, 400);
    assert_eq!(stored(&client, r#"{__name__=~".*far_away"}"#), 0);
    let all_time = [("query", "far_away"), ("time", "54000000000000")];
    let answer = client.form("/api/v1/query", &all_time).expect("an answer");
    assert!(answer.status < 500, "{}", answer.body);
    server.assert_alive();
}

fn refused_query(client: &Client, path: &str, form: &[(&str, &str)]) -> String {
    let answer = client.form(path, form).expect("an answer");
    assert!(
        [400, 413, 422, 503].contains(&answer.status),
        "{}: {:.300}",
        answer.status,
        answer.body
    );
    if answer.status != 413 {
        let json: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!(json["status"], "error");
        assert!(json["error"].as_str().is_some_and(|text| !text.is_empty()), "{}", answer.body);
    }
    answer.body
}

#[test]
fn queries_that_would_eat_the_machine_are_refused() {
    let mut server = Server::start();
    let client = server.client();
    let now = now_ms();
    let samples: Vec<(i64, f64)> = (0..1000).map(|i| (now - 60_000 + i * 50, i as f64)).collect();
    let many: Vec<TimeSeries> = (0..20)
        .map(|i| series(&[("__name__", "eaten"), ("i", &i.to_string())], &samples))
        .collect();
    client.write_ok(&many);

    let instant = |query: &str| refused_query(&client, "/api/v1/query", &[("query", query)]);
    instant(&"(".repeat(100_000));
    instant(&format!("{}1{}", "(".repeat(50_000), ")".repeat(50_000)));
    instant(&"-".repeat(1_000_000));
    instant(&format!("1{}", "+1".repeat(600_000)));
    instant("");
    instant("up{");
    instant("eaten[1m:0s]");
    instant("rate(eaten)");
    instant(r#"{__name__=~".*"}"#);
    // 20 series and their own kin at every millisecond of a day: far beyond 50 million samples.
    instant("count_over_time(eaten[1d:1ms])");

    let range = |start: &str, end: &str, step: &str| {
        let form = [("query", "eaten"), ("start", start), ("end", end), ("step", step)];
        refused_query(&client, "/api/v1/query_range", &form)
    };
    let points = range("0", "1000000", "1");
    assert!(points.contains("11,000"), "{points}");
    range("0", "100", "0");
    range("100", "0", "1");
    range("x", "0", "1");
    range("-9223372036854775808", "9223372036854775807", "1e18");
    assert_eq!(client.query_at("sum(count_over_time(eaten[5m]))", now)[0].points[0].1, 20_000.0);
    server.assert_alive();
}

/// Runs `tidewatch serve` where it cannot work; returns its output after it has failed.
fn serve_in_vain(data_dir: &Path) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidewatch"))
        .args([
            "serve",
            "--statsd-listen",
            "off",
            "--listen",
            &format!("127.0.0.1:{}", free_port()),
        ])
        .arg("--data-dir")
        .arg(data_dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tidewatch binary starts");
    let status = wait_for("the server to give up", Duration::from_secs(30), || {
        child.try_wait().expect("a child")
    });
    let output = child.wait_with_output().expect("its output");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(!status.success(), "the server ended with success: {text}");
    assert!(!text.contains("panicked at"), "{text}");
    text
}

#[test]
fn a_second_process_on_the_same_data_is_refused() {
    let mut server = Server::start();
    let said = serve_in_vain(&server.data_dir());
    assert!(said.contains(&server.data_dir().display().to_string()), "{said}");
    server.assert_alive();
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let temp = tempfile::TempDir::new().expect("a temporary directory");
    let file = temp.path().join("a-file");
    fs::write(&file, "in the way").expect("written");
    for dir in [file.clone(), file.join("below"), PathBuf::from("/proc/tidewatch")] {
        let said = serve_in_vain(&dir);
        assert!(said.contains(&dir.display().to_string()), "{said}");
    }
}

/// All redb files below `dir`.
fn databases(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(databases(&path));
        } else if path.extension().is_some_and(|ext| ext == "redb") {
            found.push(path);
        }
    }
    found.sort();
    found
}

type Damage = (&'static str, fn(&mut Vec<u8>));

const DAMAGES: [Damage; 5] = [
    ("empty", Vec::clear),
    ("cut in half", |bytes| bytes.truncate(bytes.len() / 2)),
    ("zeros at the start", |bytes| bytes.iter_mut().take(4096).for_each(|byte| *byte = 0)),
    ("noise at the start", |bytes| {
        bytes.iter_mut().take(512).enumerate().for_each(|(i, byte)| *byte = (i * 151) as u8);
    }),
    ("noise in the middle", |bytes| {
        let middle = bytes.len() / 2;
        bytes.iter_mut().skip(middle).take(8192).for_each(|byte| *byte ^= 0x5a);
    }),
];

#[test]
fn damaged_files_are_named_or_repaired() {
    let mut server = Server::start();
    let now = now_ms();
    server.client().write_ok(&[series(&[("__name__", "kept")], &[(now, 1.0)])]);
    assert!(server.terminate().success(), "{}", server.log());
    let files = databases(&server.data_dir());
    assert!(!files.is_empty(), "no redb file in {}", server.data_dir().display());
    let originals: Vec<Vec<u8>> = files.iter().map(|f| fs::read(f).expect("readable")).collect();
    for damaged in 0..files.len() {
        for (name, damage) in DAMAGES {
            restore(&server.data_dir(), &files, &originals);
            let mut bytes = originals[damaged].clone();
            damage(&mut bytes);
            fs::write(&files[damaged], bytes).expect("written");
            check_start(&mut server, &files[damaged], name);
        }
    }
    restore(&server.data_dir(), &files, &originals);
    server.restart();
    assert_eq!(stored(&server.client(), "kept"), 1, "the restored files hold the sample");
}

fn restore(data_dir: &Path, files: &[PathBuf], originals: &[Vec<u8>]) {
    for extra in databases(data_dir) {
        fs::remove_file(extra).expect("removed");
    }
    for (file, bytes) in files.iter().zip(originals) {
        fs::write(file, bytes).expect("written");
    }
}

/// The server either starts and answers, or ends with a message that names the file.
fn check_start(server: &mut Server, file: &Path, damage: &str) {
    let before = server.log().len();
    let started = server.try_restart();
    let log = server.log()[before..].to_owned();
    // The database library panics on some damage; that is caught and reported like any other.
    let panics = log.lines().filter(|line| line.contains("panicked at"));
    let ours = panics.filter(|line| !line.contains("/redb-")).count();
    assert_eq!(ours, 0, "{}, {damage}: {log}", file.display());
    let name = file.file_name().expect("a file").to_string_lossy();
    match started {
        Ok(()) => {
            let answer = server.client().form("/api/v1/query", &[("query", "kept")]);
            let answer = answer.expect("an answer");
            let clear = answer.status == 200 || answer.body.contains(&*name);
            assert!(clear, "{name}, {damage}: {} {}", answer.status, answer.body);
            server.kill();
        }
        Err(status) => {
            let said = log.lines().rfind(|line| line.starts_with("tidewatch: ")).unwrap_or("");
            assert!(said.contains(&*name), "{name}, {damage}: ended with {status}: {log}");
        }
    }
}
