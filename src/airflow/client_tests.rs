//! Requests over TLS with and without certificates, and through a proxy.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::super::options::DagFilter;
use super::*;
use crate::secret::Secret;
use crate::tls::TlsOptions;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls")).join(name)
}

fn certificate(name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(fixture(name)).expect("a certificate")
}

/// An Airflow 3 that says its version over TLS, to known clients only if `asks`.
fn tls_server(asks: bool) -> SocketAddr {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    let mut roots = RootCertStore::empty();
    roots.add(certificate("ca.pem")).expect("a root");
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match asks {
        true => builder.with_client_cert_verifier(verifier.build().expect("a verifier")),
        false => builder.with_no_client_auth(),
    };
    let key = PrivateKeyDer::from_pem_file(fixture("server.key")).expect("a key");
    let config = builder.with_single_cert(vec![certificate("server.pem")], key).expect("a pair");
    let config = Arc::new(config);
    serve(move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).expect("a configuration");
        answer(StreamOwned::new(connection, stream));
    })
}

/// The same without TLS.
fn plain_server() -> SocketAddr {
    serve(answer)
}

fn serve(mut each: impl FnMut(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || listener.incoming().flatten().for_each(&mut each));
    address
}

/// Reads one request's head; an error when the client leaves before.
fn head(stream: &mut impl Read) -> std::io::Result<Vec<String>> {
    BufReader::with_capacity(1, stream).lines().take_while(is_text).collect()
}

fn is_text(line: &std::io::Result<String>) -> bool {
    !line.as_ref().is_ok_and(String::is_empty)
}

fn answer(mut stream: impl Read + Write) {
    let Ok(lines) = head(&mut stream) else { return };
    let body = match lines.first() {
        Some(line) if line.contains("/api/v2/version") => r#"{"version": "3.3.2"}"#,
        _ => "{}",
    };
    let length = body.len();
    let text =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    // A client that refuses us is gone already.
    let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
}

/// A proxy that notes what it is asked for: the first line and the credentials.
fn proxy() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&asked);
    let address = serve(move |mut client| {
        let Ok(lines) = head(&mut client) else { return };
        let target = lines[0].split(' ').nth(1).expect("a target").to_owned();
        let credentials = |line: &&String| line.to_lowercase().starts_with("proxy-authorization:");
        let mut notes = notes.lock().expect("no panic");
        notes.push(lines[0].clone());
        notes.extend(lines.iter().find(credentials).cloned());
        let mut server = TcpStream::connect(&target).expect("the target");
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").expect("the client waits");
        let (mut from, mut to) =
            (client.try_clone().expect("a copy"), server.try_clone().expect("a copy"));
        thread::spawn(move || std::io::copy(&mut from, &mut to));
        thread::spawn(move || std::io::copy(&mut server, &mut client));
    });
    (address, asked)
}

fn version(url: &str, tls: TlsOptions, proxy: Option<String>) -> Result<String, PollError> {
    let options = InstanceOptions {
        name: "prod".to_owned(),
        url: url.to_owned(),
        auth: Auth::Token(Secret::Inline("t".to_owned())),
        tls,
        proxy,
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

fn trusting() -> TlsOptions {
    TlsOptions { ca_file: Some(fixture("ca.pem")), ..TlsOptions::default() }
}

fn with_certificate() -> TlsOptions {
    let (cert_file, key_file) = (Some(fixture("client.pem")), Some(fixture("client.key")));
    TlsOptions { cert_file, key_file, ..trusting() }
}

#[test]
fn a_server_must_be_trusted() {
    let url = format!("https://{}", tls_server(false));
    assert_eq!(version(&url, trusting(), None).expect("our own authority"), "3.3.2");
    let lax = TlsOptions { insecure_skip_verify: true, ..TlsOptions::default() };
    assert_eq!(version(&url, lax, None).expect("not looked at"), "3.3.2");
    let error = version(&url, TlsOptions::default(), None).expect_err("an unknown authority");
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
    let key = TlsOptions {
        cert_file: Some(fixture("client.pem")),
        key_file: Some(fixture("ca.pem")),
        ..trusting()
    };
    let absent = TlsOptions { ca_file: Some(fixture("absent.pem")), ..TlsOptions::default() };
    let text = TlsOptions { ca_file: Some(fixture("make.sh")), ..TlsOptions::default() };
    for (tls, hint) in [(key, "no private key"), (absent, "absent.pem"), (text, "make.sh")] {
        let error = version("https://127.0.0.1:1", tls, None).expect_err(hint);
        assert!(matches!(&error, PollError::Options(why) if why.contains(hint)), "{error}");
    }
}

#[test]
fn requests_go_through_the_proxy() {
    for (server, url) in [(plain_server(), "http://"), (tls_server(true), "https://")]
        .map(|(s, u)| (s, format!("{u}{s}")))
    {
        let (proxy, asked) = proxy();
        let through = Some(format!("http://ann:secret@{proxy}"));
        let found = version(&url, with_certificate(), through);
        assert_eq!(found.unwrap_or_else(|error| panic!("{url}: {error}")), "3.3.2");
        let asked = asked.lock().expect("no panic").clone();
        assert_eq!(asked[0], format!("CONNECT {server} HTTP/1.1"));
        let credentials = asked.get(1).expect("credentials").to_lowercase();
        assert_eq!(credentials, "proxy-authorization: basic yw5uonnly3jlda==");
    }
    let nobody = Some("http://127.0.0.1:1".to_owned());
    version("http://127.0.0.1:2", TlsOptions::default(), nobody).expect_err("no proxy there");
}
