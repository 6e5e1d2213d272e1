//! Servers for tests: with and without TLS, and a proxy. They end with the test process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion,
};

/// A file of the test certificates.
pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls")).join(name)
}

fn certificate(name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(fixture(name)).expect("a certificate")
}

/// A server that speaks some versions of TLS, to clients with our certificate only if `asks`.
pub fn server_config(asks: bool, versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_protocol_versions(versions).expect("versions");
    let mut roots = RootCertStore::empty();
    roots.add(certificate("ca.pem")).expect("a root");
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match asks {
        true => builder.with_client_cert_verifier(verifier.build().expect("a verifier")),
        false => builder.with_no_client_auth(),
    };
    let key = PrivateKeyDer::from_pem_file(fixture("server.key")).expect("a key");
    builder.with_single_cert(vec![certificate("server.pem")], key).expect("a pair")
}

/// Accepts connections for ever.
pub fn serve(mut each: impl FnMut(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || listener.incoming().flatten().for_each(&mut each));
    address
}

/// A web server; `answer` gets the lines of a request's head and its body, and gives the body of the
/// answer. One that begins with `HTTP/` is the whole answer.
pub fn web_server(answer: impl FnMut(&[String], &str) -> String + Send + 'static) -> SocketAddr {
    let mut answer = answer;
    serve(move |stream| reply(stream, &mut answer))
}

/// The same over TLS.
pub fn tls_server(
    asks: bool,
    versions: &[&'static SupportedProtocolVersion],
    answer: impl FnMut(&[String], &str) -> String + Send + 'static,
) -> SocketAddr {
    let (config, mut answer) = (Arc::new(server_config(asks, versions)), answer);
    serve(move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).expect("a configuration");
        reply(StreamOwned::new(connection, stream), &mut answer);
    })
}

/// Reads one request's head; an error when the client leaves before.
fn head(stream: &mut impl Read) -> std::io::Result<Vec<String>> {
    let is_text = |line: &std::io::Result<String>| !line.as_ref().is_ok_and(String::is_empty);
    BufReader::with_capacity(1, stream).lines().take_while(is_text).collect()
}

fn reply(mut stream: impl Read + Write, answer: &mut impl FnMut(&[String], &str) -> String) {
    let Ok(lines) = head(&mut stream) else { return };
    if lines.is_empty() {
        return;
    }
    let length = lines.iter().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    if stream.read_exact(&mut body).is_err() {
        return;
    }
    let body = answer(&lines, &String::from_utf8_lossy(&body));
    let whole = match body.starts_with("HTTP/") {
        true => body,
        false => format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{body}",
            body.len()
        ),
    };
    // A client that refuses us is gone already.
    let _ = stream.write_all(whole.as_bytes()).and_then(|()| stream.flush());
}

/// A proxy that notes the heads of what it is asked. Everything goes to the address that is named.
pub fn proxy() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&asked);
    let address = serve(move |mut client| {
        let Ok(lines) = head(&mut client) else { return };
        notes.lock().expect("no panic").extend(lines.iter().cloned());
        let target = lines[0].split(' ').nth(1).expect("a target");
        let host = target.trim_start_matches("http://").split('/').next().expect("a host");
        let mut server = TcpStream::connect(host).expect("the target");
        match target.contains("://") {
            true => server.write_all(format!("{}\r\n\r\n", lines.join("\r\n")).as_bytes()),
            false => client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n"),
        }
        .expect("somebody waits");
        let (mut from, mut to) =
            (client.try_clone().expect("a copy"), server.try_clone().expect("a copy"));
        thread::spawn(move || std::io::copy(&mut from, &mut to));
        thread::spawn(move || std::io::copy(&mut server, &mut client));
    });
    (address, asked)
}
