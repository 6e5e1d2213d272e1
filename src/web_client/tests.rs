//! Requests to servers in the test.

use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use rustls::version::{TLS12, TLS13};

use super::test_servers::{fixture, proxy, tls_server, web_server};
use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

fn section(text: &str) -> Result<HttpConfig, String> {
    let mut http: HttpConfig = serde_saphyr::from_str(text).map_err(|e| e.to_string())?;
    http.complete(&fixture(""))?;
    Ok(http)
}

fn asked_with(tokens: &Tokens, text: &str, url: &str) -> Result<Reply, WebError> {
    let http = section(text).expect("valid");
    let until = Instant::now() + PATIENCE;
    let client =
        Client { http: &http, tokens, user_agent: USER_AGENT, until, answer_bytes_max: 1000 };
    client.send(Request::json("POST", url, "{}".to_owned()))
}

fn asked(text: &str, url: &str) -> Result<Reply, WebError> {
    asked_with(&Tokens::default(), text, url)
}

/// A server that answers with these texts in turn; heads and bodies of what it is asked come out.
fn scripted(answers: Vec<String>) -> (String, Receiver<String>) {
    let (sender, receiver) = sync_channel(100);
    let mut answers = answers.into_iter();
    let address = web_server(move |lines, body| {
        let _ = sender.send(format!("{}\n\n{body}", lines.join("\n")));
        answers.next().unwrap_or_default()
    });
    (format!("http://{address}"), receiver)
}

#[test]
fn versions_of_tls_are_those_that_are_asked_for() {
    let old = format!("https://{}", tls_server(false, &[&TLS12], |_, _| String::new()));
    let new = format!("https://{}", tls_server(false, &[&TLS13], |_, _| String::new()));
    for (keys, url, works) in [
        ("min_version: TLS10", &old, true),
        ("min_version: TLS13", &old, false),
        ("min_version: TLS13", &new, true),
        ("max_version: TLS12", &old, true),
        ("max_version: TLS12", &new, false),
        ("max_version: TLS13", &new, true),
    ] {
        let text = format!("tls_config: {{ca_file: ca.pem, {keys}}}");
        assert_eq!(asked(&text, url).is_ok(), works, "{keys} {url}");
    }
}

#[test]
fn another_name_can_be_asked_for() {
    let server = tls_server(false, rustls::ALL_VERSIONS, |_, _| String::new());
    let url = format!("https://{server}");
    // The certificate names 127.0.0.1 and localhost.
    asked("tls_config: {ca_file: ca.pem, server_name: localhost}", &url).expect("its name");
    let other = asked("tls_config: {ca_file: ca.pem, server_name: other.example}", &url);
    let error = other.expect_err("not its name").to_string();
    assert!(error.contains("other.example"), "{error}");
    asked("tls_config: {insecure_skip_verify: true, server_name: other.example}", &url)
        .expect("not looked at");
}

#[test]
fn certificates_stand_in_the_section_or_in_files() {
    let url = format!("https://{}", tls_server(true, rustls::ALL_VERSIONS, |_, _| String::new()));
    let text = |name: &str| {
        let pem = std::fs::read_to_string(fixture(name)).expect("a file");
        serde_json::to_string(&pem).expect("JSON")
    };
    let (ca, cert, key) = (text("ca.pem"), text("client.pem"), text("client.key"));
    let inline = format!("tls_config: {{ca: {ca}, cert: {cert}, key: {key}}}");
    asked(&inline, &url).expect("in the section");
    let files = "tls_config: {ca_file: ca.pem, cert_file: client.pem, key_file: client.key}";
    asked(files, &url).expect("in files");
    asked("tls_config: {ca_file: ca.pem}", &url).expect_err("no certificate is shown");
}

#[test]
fn a_tunnel_leads_through_the_proxy() {
    let server = tls_server(true, rustls::ALL_VERSIONS, |_, body| body.to_owned());
    let (proxy, notes) = proxy();
    let text = format!(
        "proxy_url: 'http://u:p%40ss@{proxy}'\nproxy_connect_header: {{X-Team: [a, b]}}\n\
         tls_config: {{ca_file: ca.pem, cert_file: client.pem, key_file: client.key}}"
    );
    let reply = asked(&text, &format!("https://{server}/x")).expect("an answer");
    assert_eq!(reply.body, "{}");
    let notes = notes.lock().expect("no panic");
    assert_eq!(notes[0], format!("CONNECT {server} HTTP/1.1"));
    for line in ["X-Team: a", "X-Team: b", "Proxy-Authorization: Basic dTpwQHNz"] {
        assert!(notes.iter().any(|note| note == line), "{line} in {notes:?}");
    }
}

#[test]
fn a_proxy_may_refuse_and_some_hosts_need_none() {
    let (refusing, _) = scripted(vec!["HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n".to_owned()]);
    let text = format!("proxy_url: '{refusing}'");
    let error = asked(&text, "https://x.example/").expect_err("refused").to_string();
    assert!(error.contains("407"), "{error}");
    let (server, _) = scripted(vec!["{}".to_owned()]);
    let text = "proxy_url: 'http://127.0.0.1:1'\nno_proxy: x.example";
    asked(text, &server).expect("this machine is reached without it");
    asked("proxy_url: 'http://127.0.0.1:1'", &server).expect_err("no proxy there");
}

