//! Asking the data directory of a stopped server.

use std::path::Path;

use serde_json::Value;

use super::super::CliError;
use super::{Question, remote};
use crate::app;

/// The answer's `data`; its warnings go to stderr.
pub(super) fn ask(dir: &Path, question: &Question) -> Result<Value, CliError> {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in &question.parameters {
        query.append_pair(name, value);
    }
    let path = format!("/api/v1/{}?{}", question.path, query.finish());
    let body =
        app::ask_data_dir(dir, &path).map_err(|error| CliError::Failed(error.to_string()))?;
    let answer = serde_json::from_slice(&body)
        .map_err(|error| CliError::Failed(format!("reading the answer: {error}")))?;
    remote::data(answer)
}
