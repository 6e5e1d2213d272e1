//! Requests over TLS with and without certificates, and through a proxy.

use std::net::SocketAddr;
use std::time::Duration;

use super::super::options::DagFilter;
use super::*;
use crate::secret::Secret;
use crate::web_client::config::{HttpConfig, TlsConfig};
use crate::web_client::test_servers::{self, fixture, proxy};

/// An Airflow 3 that says its version.
fn answer(lines: &[String], _: &str) -> String {
    match lines.first() {
        Some(line) if line.contains("/api/v2/version") => r#"{"version": "3.3.2"}"#.to_owned(),
        _ => "{}".to_owned(),
    }
}

/// It over TLS, to known clients only if `asks`.
fn tls_server(asks: bool) -> SocketAddr {
    test_servers::tls_server(asks, rustls::ALL_VERSIONS, answer)
}

fn version(url: &str, tls: TlsConfig, proxy: Option<String>) -> Result<String, PollError> {
    let mut http = HttpConfig { tls_config: tls, ..HttpConfig::default() };
    http.proxy_url = proxy.map(Secret::Inline);
    let options = InstanceOptions {
        name: "prod".to_owned(),
        url: url.to_owned(),
        auth: Auth::Token(Secret::Inline("t".to_owned())),
        http,
        poll_interval: Duration::from_secs(15),
        inventory_interval: Duration::from_secs(60),
        timeout: Duration::from_secs(10),
        backfill: Duration::ZERO,
        labels: Vec::new(),
        dags: DagFilter::default(),
        slas: Vec::new(),
    };
    Client::new(options)?.version().map(|(_, version)| version)
}

fn file(name: &str) -> Option<Secret> {
    Some(Secret::File(fixture(name)))
}

fn trusting() -> TlsConfig {
    TlsConfig { ca: file("ca.pem"), ..TlsConfig::default() }
}

fn with_certificate() -> TlsConfig {
    TlsConfig { cert: file("client.pem"), key: file("client.key"), ..trusting() }
}

#[test]
fn a_server_must_be_trusted() {
    let url = format!("https://{}", tls_server(false));
    assert_eq!(version(&url, trusting(), None).expect("our own authority"), "3.3.2");
    let lax = TlsConfig { insecure_skip_verify: true, ..TlsConfig::default() };
    assert_eq!(version(&url, lax, None).expect("not looked at"), "3.3.2");
    let error = version(&url, TlsConfig::default(), None).expect_err("an unknown authority");
    assert!(error.to_string().starts_with("asking /api/v2/version: "), "{error}");
}

#[test]
fn a_client_certificate_is_shown_where_it_is_asked_for() {
    let url = format!("https://{}", tls_server(true));
    assert_eq!(version(&url, with_certificate(), None).expect("a known client"), "3.3.2");
    let error = version(&url, trusting(), None).expect_err("no certificate");
    assert!(matches!(error, PollError::Transport { .. }), "{error}");
}

#[test]
fn files_that_are_no_certificates_are_named() {
    let key = TlsConfig { cert: file("client.pem"), key: file("ca.pem"), ..trusting() };
    let absent = TlsConfig { ca: file("absent.pem"), ..TlsConfig::default() };
    let text = TlsConfig { ca: file("make.sh"), ..TlsConfig::default() };
    for (tls, hint) in [(key, "no private key"), (absent, "absent.pem"), (text, "make.sh")] {
        let error = version("https://127.0.0.1:1", tls, None).expect_err(hint);
        assert!(matches!(&error, PollError::Options(why) if why.contains(hint)), "{error}");
    }
}

#[test]
fn requests_go_through_the_proxy() {
    let (plain, tls) = (test_servers::web_server(answer), tls_server(true));
    for (url, first) in [
        (format!("http://{plain}"), format!("GET http://{plain}/api/v2/version HTTP/1.1")),
        (format!("https://{tls}"), format!("CONNECT {tls} HTTP/1.1")),
    ] {
        let (proxy, asked) = proxy();
        let through = Some(format!("http://ann:secret@{proxy}"));
        let found = version(&url, with_certificate(), through);
        assert_eq!(found.unwrap_or_else(|error| panic!("{url}: {error}")), "3.3.2");
        let asked = asked.lock().expect("no panic").clone();
        assert_eq!(asked[0], first);
        let credentials = "proxy-authorization: basic yw5uonnly3jlda==";
        assert!(asked.iter().any(|line| line.to_lowercase() == credentials), "{asked:?}");
    }
    let nobody = Some("http://127.0.0.1:1".to_owned());
    version("http://127.0.0.1:2", TlsConfig::default(), nobody).expect_err("no proxy there");
}
