//! Requests to other servers over HTTP, as a section `http_config` says.
//!
//! In: a [`Request`], an [`HttpConfig`]. Out: a [`Reply`], or why there is none ([`WebError`]).
//! Never here: what requests and answers mean, whether to try again.
//!
//! [`config`] is the section, [`tls`] and [`proxy`] what it says of connections, which `connector`
//! opens, and `login` how requests prove who they are. HTTP/1.1 is spoken always.

pub mod config;
mod connector;
mod login;
pub mod proxy;
mod socks;
pub mod tls;

#[cfg(test)]
pub(crate) mod test_servers;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::{Duration, Instant};

use ureq::unversioned::resolver::DefaultResolver;
use ureq::{Agent, Proxy};
use url::Url;

use config::HttpConfig;
use connector::Opener;
pub use login::Tokens;

/// The name by which servers know us.
pub const USER_AGENT: &str = concat!("tidewatch/", env!("CARGO_PKG_VERSION"));
/// Most redirects followed, as in Go.
const REDIRECTS_MAX: u32 = 10;
/// Connections that a client keeps open for later requests.
const IDLE_MAX: usize = 3;

/// A request. Not to be printed: it holds secrets.
#[derive(Clone, PartialEq)]
pub struct Request {
    /// `GET`, `POST` or `PUT`.
    pub method: &'static str,
    /// Where to; may hold secrets.
    pub url: String,
    /// Name and value; values may be secrets.
    pub headers: Vec<(String, String)>,
    /// What is sent; `None` with `GET`.
    pub body: Option<String>,
}

impl Request {
    /// A request with a body of JSON.
    pub fn json(method: &'static str, url: impl Into<String>, body: String) -> Request {
        Request {
            method,
            url: url.into(),
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            body: Some(body),
        }
    }

    /// A request without a body.
    pub fn get(url: impl Into<String>) -> Request {
        Request { method: "GET", url: url.into(), headers: Vec::new(), body: None }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Request {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    /// Its status code.
    pub status: u16,
    /// Its `Content-Type`; empty if it has none.
    pub content_type: String,
    /// Its `Retry-After`, as it stands there.
    pub retry_after: Option<String>,
    /// The beginning of its body; empty when that broke off.
    pub body: String,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum WebError {
    /// A certificate or a proxy cannot be used.
    Config(String),
    /// A secret cannot be read.
    Secret(String),
    /// The URL or a header is none.
    Request(String),
    /// The server cannot be reached, or does not answer.
    Transport(ureq::Error),
    /// The server that hands out tokens cannot be asked.
    Token(Box<WebError>),
    /// It refuses.
    TokenRefused {
        /// Its status code.
        status: u16,
        /// Its `Retry-After`.
        retry_after: Option<String>,
    },
    /// Its answer holds no token.
    NoToken,
}

impl fmt::Display for WebError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WebError::Config(why) | WebError::Secret(why) => f.write_str(why),
            WebError::Request(why) => write!(f, "the request cannot be made: {why}"),
            WebError::Transport(error) => write!(f, "no answer: {error}"),
            WebError::Token(error) => write!(f, "fetching an OAuth 2 token: {error}"),
            WebError::TokenRefused { status, .. } => {
                write!(f, "fetching an OAuth 2 token: unexpected status code {status}")
            }
            WebError::NoToken => {
                f.write_str("fetching an OAuth 2 token: the answer holds no access_token")
            }
        }
    }
}

impl std::error::Error for WebError {}

/// Sends requests as a section says.
#[derive(Clone, Copy)]
pub struct Client<'a> {
    /// The section.
    pub http: &'a HttpConfig,
    /// Tokens that were fetched.
    pub tokens: &'a Tokens,
    /// By which name we are known.
    pub user_agent: &'a str,
    /// When everything has to be over.
    pub until: Instant,
    /// How much of an answer is read.
    pub answer_bytes_max: u64,
}

