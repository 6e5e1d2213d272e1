//! Requests of Alertmanager's API v2.

use std::time::Duration;

use serde_json::Value;

use super::super::CliError;

/// Largest answer taken, in bytes.
const ANSWER_BYTES_MAX: u64 = 1 << 30;
/// As long as amtool waits.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A server.
pub(super) struct Client {
    base: String,
    agent: ureq::Agent,
}

impl Client {
    /// The API below `url`.
    pub(super) fn new(url: &str) -> Client {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            .build()
            .new_agent();
        Client { base: format!("{}/api/v2", url.trim_end_matches('/')), agent }
    }

    /// Asks.
    pub(super) fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, CliError> {
        let url = format!("{}{path}", self.base);
        let mut request = self.agent.get(&url);
        for (name, value) in query {
            request = request.query(*name, value);
        }
        answer(&url, request.call())
    }

    /// Sends a document.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        let url = format!("{}{path}", self.base);
        let request = self.agent.post(&url).header("content-type", "application/json");
        answer(&url, request.send(body.to_string().as_bytes()))
    }

    /// Removes.
    pub(super) fn delete(&self, path: &str) -> Result<Value, CliError> {
        let url = format!("{}{path}", self.base);
        answer(&url, self.agent.delete(&url).call())
    }
}

fn answer(
    url: &str,
    response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<Value, CliError> {
    let failed = |why: String| CliError::Failed(format!("asking {url}: {why}"));
    let mut response = response.map_err(|error| failed(error.to_string()))?;
    let status = response.status();
    let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
    let body = body.map_err(|error| failed(error.to_string()))?;
    let value: Value = serde_json::from_str(&body).unwrap_or(Value::Null);
    if status.is_success() {
        return Ok(value);
    }
    let why = value.as_str().or(value["message"].as_str()).unwrap_or(body.trim());
    Err(failed(format!("status {status}: {why}")))
}
