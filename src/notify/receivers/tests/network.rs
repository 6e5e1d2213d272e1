//! Deliveries over sockets: a recording web server and a recording mail server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use super::*;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that answers one connection after the other with the texts it was given, and records
/// what it got.
fn web_server(answers: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let handle = std::thread::spawn(move || {
        answers.iter().map(|answer| serve(&listener.accept().unwrap().0, answer)).collect()
    });
    (address, handle)
}

fn serve(mut stream: &TcpStream, answer: &str) -> String {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    stream.write_all(answer.as_bytes()).unwrap();
    head + &String::from_utf8(body).unwrap()
}

fn http(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

fn deliver(receiver: &str) -> Outcome {
    receivers().deliver(&notification(receiver, true), PATIENCE)
}

#[test]
fn a_webhook_gets_body_headers_and_login() {
    let (address, server) = web_server(vec![http("200 OK", "", "")]);
    let outcome = deliver(&format!(
        "  webhook_configs:\n  - url: http://{address}/hook\n    http_config:\n      basic_auth: \
         {{username: u, password: p}}\n      http_headers: {{X-Own: {{values: [v], secrets: [w]}}}}\n"
    ));
    let expected = Outcome::Delivered { data: None, note: "status 200".to_owned() };
    assert_eq!(outcome, expected);
    let got = server.join().unwrap().remove(0);
    let lower = got.to_ascii_lowercase();
    assert!(got.starts_with("POST /hook HTTP/1.1\r\n"), "{got}");
    for part in [
        "content-type: application/json\r\n",
        "authorization: basic dtpw\r\n",
        "x-own: v\r\n",
        "x-own: w\r\n",
        "user-agent: tidewatch/",
    ] {
        assert!(lower.contains(part), "{part} in {got}");
    }
    let body = got.split_once("\r\n\r\n").unwrap().1;
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["version"], "4");
    assert_eq!(body["alerts"][0]["annotations"]["summary"], "\"/\" is\nfull, gr\u{fc}n & <b>");
}

#[test]
fn retry_after_is_passed_on() {
    let (address, server) =
        web_server(vec![http("429 Too Many Requests", "Retry-After: 17\r\n", "slow")]);
    let outcome = deliver(&format!("  webhook_configs: [{{url: 'http://{address}/'}}]"));
    let Outcome::Retry { failure, after } = outcome else { panic!("{outcome:?}") };
    assert_eq!(after, Some(Duration::from_secs(17)));
    assert_eq!(failure.message, "unexpected status code 429: slow");
    server.join().unwrap();
}

#[test]
fn a_token_is_fetched_first() {
    let token = http("200 OK", "Content-Type: application/json\r\n", r#"{"access_token":"T0"}"#);
    let (address, server) = web_server(vec![token, http("202 Accepted", "", "")]);
    let outcome = deliver(&format!(
        "  webhook_configs:\n  - url: http://{address}/hook\n    http_config:\n      oauth2: \
         {{client_id: me, client_secret: 'p:w', scopes: [a, b], token_url: \
         'http://{address}/token', endpoint_params: {{audience: x}}}}\n"
    ));
    assert!(matches!(outcome, Outcome::Delivered { .. }), "{outcome:?}");
    let got = server.join().unwrap();
    assert!(got[0].starts_with("POST /token"), "{}", got[0]);
    assert!(
        got[0].to_ascii_lowercase().contains("authorization: basic bwu6ccuzqxc="),
        "{}",
        got[0]
    );
    assert!(got[0].ends_with("grant_type=client_credentials&scope=a+b&audience=x"), "{}", got[0]);
    assert!(got[1].contains("Bearer T0"), "{}", got[1]);
}

#[test]
fn errors_say_what_is_wrong_and_no_secrets() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let config = format!("  slack_configs: [{{api_url: 'http://{address}/s3cr3t', channel: c}}]");
    let Outcome::Retry { failure, .. } = deliver(&config) else { panic!() };
    assert!(!failure.maybe_delivered && !failure.message.contains("s3cr3t"), "{failure:?}");
    let (address, server) = web_server(vec![http("400 Bad Request", "", "no s3cr3t/x here")]);
    let config = format!("  webhook_configs: [{{url: 'http://{address}/s3cr3t/x'}}]");
    let Outcome::Failed(failure) = deliver(&config) else { panic!() };
    assert_eq!(failure.message, "unexpected status code 400: no <secret> here");
    server.join().unwrap();
}

