//! How requests prove who they are.
//!
//! In: `basic_auth`, `authorization`, `oauth2`. Out: the header `Authorization`. Secrets are read
//! anew each time; tokens that were fetched are kept until they expire.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::Deserialize;
use serde_json::Value;

use super::config::{HttpConfig, Oauth2Config};
use super::{Client, Reply, Request, WebError};
use crate::secret::{MASK, Secret};

/// Most tokens that are kept; beyond it the oldest are fetched again.
const TOKENS_MAX: usize = 256;
/// How long before its end a token is not used any more, as in Go.
const EXPIRY_MARGIN: Duration = Duration::from_secs(10);
/// Largest answer of a server that hands out tokens, in bytes.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// Tokens that were fetched. Not to be printed.
#[derive(Default)]
pub struct Tokens(Mutex<Vec<Kept>>);

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("tokens")
    }
}

struct Kept {
    of: Oauth2Config,
    secret: String,
    token: String,
    /// `None`: it does not say.
    end: Option<Instant>,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(default)]
    expires_in: Value,
}

impl Tokens {
    fn find(&self, of: &Oauth2Config, secret: &str) -> Option<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |kept: &&Kept| kept.of == *of && kept.secret == secret;
        let found = kept.iter().find(is_it)?;
        found.end.is_none_or(|end| Instant::now() < end).then(|| found.token.clone())
    }

    /// Fetches the token anew next time: it was refused.
    pub(super) fn forget(&self, of: &Oauth2Config) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|kept| kept.of != *of);
    }

    /// `text` without any of them.
    pub fn masked(&self, text: String) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tokens = kept.iter().map(|kept| kept.token.as_str()).filter(|token| !token.is_empty());
        tokens.fold(text, |text, token| text.replace(token, MASK))
    }

    fn keep(&self, fresh: Kept) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|old| old.of != fresh.of);
        if kept.len() >= TOKENS_MAX {
            kept.remove(0);
        }
        kept.push(fresh);
    }
}

pub(super) fn read(secret: &Secret) -> Result<String, WebError> {
    secret.read().map_err(WebError::Secret)
}

/// The value of the header `Authorization`.
pub(super) fn authorization(client: &Client<'_>) -> Result<Option<String>, WebError> {
    let http: &HttpConfig = client.http;
    if let Some(text) = http.basic().map_err(WebError::Secret)? {
        return Ok(Some(format!("Basic {text}")));
    }
    if let Some(auth) = &http.authorization {
        let credentials = auth.credentials.as_ref().map(read).transpose()?;
        return Ok(credentials.map(|credentials| format!("{} {credentials}", auth.scheme)));
    }
    let Some(oauth2) = &http.oauth2 else { return Ok(None) };
    Ok(Some(format!("Bearer {}", token(client, oauth2)?)))
}

/// The login that a URL holds, as the value of the header, and the URL without it.
pub(super) fn within_url(url: &str) -> Option<(String, String)> {
    let mut url = url::Url::parse(url).ok()?;
    let decoded =
        |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let user = decoded(url.username());
    let password = decoded(url.password().unwrap_or_default());
    if user.is_empty() && password.is_empty() {
        return None;
    }
    url.set_username("").and_then(|()| url.set_password(None)).ok()?;
    Some((basic_value(&user, &password), url.into()))
}

fn basic_value(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
}

/// A token for the client's credentials (RFC 6749, 4.4). The login is sent as a header; servers
/// that refuse it so get it within the form, as from Go's client.
fn token(client: &Client<'_>, oauth2: &Oauth2Config) -> Result<String, WebError> {
    let secret = oauth2.client_secret.as_ref().map(read).transpose()?.unwrap_or_default();
    if let Some(token) = client.tokens.find(oauth2, &secret) {
        return Ok(token);
    }
    let mut reply = ask(client, oauth2, &secret, true)?;
    if matches!(reply.status, 400 | 401 | 403) {
        reply = ask(client, oauth2, &secret, false)?;
    }
    if !(200..300).contains(&reply.status) {
        let (status, retry_after) = (reply.status, reply.retry_after);
        return Err(WebError::TokenRefused { status, retry_after });
    }
    let granted: Granted = serde_json::from_str(&reply.body).map_err(|_| WebError::NoToken)?;
    let seconds = granted.expires_in.as_f64();
    let seconds = seconds.or_else(|| granted.expires_in.as_str()?.parse().ok());
    let lasts = seconds.filter(|s| *s > 0.0).and_then(|s| Duration::try_from_secs_f64(s).ok());
    let end = lasts.and_then(|l| Instant::now().checked_add(l.saturating_sub(EXPIRY_MARGIN)));
    let token = granted.access_token;
    client.tokens.keep(Kept { of: oauth2.clone(), secret, token: token.clone(), end });
    Ok(token)
}

fn ask(
    client: &Client<'_>,
    oauth2: &Oauth2Config,
    secret: &str,
    is_login_in_header: bool,
) -> Result<Reply, WebError> {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    if !oauth2.scopes.is_empty() {
        form.append_pair("scope", &oauth2.scopes.join(" "));
    }
    form.extend_pairs(&oauth2.endpoint_params);
    let mut headers = vec![
        ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
        ("Accept".to_owned(), "application/json".to_owned()),
    ];
    if is_login_in_header {
        let encoded =
            |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let value = basic_value(&encoded(&oauth2.client_id), &encoded(secret));
        headers.push(("Authorization".to_owned(), value));
    } else {
        form.append_pair("client_id", &oauth2.client_id).append_pair("client_secret", secret);
    }
    let (method, url, body) = ("POST", oauth2.token_url.clone(), Some(form.finish()));
    let http = oauth2.http();
    let own = Client { http: &http, answer_bytes_max: ANSWER_BYTES_MAX, ..*client };
    let asked = own.carry(Request { method, url, headers, body });
    asked.map_err(|error| WebError::Token(Box::new(error)))
}
