//! The HTTP client of one instance: version, login, pages.
//!
//! In: paths below the API. Out: decoded answers. Never here: what they mean. One request at a
//! time: Airflow 2 spends half a second of CPU on each.

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::Agent;

use super::answer::{Login, Version};
use super::error::PollError;
use super::options::{Auth, InstanceOptions};
use crate::web_client::{self, USER_AGENT};

/// Largest answer taken, in bytes: a page has at most a hundred entries of some kilobytes.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// How much of an error's body is shown.
const EXCERPT_CHARS: usize = 200;
/// Entries of a page; both versions refuse or cut off more.
pub const PAGE_ENTRIES: usize = 100;

/// The two APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// Airflow 2.
    V1,
    /// Airflow 3.
    V2,
}

impl Api {
    const fn prefix(self) -> &'static str {
        match self {
            Api::V1 => "/api/v1",
            Api::V2 => "/api/v2",
        }
    }

    /// Path of the health of the parts.
    pub const fn health(self) -> &'static str {
        match self {
            Api::V1 => "/health",
            Api::V2 => "/monitor/health",
        }
    }
}

/// The client of one instance. Not to be printed: it holds a token.
pub struct Client {
    agent: Agent,
    options: InstanceOptions,
    api: Option<(Api, String)>,
    token: Option<String>,
    requests: u64,
}

struct Raw {
    status: u16,
    date_ms: Option<i64>,
    body: String,
}

#[derive(Serialize)]
struct Credentials<'a> {
    username: &'a str,
    password: &'a str,
}

impl Client {
    /// A client; nothing is asked yet.
    ///
    /// # Errors
    /// Certificates or the proxy cannot be used.
    pub fn new(options: InstanceOptions) -> Result<Client, PollError> {
        // Redirects are not followed: a login page is not an answer.
        let agent = web_client::agent(&options.http, &options.url, USER_AGENT, options.timeout);
        let agent = agent.map_err(|error| PollError::Options(error.to_string()))?;
        Ok(Client { agent, options, api: None, token: None, requests: 0 })
    }

    /// Requests sent so far.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// API and version of the server; asked once, and again after [`Client::forget_version`].
    ///
    /// # Errors
    /// It does not answer, or is no Airflow.
    pub fn version(&mut self) -> Result<(Api, String), PollError> {
        if let Some(known) = &self.api {
            return Ok(known.clone());
        }
        for api in [Api::V2, Api::V1] {
            let raw = self.send(&format!("{}/version", api.prefix()), None)?;
            let version = serde_json::from_str::<Version>(&raw.body);
            if let (200, Ok(version)) = (raw.status, version) {
                self.api = Some((api, version.version.clone()));
                return Ok((api, version.version));
            }
        }
        Err(PollError::NotAirflow)
    }

    /// Asks for the version again before the next request: the server may have been upgraded.
    pub fn forget_version(&mut self) {
        self.api = None;
    }

    /// A decoded answer, and the server's time (ms) when it says it.
    ///
    /// # Errors
    /// See [`PollError`].
    pub fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<(T, Option<i64>), PollError> {
        let (api, _) = self.version()?;
        let full = format!("{}{path}", api.prefix());
        let mut raw = self.authorized(api, &full)?;
        let can_log_in = api == Api::V2 && matches!(self.options.auth, Auth::Password { .. });
        if can_log_in && matches!(raw.status, 401 | 403) {
            // The token may have ended.
            self.token = None;
            raw = self.authorized(api, &full)?;
        }
        check(&full, &raw)?;
        let value = serde_json::from_str(&raw.body)
            .map_err(|error| PollError::Answer { path: full, why: error.to_string() })?;
        Ok((value, raw.date_ms))
    }

    fn authorized(&mut self, api: Api, path: &str) -> Result<Raw, PollError> {
        let header = match (self.options.auth.clone(), api) {
            (Auth::None, _) => None,
            (Auth::Token(token), _) => {
                Some(format!("Bearer {}", token.read().map_err(PollError::Options)?))
            }
            (Auth::Password { username, password }, Api::V1) => {
                let password = password.read().map_err(PollError::Options)?;
                Some(format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{password}"))))
            }
            (Auth::Password { username, password }, Api::V2) => {
                let password = password.read().map_err(PollError::Options)?;
                Some(format!("Bearer {}", self.log_in(&username, &password)?))
            }
        };
        self.send(path, header.as_deref())
    }

    fn log_in(&mut self, username: &str, password: &str) -> Result<String, PollError> {
        if let Some(token) = &self.token {
            return Ok(token.clone());
        }
        let path = "/auth/token";
        let body = serde_json::to_string(&Credentials { username, password });
        let body = body.expect("BUG: two strings are JSON");
        self.requests += 1;
        let url = format!("{}{path}", self.options.url);
        let mut request = self.agent.post(url).header("content-type", "application/json");
        for (name, value) in self.further_headers()? {
            request = request.header(name, value);
        }
        let raw = read(path, request.send(body))?;
        check(path, &raw)?;
        let login: Login = serde_json::from_str(&raw.body).map_err(|_| PollError::Answer {
            path: path.to_owned(),
            why: "it holds no access_token".to_owned(),
        })?;
        self.token = Some(login.access_token.clone());
        Ok(login.access_token)
    }

    fn send(&mut self, path: &str, authorization: Option<&str>) -> Result<Raw, PollError> {
        self.requests += 1;
        let request = self.agent.get(format!("{}{path}", self.options.url));
        let mut request = request.header("accept", "application/json");
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        for (name, value) in self.further_headers()? {
            request = request.header(name, value);
        }
        read(path, request.call())
    }

    fn further_headers(&self) -> Result<Vec<(String, String)>, PollError> {
        let headers = web_client::further_headers(&self.options.http);
        headers.map_err(|error| PollError::Options(error.to_string()))
    }
}

fn read(
    path: &str,
    answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<Raw, PollError> {
    let failed = |error: ureq::Error| {
        let path = path.split('?').next().unwrap_or_default().to_owned();
        PollError::Transport { path, why: error.to_string() }
    };
    let mut answer = answer.map_err(failed)?;
    let date = answer.headers().get("date").and_then(|value| value.to_str().ok());
    let date_ms = date.and_then(parse_date);
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).lossy_utf8(true);
    let body = body.read_to_string().map_err(failed)?;
    Ok(Raw { status, date_ms, body })
}

fn parse_date(text: &str) -> Option<i64> {
    let parser = jiff::fmt::rfc2822::DateTimeParser::new();
    parser.parse_timestamp(text).ok().map(|time| time.as_millisecond())
}

fn check(path: &str, raw: &Raw) -> Result<(), PollError> {
    let path = path.split('?').next().unwrap_or_default().to_owned();
    match raw.status {
        200..=299 => Ok(()),
        status @ (401 | 403) => Err(PollError::Refused { path, status }),
        status => {
            let body = raw.body.chars().take(EXCERPT_CHARS).collect();
            Err(PollError::Status { path, status, body })
        }
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod connections;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_what_servers_send() {
        assert_eq!(parse_date("Sat, 21 Nov 2026 02:05:25 GMT"), Some(1_795_226_725_000));
        assert_eq!(parse_date("today"), None);
    }
}