#[test]
fn redirects_are_followed_only_where_wanted() {
    for (follow, expected) in [(true, 2), (false, 1)] {
        let (other, other_server) = web_server(vec![http("200 OK", "", "")]);
        let moved = http("307 Moved", &format!("Location: http://{other}/new\r\n"), "");
        let (address, server) = web_server(vec![moved]);
        let outcome = deliver(&format!(
            "  webhook_configs: [{{url: 'http://{address}/', http_config: {{follow_redirects: \
             {follow}}}}}]"
        ));
        let is_delivered = matches!(outcome, Outcome::Delivered { .. });
        assert_eq!(is_delivered, expected == 2, "{outcome:?}");
        server.join().unwrap();
        match is_delivered {
            true => assert!(other_server.join().unwrap()[0].starts_with("POST /new")),
            false => drop(TcpStream::connect(other).unwrap().write_all(b"X\r\n\r\n")),
        }
    }
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let config = format!("  webhook_configs: [{{url: 'http://{address}/', timeout: 200ms}}]");
    let Outcome::Retry { failure, .. } = deliver(&config) else { panic!() };
    assert_eq!(failure.kind, FailureKind::Timeout);
    assert!(failure.maybe_delivered, "{failure:?}");
}

/// A mail server for one mail: what it was told, line by line.
fn mail_server(offers: &'static [&'static str]) -> (u16, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let handle = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        talk(&stream, offers)
    });
    (port, handle)
}

fn talk(mut stream: &TcpStream, offers: &[&str]) -> Vec<String> {
    let mut lines = BufReader::new(stream).lines();
    let mut say = |text: &str| stream.write_all(format!("{text}\r\n").as_bytes()).unwrap();
    let (mut got, mut is_data) = (Vec::new(), false);
    say("220 mail.example ready");
    while let Some(Ok(line)) = lines.next() {
        let word = line.split_whitespace().next().unwrap_or_default().to_uppercase();
        match word.as_str() {
            "." if is_data => {
                is_data = false;
                say("250 2.0.0 taken as 17");
            }
            _ if is_data => {}
            "EHLO" => {
                say("250-mail.example");
                offers.iter().for_each(|offer| say(&format!("250-{offer}")));
                say("250 8BITMIME");
            }
            "AUTH" if line.contains("CRAM-MD5") => {
                say("334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+");
            }
            "AUTH" if line.contains("LOGIN") => say("334 VXNlcm5hbWU6"),
            "DXNLCG==" => say("334 UGFzc3dvcmQ6"),
            "DATA" => {
                is_data = true;
                say("354 go on");
            }
            "QUIT" => {
                say("221 bye");
                got.push(line);
                break;
            }
            "RCPT" if line.contains("nobody") => say("550 5.1.1 no such user"),
            "DXNLCG" => say("334 UGFzc3dvcmQ6"),
            _ => say("250 2.0.0 fine"),
        }
        got.push(line);
    }
    got
}

fn mail_config(port: u16, more: &str) -> String {
    format!(
        "  email_configs:\n  - to: team@x.example\n    from: tw@x.example\n    smarthost: \
         127.0.0.1:{port}\n    require_tls: false\n    hello: tw.example\n{more}"
    )
}

#[test]
fn a_mail_is_handed_over() {
    let (port, server) = mail_server(&[]);
    let outcome = deliver(&mail_config(port, "    text: \"hi\\n.\\nbye\"\n"));
    let note = "250 2.0.0 taken as 17".to_owned();
    assert_eq!(outcome, Outcome::Delivered { data: None, note });
    let got = server.join().unwrap();
    assert_eq!(got[0], "EHLO tw.example");
    for line in ["MAIL FROM:<tw@x.example>", "RCPT TO:<team@x.example>", "DATA", "..", "QUIT"] {
        assert!(got.iter().any(|own| own == line), "{line} in {got:#?}");
    }
    let text = got.join("\n");
    assert!(text.contains("Subject: [FIRING:1] Disk<full> \n"), "{text}");
    assert!(text.contains("Content-Type: text/html; charset=UTF-8"), "{text}");
    let html = text.replace("=\n", "");
    assert!(
        html.contains("Disk&lt;full&gt;") && html.contains("gr=C3=BCn &amp; &lt;b&gt;"),
        "{html}"
    );
    assert!(html.contains("href=3D\"https://run/b?a=3D1&amp;b=3D2\""), "{html}");
}

