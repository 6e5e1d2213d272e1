//! Carries requests over HTTP and mails over SMTP.
//!
//! In: requests, `http_config`. Out: answers, or why none came. Never here: what requests mean.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::Deserialize;
use ureq::tls::TlsConfig;
use ureq::{Agent, Proxy, Timeout};

use super::mail::Mail;
use super::smtp;
use super::trouble::{Trouble, check_status, retry_after};
use super::wire::{Answer, Request, USER_AGENT, Wire};
use crate::model::Clock;
use crate::notify::config::{
    EmailConfig, HttpConfig, Oauth2Config, Secret, TlsConfig as TlsSection, TlsVersion,
};
use crate::notify::deliver::FailureKind;
use crate::tls::{self, Pem};

/// How much of an answer is read, in bytes: enough for what receivers say.
const ANSWER_BYTES_MAX: u64 = 1 << 20;
/// Most redirects followed, as in Go.
const REDIRECTS_MAX: u32 = 10;

/// The network.
pub struct Network {
    until: Instant,
    timeout: Duration,
    clock: Arc<dyn Clock>,
}

impl Network {
    /// For one delivery, which ends after `timeout`.
    pub fn new(timeout: Duration, clock: Arc<dyn Clock>) -> Network {
        // Beyond a day nobody waits.
        let timeout = timeout.min(Duration::from_secs(86_400));
        Network { until: Instant::now() + timeout, timeout, clock }
    }

    /// What is left of the time.
    fn left(&self) -> Result<Duration, Trouble> {
        let left = self.until.saturating_duration_since(Instant::now());
        match left.is_zero() {
            false => Ok(left),
            true => {
                let why = format!("no answer within {:?}", self.timeout);
                Err(Trouble::temporary(FailureKind::Timeout, why))
            }
        }
    }

    fn agent(&self, http: &HttpConfig, left: Duration) -> Result<Agent, Trouble> {
        let proxy = match (&http.proxy_url, http.proxy_from_environment) {
            (Some(url), _) => Some(proxy(url, &http.no_proxy)?),
            (None, true) => Proxy::try_from_env(),
            (None, false) => None,
        };
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(left))
            .user_agent(USER_AGENT)
            // Bodies are sent again, which the client does not do.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy)
            .tls_config(tls_of(&http.tls_config)?);
        Ok(agent.build().new_agent())
    }

    /// The value of the `Authorization` header.
    fn authorization(&self, http: &HttpConfig) -> Result<Option<String>, Trouble> {
        if let Some(basic) = &http.basic_auth {
            let user = basic.username.as_ref().map(read).transpose()?.unwrap_or_default();
            let password = basic.password.as_ref().map(read).transpose()?.unwrap_or_default();
            let text = BASE64_STANDARD.encode(format!("{user}:{password}"));
            return Ok(Some(format!("Basic {text}")));
        }
        if let Some(auth) = &http.authorization {
            let credentials = auth.credentials.as_ref().map(read).transpose()?;
            return Ok(credentials.map(|c| format!("{} {c}", auth.scheme)));
        }
        match &http.oauth2 {
            Some(oauth2) => {
                let token = self.oauth2_token(oauth2);
                let token = token.map(|token| Some(format!("Bearer {token}")));
                token.map_err(|trouble| trouble.while_doing("fetching an OAuth 2 token"))
            }
            None => Ok(None),
        }
    }

    /// A token for the client's credentials (RFC 6749, 4.4).
    fn oauth2_token(&self, oauth2: &Oauth2Config) -> Result<String, Trouble> {
        #[derive(Deserialize)]
        struct Granted {
            access_token: String,
        }
        let secret = read(&oauth2.client_secret)?;
        let mut http = HttpConfig::default();
        http.tls_config = oauth2.tls_config.clone();
        http.proxy_url = oauth2.proxy_url.clone();
        http.no_proxy = oauth2.no_proxy.clone();
        http.proxy_from_environment = oauth2.proxy_from_environment;
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !oauth2.scopes.is_empty() {
            form.append_pair("scope", &oauth2.scopes.join(" "));
        }
        form.extend_pairs(&oauth2.endpoint_params);
        let encoded =
            |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let login = format!("{}:{}", encoded(&oauth2.client_id), encoded(&secret));
        let request = Request {
            method: "POST",
            url: oauth2.token_url.as_str().to_owned(),
            headers: vec![
                ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
                ("Accept".to_owned(), "application/json".to_owned()),
                ("Authorization".to_owned(), format!("Basic {}", BASE64_STANDARD.encode(login))),
            ],
            body: Some(form.finish()),
        };
        let answer = self.carry(&http, request, self.left()?)?;
        check_status(answer.status, "", answer.retry_after, &[])?;
        let granted: Granted = serde_json::from_str(&answer.body).map_err(|_| {
            Trouble::temporary(FailureKind::Auth, "the answer holds no access_token")
        })?;
        Ok(granted.access_token)
    }

    /// Sends a request, and again to where it is redirected.
    fn carry(
        &self,
        http: &HttpConfig,
        mut request: Request,
        left: Duration,
    ) -> Result<Answer, Trouble> {
        let until = Instant::now() + left;
        let redirects = if http.follow_redirects { REDIRECTS_MAX } else { 0 };
        for _ in 0..redirects {
            let (answer, location) = self.once(http, &request, until)?;
            match location.and_then(|location| redirected(&request, answer.status, &location)) {
                Some(next) => request = next,
                None => return Ok(answer),
            }
        }
        Ok(self.once(http, &request, until)?.0)
    }

    /// Sends a request; the answer, and where it redirects to.
    fn once(
        &self,
        http: &HttpConfig,
        request: &Request,
        until: Instant,
    ) -> Result<(Answer, Option<String>), Trouble> {
        let agent = self.agent(http, until.saturating_duration_since(Instant::now()))?;
        let mut builder = ureq::http::Request::builder().method(request.method).uri(&request.url);
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        let answer = match request.body.clone() {
            Some(body) => builder.body(body).map_err(unsendable).map(|r| agent.run(r))?,
            None => builder.body(()).map_err(unsendable).map(|r| agent.run(r))?,
        };
        let mut answer = answer.map_err(transport)?;
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let content_type = header("content-type").unwrap_or_default().to_owned();
        let after = header("retry-after").and_then(|value| retry_after(value, self.clock.now()));
        let location = header("location").map(str::to_owned);
        let status = answer.status().as_u16();
        // What an answer says beyond its status is for errors only; a body that breaks off is as
        // good as none.
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        let body = String::from_utf8_lossy(&body.unwrap_or_default()).into_owned();
        Ok((Answer { status, content_type, retry_after: after, body }, location))
    }
}

