//! Answers and errors in the shapes of Alertmanager.

use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::super::answer::json_response;
use super::super::json::JsonWriter;
use crate::model::Timestamp;
use crate::model::labels::Quoted;
use crate::model::{Annotations, Labels};
use crate::runtime::Overloaded;

/// An error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A bare JSON string.
    Text(StatusCode, String),
    /// An object with a code: what the API's description forbids.
    Coded(StatusCode, u16, String),
    /// No content.
    Empty(StatusCode),
}

impl Refusal {
    /// The request makes no sense.
    pub(super) fn bad(why: impl Into<String>) -> Refusal {
        Refusal::Text(StatusCode::BAD_REQUEST, why.into())
    }

    /// A required field is missing.
    pub(super) fn required(field: &str) -> Refusal {
        let why = format!("{field} in body is required");
        Refusal::Coded(StatusCode::UNPROCESSABLE_ENTITY, 602, why)
    }

    /// A field is not what it should be.
    pub(super) fn wrong_type(field: &str, place: &str, kind: &str, text: &str) -> Refusal {
        let why = format!("{field} in {place} must be of type {kind}: {}", Quoted(text));
        Refusal::Coded(StatusCode::UNPROCESSABLE_ENTITY, 601, why)
    }
}

impl From<Overloaded> for Refusal {
    fn from(error: Overloaded) -> Refusal {
        Refusal::Text(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut out = JsonWriter::new();
        let status = match self {
            Refusal::Empty(status) => return status.into_response(),
            Refusal::Text(status, why) => {
                out.string(&why);
                status
            }
            Refusal::Coded(status, code, why) => {
                out.begin_object();
                out.key("code");
                out.unsigned(u64::from(code));
                out.string_field("message", &why);
                out.end_object();
                status
            }
        };
        uncached(json_response(status, out.finish()))
    }
}

/// Nobody may keep an answer.
fn uncached(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A document.
pub(super) fn document(write: impl FnOnce(&mut JsonWriter)) -> Response {
    let mut out = JsonWriter::new();
    write(&mut out);
    uncached(json_response(StatusCode::OK, out.finish()))
}

/// Done, and nothing to say.
pub(super) fn done() -> Response {
    uncached(StatusCode::OK.into_response())
}

/// A known path with a method it does not have.
pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    let allowed = match uri.path() {
        "/api/v2/alerts" | "/api/v2/silences" => "GET,POST",
        path if path.starts_with("/api/v2/silence/") => "DELETE,GET",
        _ => "GET",
    };
    let why = format!("method {method} is not allowed, but [{allowed}] are");
    let refusal = Refusal::Coded(StatusCode::METHOD_NOT_ALLOWED, 405, why);
    let mut response = refusal.into_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

/// A time as the API writes it.
pub(super) fn time(out: &mut JsonWriter, key: &str, at: Timestamp) {
    out.string_field(key, &at.to_string());
}

/// A label set as an object.
pub(super) fn labels(out: &mut JsonWriter, key: &str, labels: &Labels) {
    out.key(key);
    out.begin_object();
    labels.iter().for_each(|(name, value)| out.string_field(name, value));
    out.end_object();
}

/// Annotations as an object.
pub(super) fn annotations(out: &mut JsonWriter, annotations: &Annotations) {
    out.key("annotations");
    out.begin_object();
    annotations.iter().for_each(|(name, text)| out.string_field(name, text));
    out.end_object();
}
