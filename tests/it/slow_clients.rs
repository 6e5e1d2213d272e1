//! Clients that hold a connection and say little: each is turned away within the read timeout.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::support::Server;

/// The read timeout the tests set.
const TIMEOUT: &str = "600ms";
/// Within this a connection must be closed; generous, for a busy machine, and far below the
/// default read timeout of 90 s.
const CLOSED_MAX: Duration = Duration::from_secs(20);

fn connect(server: &Server, said: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", server.http_port())).expect("connected");
    stream.set_read_timeout(Some(CLOSED_MAX)).expect("a timeout");
    stream.write_all(said.as_bytes()).expect("sent");
    stream
}

/// What the server says until it closes the connection.
fn until_closed(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the server closes the connection in time");
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn half_a_request_is_not_waited_for() {
    let mut server = Server::start_with(&["--web.read-timeout", TIMEOUT]);
    let form =
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 500\r\n\r\nquery=";
    let write = "Content-Type: application/x-protobuf\r\nContent-Length: 500\r\n\r\nx";
    let cases = [
        (String::new(), ""),
        ("GET /api/v1/query?que".to_owned(), ""),
        ("GET /api/v1/query?query=1 HTTP/1.1\r\nHost: a\r\nX-A: ".to_owned(), ""),
        (format!("POST /api/v1/query HTTP/1.1\r\nHost: a\r\n{form}"), "HTTP/1.1 400"),
        // A sender drops what is answered with 400, and sends again what is answered with 503.
        (format!("POST /api/v1/write HTTP/1.1\r\nHost: a\r\n{write}"), "HTTP/1.1 503"),
        (format!("POST /api/v1/read HTTP/1.1\r\nHost: a\r\n{write}"), "HTTP/1.1 400"),
    ];
    for (said, expected) in cases {
        let answer = until_closed(&mut connect(&server, &said));
        assert!(answer.starts_with(expected), "{said}: {answer}");
        assert!(!expected.is_empty() || answer.is_empty(), "{said}: {answer}");
    }
    server.assert_alive();
}

#[test]
fn a_body_that_drips_is_not_waited_for() {
    let mut server = Server::start_with(&["--web.read-timeout", TIMEOUT]);
    let said = "POST /api/v1/query HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\
        Content-Type: application/x-www-form-urlencoded\r\n\r\n";
    let mut stream = connect(&server, said);
    let began = Instant::now();
    // A piece every 50 ms never makes a gap that is too long; the whole takes too long.
    while stream.write_all(b"a").is_ok() && began.elapsed() < CLOSED_MAX {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(began.elapsed() < CLOSED_MAX, "the server took the body for {CLOSED_MAX:?}");
    server.assert_alive();
}

#[test]
fn silent_connections_do_not_lock_others_out() {
    let mut server =
        Server::start_with(&["--web.read-timeout", TIMEOUT, "--web.max-connections", "4"]);
    let silent: Vec<TcpStream> = (0..8).map(|_| connect(&server, "GET / HT")).collect();
    server.assert_alive();
    drop(silent);
}
