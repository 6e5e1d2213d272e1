//! Mail over TLS: from the first byte, and after STARTTLS.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, sync_channel};

use rustls::version::TLS12;
use rustls::{ServerConnection, StreamOwned, SupportedProtocolVersion};

use super::*;
use crate::web_client::test_servers::{fixture, server_config};

const PATIENCE: Duration = Duration::from_secs(10);

/// What a mail server does.
#[derive(Clone, Copy)]
struct Server {
    /// Speaks TLS from the first byte, else after STARTTLS.
    is_implicit: bool,
    /// Wants our certificate.
    asks: bool,
    versions: &'static [&'static SupportedProtocolVersion],
    /// The ways to log in that it offers once TLS is spoken.
    auth: &'static str,
}

const OLD: &[&SupportedProtocolVersion] = &[&TLS12];
const STARTTLS: Server =
    Server { is_implicit: false, asks: false, versions: rustls::ALL_VERSIONS, auth: "PLAIN" };

impl Server {
    /// A server for one connection; what it is told once TLS is spoken comes out at the end.
    fn start(self) -> (u16, Receiver<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, receiver) = sync_channel(1);
        let config = Arc::new(server_config(self.asks, self.versions));
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            if !self.is_implicit {
                let told = talk(&mut stream, "", true);
                assert_eq!(told.last().map(String::as_str), Some("STARTTLS"), "{told:?}");
            }
            let connection = ServerConnection::new(config).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            // A client that refuses us ends the handshake.
            let _ = sender.send(talk(&mut stream, self.auth, self.is_implicit));
        });
        (port, receiver)
    }
}

fn line(stream: &mut impl Read) -> Option<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        line.push(byte[0]);
    }
    Some(String::from_utf8(line).unwrap().trim_end().to_owned())
}

/// Until STARTTLS, QUIT, or the other end goes away.
fn talk(stream: &mut (impl Read + Write), auth: &str, greets: bool) -> Vec<String> {
    let mut told = Vec::new();
    let say = |stream: &mut dyn Write, text: &str| {
        let _ = stream.write_all(format!("{text}\r\n").as_bytes()).and_then(|()| stream.flush());
    };
    if greets {
        say(stream, "220 ready");
    }
    let mut is_data = false;
    while let Some(got) = line(stream) {
        told.push(got.clone());
        match got.split(' ').next().unwrap_or_default() {
            "." if is_data => {
                is_data = false;
                say(stream, "250 taken");
            }
            _ if is_data => {}
            "EHLO" if auth.is_empty() => say(stream, "250-mail\r\n250 STARTTLS"),
            "EHLO" => say(stream, &format!("250-mail\r\n250 AUTH {auth}")),
            "AUTH" if got.contains("CRAM-MD5") => say(stream, "334 PDFAYT4="),
            "AUTH" if got.contains("LOGIN") => say(stream, "334 VXNlcm5hbWU6"),
            "dXNlcg==" => say(stream, "334 UGFzc3dvcmQ6"),
            "DATA" => {
                is_data = true;
                say(stream, "354 go on");
            }
            "STARTTLS" | "QUIT" => {
                say(stream, "220 go on");
                break;
            }
            _ => say(stream, "250 fine"),
        }
    }
    told
}

fn deliver(port: u16, more: &str) -> Outcome {
    let config = format!(
        "  email_configs:\n  - to: team@x.example\n    from: tw@x.example\n    smarthost: \
         127.0.0.1:{port}\n    auth_username: user\n{more}"
    );
    receivers().deliver(&notification(&config, true), PATIENCE)
}

fn ca() -> String {
    format!("ca_file: {}", fixture("ca.pem").display())
}

fn delivered(server: Server, more: &str) -> Vec<String> {
    let (port, told) = server.start();
    let outcome = deliver(port, more);
    assert!(matches!(outcome, Outcome::Delivered { .. }), "{more}: {outcome:?}");
    told.recv_timeout(PATIENCE).unwrap()
}

