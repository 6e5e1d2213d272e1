//! StatsD lines over real sockets appear in queries.

use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use super::support::{Client, Server, now_ms, wait_for};

/// Values are written every 10 s; twice that, and something for a busy machine.
const FLUSH_MAX: Duration = Duration::from_secs(25);

fn send_udp(server: &Server, datagram: &str) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.send_to(datagram.as_bytes(), ("127.0.0.1", server.statsd_port())).expect("sent");
}

fn send_tcp(server: &Server, text: &str) {
    let mut stream = TcpStream::connect(("127.0.0.1", server.statsd_port())).expect("connected");
    stream.write_all(text.as_bytes()).expect("sent");
}

fn value(client: &Client, query: &str) -> Option<f64> {
    client.single(query, now_ms())
}

fn assert_value(client: &Client, query: &str, expected: f64) {
    assert_eq!(value(client, query), Some(expected), "{query}");
}

#[test]
fn lines_over_udp_and_tcp_become_series() {
    let server = Server::start();
    send_tcp(&server, "it.tcp:2|c\nit.tcp:3|c\nit.timer:250|ms\nit.timer:750|ms\nit.users:ann|s\n");
    send_udp(
        &server,
        "it.udp:1|c|@0.1\nit.gauge:7|g\nit.gauge:-2|g\ngarbage\nit.tagged:4|c|#env:dev",
    );
    let client = server.client();
    wait_for("the statsd series", FLUSH_MAX, || {
        let both = "it_tcp + it_gauge + it_timer_count + sum(it_tagged)";
        value(&client, both)
    });
    assert_value(&client, "it_tcp", 5.0);
    assert_value(&client, "it_udp", 10.0);
    assert_value(&client, "it_gauge", 5.0);
    assert_value(&client, "it_timer_count", 2.0);
    assert_value(&client, "it_timer_sum", 1.0);
    assert_value(&client, r#"it_timer{quantile="0.5"}"#, 0.25);
    assert_value(&client, r#"it_timer{quantile="0.99"}"#, 0.75);
    assert_value(&client, r#"it_tagged{env="dev"}"#, 4.0);
    assert_value(&client, "max_over_time(it_users[1m])", 1.0);
    let metadata = client.get("/api/v1/metadata?metric=it_timer").expect("an answer");
    assert!(metadata.body.contains(r#""type":"summary""#), "{}", metadata.body);

    // Counters go on, and the malformed line was counted.
    send_udp(&server, "it.udp:1|c");
    wait_for("the counter to grow", FLUSH_MAX, || {
        value(&client, "it_udp").filter(|udp| *udp == 11.0)
    });
}

#[test]
fn what_was_received_before_sigterm_is_written() {
    let mut server = Server::start();
    send_udp(&server, "it.last:1|c");
    send_tcp(&server, "it.last:2|c\nit.last:4|c");
    // The kernel has the bytes; nothing else promises that the server has seen them.
    std::thread::sleep(Duration::from_millis(300));
    assert!(server.terminate().success(), "{}", server.log());
    server.restart();
    assert_value(&server.client(), "max_over_time(it_last[5m])", 7.0);
}

#[test]
fn a_mapping_file_is_followed_and_reloaded() {
    let dir = tempfile::tempdir().expect("a directory");
    let mapping = dir.path().join("mapping.yml");
    let rules = |name: &str| {
        format!("mappings:\n- {{match: 'it.*.c', name: {name}, labels: {{part: $1}}}}\n")
    };
    std::fs::write(&mapping, rules("it_before")).expect("written");
    let path = mapping.to_str().expect("UTF-8").to_owned();
    let server = Server::start_with(&["--statsd.mapping-config", &path, "--web.enable-lifecycle"]);
    let client = server.client();
    send_udp(&server, "it.one.c:2|c\nnonsense\nit.one.c:x|c");
    wait_for("the mapped series", FLUSH_MAX, || value(&client, r#"it_before{part="one"}"#));

    let status = client.get("/api/v1/status/statsd?line=it.two.c:1%7Cc").expect("an answer");
    for part in [
        r#""match":"it.*.c""#,
        r#""samples":1"#,
        r#""line":"nonsense""#,
        r#""reason":"malformed_value""#,
        r#""series":"it_before{part=\"two\"}""#,
    ] {
        assert!(status.body.contains(part), "{part} in {}", status.body);
    }

    std::fs::write(&mapping, "mappings: [{match: 'a_*', name: b}]\n").expect("written");
    let refused = client.form("/-/reload", &[]).expect("an answer");
    assert_eq!(refused.status, 500, "{}", refused.body);
    assert!(refused.body.contains("invalid match"), "{}", refused.body);
    std::fs::write(&mapping, rules("it_after")).expect("written");
    assert_eq!(client.form("/-/reload", &[]).expect("an answer").status, 200);
    send_udp(&server, "it.one.c:3|c");
    wait_for("the series under the new rules", FLUSH_MAX, || {
        value(&client, r#"it_after{part="one"}"#).filter(|sum| *sum == 3.0)
    });
}

/// A configuration file with values written every second.
fn quick_config(dir: &std::path::Path, more: &str) -> String {
    let path = dir.join("tidewatch.yml");
    std::fs::write(&path, format!("statsd:\n  flush_interval: 1s\n{more}")).expect("written");
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn counts_go_on_after_a_crash() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = quick_config(dir.path(), "");
    let mut server = Server::start_with(&["--config", &config]);
    send_udp(&server, "it.survivor:5|c\nit.idle:7|c\nit.took:2000|ms");
    let all = "it_survivor + it_idle + it_took_sum";
    wait_for("the series", FLUSH_MAX, || value(&server.client(), all));
    server.kill();
    server.restart();
    let client = server.client();
    send_udp(&server, "it.survivor:1|c\nit.took:1000|ms");
    wait_for("the counts to go on", FLUSH_MAX, || {
        value(&client, all).filter(|sum| *sum == 6.0 + 7.0 + 3.0)
    });
    assert_value(&client, "sum(resets(it_survivor[10m])) + sum(resets(it_took_sum[10m]))", 0.0);
    let ago = "count_over_time(it_idle[2s])";
    wait_for("the idle series to be written", FLUSH_MAX, || value(&client, ago));
}

#[test]
fn unix_sockets_and_a_relay_are_configured() {
    let dir = tempfile::tempdir().expect("a directory");
    let target = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    target.set_read_timeout(Some(FLUSH_MAX)).expect("set");
    let (gram, unix) = (dir.path().join("gram.sock"), dir.path().join("stream.sock"));
    let more = format!(
        "  listen_unixgram: {}\n  listen_unix: {}\n  relay: {{address: '{}'}}\n",
        gram.display(),
        unix.display(),
        target.local_addr().expect("bound"),
    );
    let config = quick_config(dir.path(), &more);
    let server = Server::start_with(&["--config", &config]);
    let socket = std::os::unix::net::UnixDatagram::unbound().expect("a socket");
    socket.send_to(b"it.gram:1|c", &gram).expect("sent");
    let mut stream = std::os::unix::net::UnixStream::connect(&unix).expect("connected");
    stream.write_all(b"it.stream:2|c\n").expect("sent");
    let client = server.client();
    wait_for("both", FLUSH_MAX, || value(&client, "it_gram + it_stream").filter(|v| *v == 3.0));
    let mut relayed = String::new();
    while !(relayed.contains("it.gram:1|c\n") && relayed.contains("it.stream:2|c\n")) {
        let mut buffer = [0; 1500];
        let length = target.recv(&mut buffer).expect("a relayed datagram");
        relayed.push_str(std::str::from_utf8(&buffer[..length]).expect("text"));
    }
}
