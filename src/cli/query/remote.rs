//! Asking a server over HTTP.

use std::time::Duration;

use serde_json::Value;

use super::super::CliError;
use super::Question;

/// Largest answer taken, in bytes; the table of a larger one helps nobody.
const ANSWER_BYTES_MAX: u64 = 1 << 30;
/// Longer than the longest a server lets a query run by default.
const TIMEOUT: Duration = Duration::from_secs(150);

/// The answer's `data`; its warnings go to stderr.
pub(super) fn ask(server: &str, question: &Question) -> Result<Value, CliError> {
    let url = format!("{}/api/v1/{}", server.trim_end_matches('/'), question.path);
    let failed = |why: String| CliError::Failed(format!("asking {url}: {why}"));
    let mut request = agent().get(&url);
    for (name, value) in &question.parameters {
        request = request.query(*name, value);
    }
    let mut response = request.call().map_err(|error| failed(error.to_string()))?;
    let status = response.status();
    let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
    let body = body.map_err(|error| failed(error.to_string()))?;
    let answer = serde_json::from_str(&body)
        .map_err(|_| failed(format!("status {status}, and the body is not JSON")))?;
    data(answer)
}

/// The `data` of an API answer; its warnings go to stderr.
pub(super) fn data(mut answer: Value) -> Result<Value, CliError> {
    print_notes(&answer);
    if answer["status"] != "success" {
        let kind = answer["errorType"].as_str().unwrap_or("error");
        let why = answer["error"].as_str().unwrap_or("the server does not say why");
        return Err(CliError::Failed(format!("{kind}: {why}")));
    }
    Ok(answer["data"].take())
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(TIMEOUT))
        .build()
        .new_agent()
}

fn print_notes(answer: &Value) {
    for (key, name) in [("warnings", "warning"), ("infos", "info")] {
        for note in answer[key].as_array().into_iter().flatten() {
            eprintln!("{name}: {}", note.as_str().unwrap_or_default());
        }
    }
}