#[test]
fn every_way_to_log_in_works_after_starttls() {
    for (auth, login, expected) in [
        ("PLAIN LOGIN", "auth_password: pw", "AUTH PLAIN AHVzZXIAcHc="),
        ("LOGIN", "auth_password: pw", "cHc="),
        ("CRAM-MD5", "auth_secret: s", "dXNlciA"),
    ] {
        let more = format!("    tls_config: {{{}}}\n    {login}\n", ca());
        let told = delivered(Server { auth, ..STARTTLS }, &more);
        assert!(told.iter().any(|line| line.starts_with(expected)), "{expected}: {told:?}");
        assert!(told[0].starts_with("EHLO "), "it greets again: {told:?}");
        assert!(told.iter().any(|line| line == "MAIL FROM:<tw@x.example>"), "{told:?}");
    }
}

#[test]
fn tls_may_begin_with_the_first_byte() {
    let more = format!(
        "    force_implicit_tls: true\n    auth_password: pw\n    tls_config: {{{}}}\n",
        ca()
    );
    let told = delivered(Server { is_implicit: true, ..STARTTLS }, &more);
    assert!(told.iter().any(|line| line == "AUTH PLAIN AHVzZXIAcHc="), "{told:?}");
}

#[test]
fn the_mail_server_must_be_the_right_one() {
    for (tls, versions, works) in [
        (String::new(), rustls::ALL_VERSIONS, false),
        (ca(), rustls::ALL_VERSIONS, true),
        (format!("{}, server_name: localhost", ca()), rustls::ALL_VERSIONS, true),
        (format!("{}, server_name: other.example", ca()), rustls::ALL_VERSIONS, false),
        ("insecure_skip_verify: true".to_owned(), rustls::ALL_VERSIONS, true),
        (format!("{}, min_version: TLS13", ca()), rustls::ALL_VERSIONS, true),
        (format!("{}, min_version: TLS13", ca()), OLD, false),
        (format!("{}, min_version: TLS12", ca()), OLD, true),
        (format!("{}, max_version: TLS13", ca()), rustls::ALL_VERSIONS, true),
    ] {
        let (port, _) = Server { versions, ..STARTTLS }.start();
        let outcome = deliver(port, &format!("    tls_config: {{{tls}}}\n    auth_password: p\n"));
        assert_eq!(matches!(outcome, Outcome::Delivered { .. }), works, "{tls}: {outcome:?}");
        if let Outcome::Retry { failure, .. } = outcome {
            assert!(failure.message.contains("STARTTLS"), "{failure}");
        }
    }
}

#[test]
fn a_certificate_is_shown_where_it_is_asked_for() {
    let (cert, key) = (fixture("client.pem"), fixture("client.key"));
    let own = format!("{}, cert_file: {}, key_file: {}", ca(), cert.display(), key.display());
    let server = Server { asks: true, ..STARTTLS };
    delivered(server, &format!("    tls_config: {{{own}}}\n    auth_password: pw\n"));
    let (port, _) = server.start();
    let more = format!("    tls_config: {{{}}}\n    auth_password: pw\n", ca());
    assert!(matches!(deliver(port, &more), Outcome::Retry { .. }));
}

#[test]
fn what_mail_cannot_do_is_refused_when_it_is_loaded() {
    for (more, hint) in [
        ("tls_config: {max_version: TLS12}", "max_version"),
        ("smarthost: 'h:mail'", "smarthost"),
        ("hello: 'a b'", "hello"),
        ("headers: {'A b': c}", "\"A b\""),
        ("tls_config: {server_name: 'a b'}", "server_name"),
    ] {
        let text = format!(
            "route: {{receiver: x}}\nreceivers:\n- name: x\n  email_configs:\n  - to: a@b\n    \
             from: c@d\n    {more}\nglobal: {{smtp_smarthost: 'h:25'}}\n"
        );
        let error = config::parse(Path::new("am.yml"), &text).unwrap_err().to_string();
        assert!(error.contains(hint) && error.starts_with("am.yml:5:"), "{error}");
    }
}