#[test]
fn a_login_is_chosen_from_what_the_server_offers() {
    let cases: [(&[&str], &str, &str); 3] = [
        (&["AUTH CRAM-MD5 PLAIN"], "auth_secret: tanstaaftanstaaf", "AUTH CRAM-MD5"),
        (&["AUTH CRAM-MD5 PLAIN"], "auth_password: pw", "AUTH PLAIN AHVzZXIAcHc="),
        (&["AUTH PLAIN LOGIN"], "auth_password: pw", "AUTH PLAIN AHVzZXIAcHc="),
    ];
    for (offers, login, expected) in cases {
        let (port, server) = mail_server(offers);
        let more = format!("    auth_username: user\n    {login}\n");
        let outcome = deliver(&mail_config(port, &more));
        assert!(matches!(outcome, Outcome::Delivered { .. }), "{outcome:?}");
        let got = server.join().unwrap();
        assert!(got.iter().any(|line| line == expected), "{expected} in {got:#?}");
    }
    let (port, server) = mail_server(&["AUTH NTLM"]);
    let outcome = deliver(&mail_config(port, "    auth_username: user\n    auth_password: pw\n"));
    let Outcome::Retry { failure, .. } = outcome else { panic!("{outcome:?}") };
    assert!(failure.message.contains("offers NTLM"), "{failure}");
    server.join().unwrap();
}

#[test]
fn mail_that_must_be_encrypted_is_not_sent_in_the_clear() {
    let (port, server) = mail_server(&[]);
    let config = mail_config(port, "").replace("require_tls: false", "require_tls: true");
    let Outcome::Retry { failure, .. } = deliver(&config) else { panic!() };
    assert!(failure.message.contains("does not offer STARTTLS"), "{failure}");
    assert_eq!(server.join().unwrap(), ["EHLO tw.example"]);
}

#[test]
fn a_refused_recipient_ends_the_delivery() {
    let (port, server) = mail_server(&[]);
    let config = mail_config(port, "").replace("team@x", "nobody@x");
    let Outcome::Retry { failure, .. } = deliver(&config) else { panic!() };
    assert!(failure.message.contains("no such user"), "{failure}");
    assert!(!failure.maybe_delivered);
    server.join().unwrap();
}

#[test]
fn a_webhook_is_reached_through_a_proxy_with_a_certificate() {
    use crate::web_client::test_servers::{fixture, proxy, tls_server};
    let server = tls_server(true, rustls::ALL_VERSIONS, |_, _| String::new());
    let (proxy, notes) = proxy();
    let file = |name: &str| fixture(name).display().to_string();
    let config = |own: &str| {
        format!(
            "  webhook_configs:\n  - url: https://{server}/s3cr3t\n    http_config:\n      \
             proxy_url: http://u:p@{proxy}\n      proxy_connect_header: {{X-Team: [t]}}\n      \
             tls_config: {{ca_file: {}{own}}}\n",
            file("ca.pem")
        )
    };
    let own = format!(", cert_file: {}, key_file: {}", file("client.pem"), file("client.key"));
    let outcome = deliver(&config(&own));
    assert!(matches!(outcome, Outcome::Delivered { .. }), "{outcome:?}");
    let notes = notes.lock().unwrap();
    assert_eq!(notes[0], format!("CONNECT {server} HTTP/1.1"));
    assert!(notes.iter().any(|note| note == "X-Team: t"), "{notes:?}");
    drop(notes);
    let outcome = deliver(&config(""));
    assert!(matches!(outcome, Outcome::Retry { .. }), "{outcome:?}");
}
