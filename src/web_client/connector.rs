//! Connections: straight or through a proxy, with or without TLS.
//!
//! In: where a request goes. Out: a transport for the HTTP client. Never here: which proxy it is,
//! what is sent.
//!
//! What is asked over TLS goes through a tunnel (`CONNECT`), the rest is handed to the proxy with
//! its whole URL, as Go's client does it: many proxies open tunnels to TLS ports only.

use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use ureq::Error;
use ureq::http::Uri;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, TcpConnector, Transport,
    TransportAdapter,
};

use super::config::TlsConfig;
use super::proxy::{Kind, ProxyServer};
use super::{socks, tls};

/// Largest head of an answer to `CONNECT` in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Opens connections.
pub struct Opener {
    tls: Arc<ClientConfig>,
    section: TlsConfig,
    proxy: Option<ProxyServer>,
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connections through {:?}", self.proxy)
    }
}

impl Opener {
    /// # Errors
    /// A certificate cannot be used.
    pub fn new(section: &TlsConfig, proxy: Option<ProxyServer>) -> Result<Opener, String> {
        Ok(Opener { tls: tls::client(section)?, section: section.clone(), proxy })
    }

    fn encrypted(
        &self,
        details: &ConnectionDetails<'_>,
        inner: Box<dyn Transport>,
    ) -> Result<Box<dyn Transport>, Error> {
        let host = details.uri.host().unwrap_or_default();
        let name = tls::name(&self.section, host).map_err(other)?;
        let mut connection = ClientConnection::new(Arc::clone(&self.tls), name)?;
        let mut wire = adapter(details, inner);
        connection.complete_io(&mut wire).map_err(handshake)?;
        let stream = StreamOwned::new(connection, wire);
        Ok(Box::new(Encrypted { buffers: buffers(details), stream }))
    }

    /// A connection to the proxy, and through it.
    fn through(
        &self,
        proxy: &ProxyServer,
        details: &ConnectionDetails<'_>,
    ) -> Result<Box<dyn Transport>, Error> {
        let scheme = if proxy.kind == Kind::Https { "https" } else { "http" };
        let uri = format!("{scheme}://{}:{}/", proxy.host, proxy.port);
        let uri: Uri = uri.parse().map_err(|_| Error::InvalidProxyUrl)?;
        let addrs = details.resolver.resolve(&uri, details.config, details.timeout)?;
        let details_of_proxy = ConnectionDetails {
            uri: &uri,
            addrs,
            config: details.config,
            request_level: details.request_level,
            resolver: details.resolver,
            now: details.now,
            timeout: details.timeout,
            current_time: details.current_time.clone(),
            run_connector: details.run_connector.clone(),
            register_shutdown: details.register_shutdown.clone(),
        };
        let mut transport = plain(&details_of_proxy)?;
        if proxy.kind == Kind::Https {
            transport = self.encrypted(&details_of_proxy, transport)?;
        }
        let is_tls = details.needs_tls();
        match proxy.kind {
            Kind::Socks5 => {
                let mut wire = adapter(details, transport);
                let (host, port) = host_and_port(details.uri);
                socks::connect(&mut wire, proxy.login.as_ref(), host, port)?;
                Ok(wire.into_inner())
            }
            Kind::Http | Kind::Https if is_tls => tunnel(proxy, details, transport),
            Kind::Http | Kind::Https => {
                let authority = details.uri.authority().map(ToString::to_string);
                Ok(Box::new(Handed {
                    buffers: buffers(details),
                    wire: adapter(details, transport),
                    origin: format!("http://{}", authority.unwrap_or_default()),
                    authorization: proxy.authorization(),
                    is_at_start: true,
                }))
            }
        }
    }
}

impl Connector<()> for Opener {
    type Out = Box<dyn Transport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<Box<dyn Transport>>, Error> {
        let transport = match &self.proxy {
            Some(proxy) => self.through(proxy, details)?,
            None => plain(details)?,
        };
        Ok(Some(if details.needs_tls() { self.encrypted(details, transport)? } else { transport }))
    }
}

fn other(why: String) -> Error {
    Error::Other(why.into())
}

/// What rustls found is told as such: nothing was sent yet.
fn handshake(error: std::io::Error) -> Error {
    match error.downcast::<rustls::Error>() {
        Ok(error) => Error::Rustls(error),
        Err(error) => Error::from(error),
    }
}

fn plain(details: &ConnectionDetails<'_>) -> Result<Box<dyn Transport>, Error> {
    let opened = TcpConnector::default().connect(details, None::<()>)?;
    let opened = opened.ok_or(Error::ConnectionFailed)?;
    Ok(Box::new(opened))
}

fn buffers(details: &ConnectionDetails<'_>) -> LazyBuffers {
    LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size())
}

fn adapter(details: &ConnectionDetails<'_>, inner: Box<dyn Transport>) -> TransportAdapter {
    let mut wire = TransportAdapter::new(inner, details.current_time.clone());
    wire.set_timeout(details.timeout);
    wire
}

