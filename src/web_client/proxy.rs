//! Which proxy a request goes through.
//!
//! In: `proxy_url`, `no_proxy`, the environment, the URL that is asked. Out: the proxy, or none.
//!
//! Source of the rules: Go, `golang.org/x/net/http/httpproxy`.

use std::fmt;
use std::net::IpAddr;

use base64::prelude::{BASE64_STANDARD, Engine};
use url::{Host, Url};

use super::config::HttpConfig;

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// HTTP.
    Http,
    /// HTTP over TLS.
    Https,
    /// SOCKS 5; names are resolved by the proxy.
    Socks5,
}

/// A proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyServer {
    /// How it is spoken to.
    pub kind: Kind,
    /// Its host; of version 6 of IP in brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// User and password.
    pub login: Option<(String, String)>,
    /// Further headers of `CONNECT` requests.
    pub connect_headers: Vec<(String, String)>,
}

impl fmt::Debug for ProxyServer {
    /// Without the login and the headers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}:{}", self.kind, self.host, self.port)
    }
}

impl ProxyServer {
    /// The value of `Proxy-Authorization`.
    pub fn authorization(&self) -> Option<String> {
        let (user, password) = self.login.as_ref()?;
        Some(format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))))
    }
}

/// Reads the URL of a proxy; without a scheme it is one of HTTP.
///
/// # Errors
/// A sentence that does not repeat the URL, for it may hold a password.
pub fn parse(text: &str) -> Result<ProxyServer, String> {
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&with_scheme).map_err(|error| format!("not a URL: {error}"))?;
    let (kind, usual_port) = match url.scheme() {
        "http" => (Kind::Http, 80),
        "https" => (Kind::Https, 443),
        "socks5" | "socks5h" => (Kind::Socks5, 1080),
        other => return Err(format!("proxies of scheme {other:?} are not supported")),
    };
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or("it has no host")?.to_owned();
    let decoded =
        |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into();
    let login = (!url.username().is_empty() || url.password().is_some())
        .then(|| (decoded(url.username()), decoded(url.password().unwrap_or_default())));
    let port = url.port().unwrap_or(usual_port);
    Ok(ProxyServer { kind, host, port, login, connect_headers: Vec::new() })
}

/// The proxy that a request to `target` goes through. `environment` gives the value of a variable.
///
/// # Errors
/// A sentence: the URL of the proxy, or a header for it, cannot be used.
pub fn choose(
    http: &HttpConfig,
    target: &Url,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<ProxyServer>, String> {
    let found = match &http.proxy_url {
        Some(url) if http.no_proxy.trim().is_empty() => Some(url.read()?),
        Some(url) => is_proxied(target, &http.no_proxy).then(|| url.read()).transpose()?,
        None if http.proxy_from_environment => from_environment(target, environment),
        None => None,
    };
    let Some(url) = found else { return Ok(None) };
    let mut proxy = parse(&url).map_err(|why| format!("the URL of the proxy: {why}"))?;
    for (name, values) in &http.proxy_connect_header {
        for value in values {
            proxy.connect_headers.push((name.clone(), value.read()?));
        }
    }
    Ok(Some(proxy))
}

fn from_environment(target: &Url, environment: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let either = |name: &str| {
        let found = environment(name).filter(|value| !value.is_empty());
        found.or_else(|| environment(&name.to_ascii_lowercase()).filter(|value| !value.is_empty()))
    };
    let url = match target.scheme() {
        "https" => either("HTTPS_PROXY"),
        _ => either("HTTP_PROXY"),
    }?;
    is_proxied(target, &either("NO_PROXY").unwrap_or_default()).then_some(url)
}

/// Whether a request goes through a proxy that the hosts in `no_proxy` are reached without. This
/// machine always is.
fn is_proxied(target: &Url, no_proxy: &str) -> bool {
    let port = target.port_or_known_default().unwrap_or_default();
    let (host, ip) = match target.host() {
        None => return false,
        Some(Host::Domain(name)) => (name.to_ascii_lowercase(), name.parse().ok()),
        Some(Host::Ipv4(ip)) => (ip.to_string(), Some(IpAddr::V4(ip))),
        Some(Host::Ipv6(ip)) => (ip.to_string(), Some(IpAddr::V6(ip))),
    };
    if host == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) {
        return false;
    }
    let entries = no_proxy.split(',').map(|entry| entry.trim().to_ascii_lowercase());
    !entries.filter(|entry| !entry.is_empty()).any(|entry| covers(&entry, &host, ip, port))
}