/// The request that a redirect asks for, as Go's client makes it: 307 and 308 want the same again,
/// the others a `GET`. Who is not the same host does not get the login.
fn redirected(request: &Request, status: u16, location: &str) -> Option<Request> {
    let from = url::Url::parse(&request.url).ok()?;
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

impl Wire for Network {
    fn send(
        &mut self,
        http: &HttpConfig,
        mut request: Request,
        timeout: Option<Duration>,
    ) -> Result<Answer, Trouble> {
        if let Some(value) = self.authorization(http)? {
            let has_own = |(name, _): &(String, String)| name.eq_ignore_ascii_case("authorization");
            if !request.headers.iter().any(has_own) {
                request.headers.push(("Authorization".to_owned(), value));
            }
        }
        for (name, values) in &http.http_headers {
            let secrets = values.secrets.iter().map(read);
            let files = values.files.iter().map(|path| read(&Secret::File(path.clone())));
            for value in values.values.iter().cloned().map(Ok).chain(secrets).chain(files) {
                request.headers.push((name.clone(), value?));
            }
        }
        let left = self.left()?;
        self.carry(http, request, timeout.map_or(left, |timeout| timeout.min(left)))
    }

    fn mail(&mut self, config: &EmailConfig, mail: Mail) -> Result<String, Trouble> {
        smtp::send(config, &mail, self.left()?)
    }
}

fn read(secret: &Secret) -> Result<String, Trouble> {
    secret.read().map_err(|why| Trouble::temporary(FailureKind::Other, why))
}

fn proxy(url: &Secret, no_proxy: &str) -> Result<Proxy, Trouble> {
    let bad = |_| Trouble::lasting(FailureKind::Other, "proxy_url is no URL of a proxy");
    let url = read(url)?;
    let plain = Proxy::new(&url).map_err(bad)?;
    if no_proxy.trim().is_empty() {
        return Ok(plain);
    }
    let mut builder = Proxy::builder(plain.protocol()).host(plain.host()).port(plain.port());
    if let Some(user) = plain.username() {
        builder = builder.username(user);
    }
    if let Some(password) = plain.password() {
        builder = builder.password(password);
    }
    for host in no_proxy.split(',').map(str::trim).filter(|host| !host.is_empty()) {
        builder = builder.no_proxy(host);
    }
    builder.build().map_err(bad)
}

fn tls_of(section: &TlsSection) -> Result<TlsConfig, Trouble> {
    let bad = |why: String| Trouble::lasting(FailureKind::Other, format!("tls_config: {why}"));
    let needs_other = !section.server_name.is_empty()
        || section.max_version.is_some_and(|v| v < TlsVersion::V13)
        || section.min_version == Some(TlsVersion::V13);
    if needs_other {
        let why = "server_name, min_version TLS13 and max_version are supported for mail only";
        return Err(bad(why.to_owned()));
    }
    let pem = |name: &str, secret: &Secret| -> Result<Pem, Trouble> {
        Ok(Pem { name: name.to_owned(), text: read(secret)?.into_bytes() })
    };
    let ca = section.ca.as_ref().map(|ca| pem("ca", ca)).transpose()?;
    let own = match (&section.cert, &section.key) {
        (Some(cert), Some(key)) => Some((pem("cert", cert)?, pem("key", key)?)),
        _ => None,
    };
    tls::client(section.insecure_skip_verify, ca, own).map_err(bad)
}

fn unsendable(error: ureq::http::Error) -> Trouble {
    Trouble::lasting(FailureKind::Other, format!("the request cannot be made: {error}"))
}

/// No answer came. Whether the receiver may have taken the request is known only where it was not
/// sent.
fn transport(error: ureq::Error) -> Trouble {
    use ureq::Error;
    let (kind, was_sent) = match &error {
        Error::Timeout(Timeout::Resolve | Timeout::Connect | Timeout::SendRequest) => {
            (FailureKind::Timeout, false)
        }
        Error::Timeout(_) => (FailureKind::Timeout, true),
        Error::HostNotFound
        | Error::ConnectionFailed
        | Error::Tls(_)
        | Error::Rustls(_)
        | Error::InvalidProxyUrl
        | Error::BadUri(_) => (FailureKind::Other, false),
        Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            (FailureKind::Other, false)
        }
        _ => (FailureKind::Other, true),
    };
    let mut trouble = Trouble::temporary(kind, format!("no answer: {error}"));
    trouble.failure.maybe_delivered = was_sent;
    trouble
}