impl Client<'_> {
    /// Sends a request with login and further headers, and again to where it is redirected. A login
    /// in its URL counts where there is no other, as with Go's client.
    ///
    /// # Errors
    /// See [`WebError`].
    pub fn send(&self, mut request: Request) -> Result<Reply, WebError> {
        let has_own = |(name, _): &(String, String)| name.eq_ignore_ascii_case("authorization");
        if !request.headers.iter().any(has_own)
            && let Some(value) = login::authorization(self)?
        {
            request.headers.push(("Authorization".to_owned(), value));
        }
        if let Some((value, url)) = login::within_url(&request.url) {
            if !request.headers.iter().any(has_own) {
                request.headers.push(("Authorization".to_owned(), value));
            }
            request.url = url;
        }
        request.headers.extend(further_headers(self.http)?);
        let reply = self.carry(request)?;
        if let (401, Some(oauth2)) = (reply.status, &self.http.oauth2) {
            self.tokens.forget(oauth2);
        }
        Ok(reply)
    }

    /// Sends a request as it is.
    fn carry(&self, mut request: Request) -> Result<Reply, WebError> {
        let redirects = if self.http.follow_redirects { REDIRECTS_MAX } else { 0 };
        for _ in 0..redirects {
            let (reply, location) = self.once(&request)?;
            match location.and_then(|location| redirected(&request, reply.status, &location)) {
                Some(next) => request = next,
                None => return Ok(reply),
            }
        }
        Ok(self.once(&request)?.0)
    }

    /// Sends a request; the answer, and where it redirects to.
    fn once(&self, request: &Request) -> Result<(Reply, Option<String>), WebError> {
        let left = self.until.saturating_duration_since(Instant::now());
        let agent = agent(self.http, &request.url, self.user_agent, left)?;
        let unsendable = |error: ureq::http::Error| WebError::Request(error.to_string());
        let mut builder = ureq::http::Request::builder().method(request.method).uri(&request.url);
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        let answer = match request.body.clone() {
            Some(body) => builder.body(body).map_err(unsendable).map(|r| agent.run(r))?,
            None => builder.body(()).map_err(unsendable).map(|r| agent.run(r))?,
        };
        let mut answer = answer.map_err(WebError::Transport)?;
        let header = |name: &str| {
            let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
            value.map(str::to_owned)
        };
        let content_type = header("content-type").unwrap_or_default();
        let (retry_after, location) = (header("retry-after"), header("location"));
        let status = answer.status().as_u16();
        // A body that breaks off is as good as none.
        let body = answer.body_mut().with_config().limit(self.answer_bytes_max).read_to_vec();
        let body = String::from_utf8_lossy(&body.unwrap_or_default()).into_owned();
        Ok((Reply { status, content_type, retry_after, body }, location))
    }
}

/// The values of `http_headers`.
///
/// # Errors
/// A secret cannot be read.
pub fn further_headers(http: &HttpConfig) -> Result<Vec<(String, String)>, WebError> {
    let mut headers = Vec::new();
    for (name, values) in &http.http_headers {
        for value in values.all() {
            headers.push((name.clone(), login::read(&value)?));
        }
    }
    Ok(headers)
}

/// The HTTP client for requests to the host of `url`, each of which may take `timeout`. It follows
/// no redirects, and takes every status as an answer.
///
/// # Errors
/// A certificate or a proxy cannot be used, or `url` is none.
pub fn agent(
    http: &HttpConfig,
    url: &str,
    user_agent: &str,
    timeout: Duration,
) -> Result<Agent, WebError> {
    let url = Url::parse(url).map_err(|error| WebError::Request(format!("the URL: {error}")))?;
    let proxy = proxy::choose(http, &url, &|name| std::env::var(name).ok());
    let proxy = proxy.map_err(WebError::Config)?;
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(timeout))
        .user_agent(user_agent)
        .max_idle_connections(IDLE_MAX)
        // Bodies are sent again, which the client does not do.
        .max_redirects(0)
        .max_redirects_will_error(false)
        // It only keeps the client from resolving the host's name, which is the proxy's matter.
        .proxy(
            proxy
                .as_ref()
                .map(|_| Proxy::new("http://proxy.invalid"))
                .transpose()
                .map_err(|error| WebError::Config(format!("the proxy: {error}")))?,
        )
        .build();
    let opener = Opener::new(&http.tls_config, proxy);
    let opener = opener.map_err(|why| WebError::Config(format!("tls_config: {why}")))?;
    Ok(Agent::with_parts(config, opener, DefaultResolver::default()))
}

/// The request that a redirect asks for, as Go's client makes it: 307 and 308 want the same again,
/// the others a `GET`. Who is not the same host does not get the login.
fn redirected(request: &Request, status: u16, location: &str) -> Option<Request> {
    let from = Url::parse(&request.url).ok()?;
    let to = from.join(location).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let mut next = Request { url: to.to_string(), ..request.clone() };
    match status {
        307 | 308 => {}
        301..=303 => {
            (next.method, next.body) = ("GET", None);
            next.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
        }
        _ => return None,
    }
    if (from.host_str(), from.port_or_known_default())
        != (to.host_str(), to.port_or_known_default())
    {
        let is_login = |name: &str| {
            ["authorization", "cookie", "x-auth-token", "x-user-id"]
                .iter()
                .any(|login| name.eq_ignore_ascii_case(login))
        };
        next.headers.retain(|(name, _)| !is_login(name));
    }
    Some(next)
}