/// Whether an entry of `no_proxy` means this host: `*`, an address, a range of addresses, a domain
/// with those below it, or only those below it when it begins with a dot; perhaps a port.
fn covers(entry: &str, host: &str, ip: Option<IpAddr>, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let Some((net, bits)) = range(entry) {
        return ip.is_some_and(|ip| is_within(ip, net, bits));
    }
    let (name, own_port) = split_port(entry);
    if own_port.is_some_and(|own| own != port) {
        return false;
    }
    if let Ok(own) = name.parse::<IpAddr>() {
        return ip == Some(own);
    }
    let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
    match name.strip_prefix('.') {
        Some("") => false,
        Some(_) => host.ends_with(name),
        None => host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')),
    }
}

fn split_port(entry: &str) -> (&str, Option<u16>) {
    let bare = entry.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    if let Some((name, rest)) = bare {
        return (name, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match entry.rsplit_once(':') {
        // More than one colon: an address of version 6 of IP.
        Some((name, port)) if !name.contains(':') => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    }
}

fn range(entry: &str) -> Option<(IpAddr, u32)> {
    let (net, bits) = entry.split_once('/')?;
    let net: IpAddr = net.parse().ok()?;
    let most = if net.is_ipv4() { 32 } else { 128 };
    Some((net, bits.parse().ok().filter(|bits| *bits <= most)?))
}

fn is_within(ip: IpAddr, net: IpAddr, bits: u32) -> bool {
    let (ip, net, most) = match (ip, net) {
        (IpAddr::V4(ip), IpAddr::V4(net)) => {
            (u128::from(ip.to_bits()), u128::from(net.to_bits()), 32)
        }
        (IpAddr::V6(ip), IpAddr::V6(net)) => (ip.to_bits(), net.to_bits(), 128),
        _ => return false,
    };
    let behind = most - bits;
    // A shift by all bits is none: there is nothing left to compare.
    let first = |address: u128| address.checked_shr(behind).unwrap_or(0);
    first(ip) == first(net)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    #[test]
    fn hosts_that_are_reached_without_a_proxy() {
        for (no_proxy, target, expected) in [
            ("", "http://x.example/", true),
            ("", "http://localhost/", false),
            ("", "http://127.3.2.1:8080/", false),
            ("", "http://[::1]/", false),
            ("*", "http://x.example/", false),
            ("example", "http://example/", false),
            ("example", "http://a.example/", false),
            ("example", "http://anexample/", true),
            (".example", "http://example/", true),
            (".example", "http://a.b.example/", false),
            ("*.example", "http://a.example/", false),
            ("*.example", "http://example/", true),
            ("a, B.example:8080", "http://b.example:8080/", false),
            ("b.example:8080", "http://b.example/", true),
            ("b.example:443", "https://b.example/", false),
            ("10.1.2.3", "http://10.1.2.3/", false),
            ("10.1.2.3:81", "http://10.1.2.3/", true),
            ("10.0.0.0/8", "http://10.200.0.1/", false),
            ("10.0.0.0/8", "http://11.0.0.1/", true),
            ("0.0.0.0/0", "http://11.0.0.1/", false),
            ("fd00::/8", "http://[fd12::1]/", false),
            ("fd00::/8", "http://[fe12::1]/", true),
            ("[fd12::1]:80", "http://[fd12::1]/", false),
            ("10.0.0.0/8", "http://ten.example/", true),
        ] {
            assert_eq!(is_proxied(&url(target), no_proxy), expected, "{no_proxy:?} {target}");
        }
    }

    #[test]
    fn the_environment_is_asked_by_scheme() {
        let http = HttpConfig { proxy_from_environment: true, ..HttpConfig::default() };
        let environment = |name: &str| match name {
            "http_proxy" => Some("plain:3128".to_owned()),
            "HTTPS_PROXY" => Some("https://u:p%40@secure".to_owned()),
            "no_proxy" => Some("own.example".to_owned()),
            _ => None,
        };
        let chosen = |target| choose(&http, &url(target), &environment).expect("valid");
        let plain = chosen("http://x.example").expect("a proxy");
        assert_eq!((plain.kind, plain.host.as_str(), plain.port), (Kind::Http, "plain", 3128));
        let secure = chosen("https://x.example").expect("a proxy");
        assert_eq!((secure.kind, secure.port), (Kind::Https, 443));
        assert_eq!(secure.login, Some(("u".to_owned(), "p@".to_owned())));
        assert_eq!(format!("{secure:?}"), "Https secure:443");
        assert_eq!(chosen("https://a.own.example"), None);
        assert_eq!(choose(&HttpConfig::default(), &url("http://x"), &environment), Ok(None));
    }

    #[test]
    fn urls_of_proxies_are_checked_and_not_repeated() {
        for bad in ["ftp://u:hunter2@x", "http://", "http://u:hunter2@:80", "socks4://x"] {
            let why = parse(bad).expect_err(bad);
            assert!(!why.contains("hunter2"), "{why}");
        }
        assert_eq!(parse("socks5h://x").expect("valid").port, 1080);
    }
}