#[test]
fn tokens_are_kept_until_they_end_or_are_refused() {
    let token = |token: &str, seconds: u32| {
        format!(r#"{{"access_token": "{token}", "expires_in": {seconds}}}"#)
    };
    let answers = vec![token("A", 3600), token("B", 1), token("C", 3600), token("D", 3600)];
    let (tokens_at, given) = scripted(answers);
    let refused = "HTTP/1.1 401 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned();
    let ok = String::new;
    let (server, got) = scripted(vec![ok(), refused, ok(), ok(), ok()]);
    let text = format!(
        "oauth2: {{client_id: me, client_secret: 's:1', token_url: '{tokens_at}/token', \
         scopes: [a, b], endpoint_params: {{audience: x}}}}"
    );
    let tokens = Tokens::default();
    let mut used = Vec::new();
    for _ in 0..5 {
        asked_with(&tokens, &text, &server).expect("an answer");
        let got = got.recv_timeout(PATIENCE).expect("asked");
        let line = got.lines().find_map(|line| line.split_once("earer ")).expect("a token");
        used.push(line.1.to_owned());
    }
    // The first is refused the second time, the second lasts too short a time to be kept.
    assert_eq!(used, ["A", "A", "B", "C", "C"]);
    let first = given.recv_timeout(PATIENCE).expect("asked");
    assert!(first.to_lowercase().contains("authorization: basic bwu6cyuzqte="), "{first}");
    assert!(first.ends_with("grant_type=client_credentials&scope=a+b&audience=x"), "{first}");
}

#[test]
fn a_login_may_stand_in_the_url() {
    for (text, expected) in
        [("{}", "basic dtpwqhm="), ("authorization: {credentials: t}", "bearer t")]
    {
        let (server, got) = scripted(vec![String::new()]);
        asked(text, &server.replace("http://", "http://u:p%40s@")).expect("an answer");
        let got = got.recv_timeout(PATIENCE).expect("asked").to_lowercase();
        assert!(got.contains(&format!("authorization: {expected}")), "{got}");
        assert_eq!(got.matches("authorization").count(), 1, "{got}");
        assert!(!got.contains('@'), "{got}");
    }
}

#[test]
fn the_login_for_a_token_may_have_to_stand_in_the_form() {
    let refused = "HTTP/1.1 400 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned();
    let (tokens_at, given) = scripted(vec![refused, r#"{"access_token": "A"}"#.to_owned()]);
    let (server, _) = scripted(vec![String::new()]);
    let text =
        format!("oauth2: {{client_id: me, client_secret: s, token_url: '{tokens_at}/token'}}");
    asked(&text, &server).expect("an answer");
    given.recv_timeout(PATIENCE).expect("asked");
    let second = given.recv_timeout(PATIENCE).expect("asked again");
    assert!(!second.to_lowercase().contains("authorization:"), "{second}");
    assert!(second.ends_with("&client_id=me&client_secret=s"), "{second}");
}

#[test]
fn what_cannot_be_done_is_refused_at_once() {
    for (text, hint) in [
        ("tls_config: {max_version: TLS11}", "tls_config: max_version"),
        ("tls_config: {min_version: TLS13, max_version: TLS12}", "max_version"),
        ("tls_config: {min_version: TLS14}", "TLS14"),
        ("tls_config: {server_name: 'a b'}", "tls_config: server_name"),
        ("tls_config: {ca: x}", "ca holds no certificate"),
        ("tls_config: {cert: x, key: y}", "cert holds no certificate"),
        ("tls_config: {cert_file: x}", "together"),
        ("tls_config: {ca: x, ca_file: y}", "at most one of ca and ca_file"),
        ("proxy_url: 'ftp://hunter2@x'", "proxy_url: proxies of scheme \"ftp\""),
        ("proxy_connect_header: {A: [b]}", "proxy_connect_header"),
        ("{proxy_url: 'http://x', proxy_connect_header: {'a b': [c]}}", "\"a b\""),
        ("{proxy_url: 'http://x', proxy_from_environment: true}", "proxy_from_environment"),
        ("no_proxy: x", "no_proxy"),
        ("http_headers: {Authorization: {values: [x]}}", "\"Authorization\" is not allowed"),
        ("http_headers: {X: {secrets: [\"hunter2\\n\"]}}", "a value of X"),
        ("oauth2: {client_id: a, token_url: 'http://x'}", "client_secret"),
        ("oauth2: {client_id: a, client_secret: b}", "token_url"),
        ("oauth2: {client_id: a, client_secret: b, token_url: 'x:y'}", "token_url"),
        (
            "oauth2: {client_id: a, client_secret: b, token_url: 'http://x', grant_type: jwt}",
            "grant_type",
        ),
        ("oauth2: {client_id: a, client_secret: b, token_url: 'http://x', iss: y}", "iss"),
        ("authorization: {type: Basic}", "basic_auth"),
        ("{bearer_token: a, basic_auth: {username: b}}", "bearer_token"),
        ("enable_http3: true", "enable_http3"),
    ] {
        let error = section(text).expect_err(text);
        assert!(error.contains(hint), "{text}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    let mut http = HttpConfig { enable_http2: false, ..HttpConfig::default() };
    http.complete(Path::new("")).expect("nothing to refuse");
}