fn host_and_port(uri: &Uri) -> (&str, u16) {
    let usual = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    (uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(usual))
}

/// Has the proxy open a connection to the host that is asked.
fn tunnel(
    proxy: &ProxyServer,
    details: &ConnectionDetails<'_>,
    transport: Box<dyn Transport>,
) -> Result<Box<dyn Transport>, Error> {
    let (host, port) = host_and_port(details.uri);
    let mut head = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
    let own = proxy.authorization();
    let is_sent = |name: &str| own.is_none() || !name.eq_ignore_ascii_case("proxy-authorization");
    for (name, value) in proxy.connect_headers.iter().filter(|(name, _)| is_sent(name)) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(value) = &own {
        head.push_str(&format!("Proxy-Authorization: {value}\r\n"));
    }
    head.push_str("\r\n");
    let mut wire = adapter(details, transport);
    wire.write_all(head.as_bytes())?;
    let answer = read_head(&mut wire)?;
    let status = answer.split_whitespace().nth(1).unwrap_or_default();
    match status {
        "200" => Ok(wire.into_inner()),
        other => {
            Err(Error::ConnectProxyFailed(format!("the proxy answered with status {other:?}")))
        }
    }
}

/// The first line and the headers of an answer; what follows stays unread.
fn read_head(wire: &mut impl Read) -> Result<String, Error> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && !head.ends_with(b"\n\n") {
        if wire.read(&mut byte)? == 0 || head.len() == HEAD_BYTES_MAX {
            return Err(Error::ConnectProxyFailed("the proxy did not answer".to_owned()));
        }
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// A connection within TLS.
struct Encrypted {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl fmt::Debug for Encrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a connection within TLS")
    }
}

impl Transport for Encrypted {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.get_mut().set_timeout(timeout);
        self.stream.write_all(&self.buffers.output()[..amount])?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.get_mut().set_timeout(timeout);
        let count = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(count);
        Ok(count > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

/// A connection to a proxy that hands requests on: they begin with whole URLs.
struct Handed {
    buffers: LazyBuffers,
    wire: TransportAdapter,
    /// Scheme and host.
    origin: String,
    authorization: Option<String>,
    /// Whether what is sent next begins a request.
    is_at_start: bool,
}

impl fmt::Debug for Handed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a connection to a proxy")
    }
}

impl Transport for Handed {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    /// The client sends the first line and all headers at once.
    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.wire.set_timeout(timeout);
        let output = &self.buffers.output()[..amount];
        if !std::mem::take(&mut self.is_at_start) {
            self.wire.write_all(output)?;
            return Ok(());
        }
        let whole = with_whole_url(output, &self.origin, self.authorization.as_deref());
        let whole = whole.ok_or_else(|| other("a request without a path".to_owned()))?;
        self.wire.write_all(&whole)?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.is_at_start = true;
        self.wire.set_timeout(timeout);
        let count = self.wire.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(count);
        Ok(count > 0)
    }

    fn is_open(&mut self) -> bool {
        self.wire.get_mut().is_open()
    }
}

/// The beginning of a request, `GET /path HTTP/1.1` turned into `GET http://host/path HTTP/1.1`.
fn with_whole_url(request: &[u8], origin: &str, authorization: Option<&str>) -> Option<Vec<u8>> {
    let slash = request.windows(2).position(|pair| pair == b" /")? + 1;
    let end = request.windows(2).position(|pair| pair == b"\r\n")? + 2;
    let mut whole = request.get(..slash)?.to_vec();
    whole.extend_from_slice(origin.as_bytes());
    whole.extend_from_slice(request.get(slash..end)?);
    if let Some(value) = authorization {
        whole.extend_from_slice(format!("Proxy-Authorization: {value}\r\n").as_bytes());
    }
    whole.extend_from_slice(request.get(end..)?);
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_to_a_proxy_hold_the_whole_url() {
        let request = b"POST /a?b=c HTTP/1.1\r\nhost: x\r\n\r\n";
        let whole = with_whole_url(request, "http://x:81", Some("Basic eA==")).expect("a request");
        let expected = "POST http://x:81/a?b=c HTTP/1.1\r\n\
                        Proxy-Authorization: Basic eA==\r\nhost: x\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&whole), expected);
        assert_eq!(with_whole_url(b"body", "http://x", None), None);
    }

    #[test]
    fn heads_of_answers_have_an_end() {
        let mut answer: &[u8] = b"HTTP/1.1 200 OK\r\nx: y\r\n\r\nrest";
        assert_eq!(read_head(&mut answer).expect("a head"), "HTTP/1.1 200 OK\r\nx: y\r\n\r\n");
        assert_eq!(answer, b"rest");
        read_head(&mut std::io::repeat(b'x')).expect_err("no end");
    }
}
