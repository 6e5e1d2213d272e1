//! From what became of a request to its HTTP answer.
//!
//! In: the protocol version and a result. Out: status, headers, and the sentence for the sender.
//! Never here: reading or writing.
//!
//! | | remote write 1.0 | remote write 2.0 |
//! |---|---|---|
//! | all written | 204 | 204 |
//! | a sample or histogram is not acceptable | 400, nothing written | 400, the rest written |
//! | labels of a series are not valid | 400, the rest written | 400, the rest written |
//! | body not snappy or protobuf, or too large when decoded | 400 | 400 |
//! | body too large as received | 413 | 413 |
//! | headers not acceptable | 415 | 415 |
//! | too much to do, or the body is slow to arrive | 503 with `Retry-After` | the same |
//! | cannot write | 500 | 500 |
//!
//! A bad exemplar is left out and counted; it makes the answer to remote write 2.0 a 400, and that
//! to remote write 1.0 no other, as in Prometheus.
//!
//! Overload is 503, not 429: senders retry 503 always, 429 only when told to. Every answer to a
//! remote write 2.0 request says in three headers how much was written. For labels that are not
//! valid Prometheus' receiver answers remote write 1.0 with 204; the specification asks for 400,
//! and the sender's operator learns of it, so we follow the specification.

use std::fmt;

use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::ingest::{IngestError, WriteOutcome};
use crate::model::limits::WRITE_BODY_BYTES_MAX;

use super::negotiation::Version;
use super::snappy::SnappyError;
use super::wire::WireError;

const SAMPLES_WRITTEN: HeaderName =
    HeaderName::from_static("x-prometheus-remote-write-samples-written");
const HISTOGRAMS_WRITTEN: HeaderName =
    HeaderName::from_static("x-prometheus-remote-write-histograms-written");
const EXEMPLARS_WRITTEN: HeaderName =
    HeaderName::from_static("x-prometheus-remote-write-exemplars-written");

/// After how many seconds an overloaded server asks to be tried again; senders double it by
/// themselves.
const RETRY_AFTER_SECONDS: u16 = 1;

/// Why a request was not written, or not wholly.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum WriteError {
    /// The headers announce something we do not take; says what we do take.
    UnsupportedMedia(String),
    /// The body is larger than [`WRITE_BODY_BYTES_MAX`].
    BodyTooLarge,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The body ended early or could not be read; says why.
    Body(String),
    /// The body is not a snappy block, or too large a one.
    Snappy(SnappyError),
    /// The decoded body is not the message it was announced as.
    Wire(WireError),
    /// The store did not take it.
    Ingest(IngestError),
    /// More requests are being worked on than we take at a time.
    Overloaded,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WriteError::UnsupportedMedia(why) => f.write_str(why),
            WriteError::BodyTooLarge => {
                write!(f, "request body has more than {WRITE_BODY_BYTES_MAX} bytes")
            }
            WriteError::BodyTimeout => f.write_str("request body did not arrive in time"),
            WriteError::Body(why) => write!(f, "request body could not be read: {why}"),
            WriteError::Snappy(error) => error.fmt(f),
            WriteError::Wire(error) => error.fmt(f),
            WriteError::Ingest(error) => error.fmt(f),
            WriteError::Overloaded => f.write_str("too many requests at a time, try again later"),
        }
    }
}

impl std::error::Error for WriteError {}

impl From<SnappyError> for WriteError {
    fn from(error: SnappyError) -> WriteError {
        WriteError::Snappy(error)
    }
}

impl From<WireError> for WriteError {
    fn from(error: WireError) -> WriteError {
        WriteError::Wire(error)
    }
}

impl From<IngestError> for WriteError {
    fn from(error: IngestError) -> WriteError {
        WriteError::Ingest(error)
    }
}

/// The answer to a request. `version` is `None` when the headers did not name one.
pub fn respond(version: Option<Version>, result: &Result<WriteOutcome, WriteError>) -> Response {
    let mut response = match result {
        Ok(outcome) if is_complete(version, outcome) => StatusCode::NO_CONTENT.into_response(),
        Ok(outcome) => plain(StatusCode::BAD_REQUEST, &reasons(outcome)),
        Err(error) => plain(status(error), &sentence(error)),
    };
    let headers = response.headers_mut();
    if is_overload(result) {
        headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS.into());
    }
    if version == Some(Version::V2) {
        let nothing = WriteOutcome::default();
        insert_written(headers, result.as_ref().unwrap_or(&nothing));
    }
    response
}

fn is_complete(version: Option<Version>, outcome: &WriteOutcome) -> bool {
    let exemplars_count = version == Some(Version::V2);
    outcome.rejected == 0 && (outcome.exemplars_rejected == 0 || !exemplars_count)
}

fn status(error: &WriteError) -> StatusCode {
    match error {
        WriteError::UnsupportedMedia(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        WriteError::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        WriteError::Body(_)
        | WriteError::Snappy(_)
        | WriteError::Wire(_)
        | WriteError::Ingest(IngestError::Rejected(_)) => StatusCode::BAD_REQUEST,
        WriteError::Overloaded
        | WriteError::BodyTimeout
        | WriteError::Ingest(IngestError::Overloaded) => StatusCode::SERVICE_UNAVAILABLE,
        WriteError::Ingest(IngestError::Unavailable(_)) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn sentence(error: &WriteError) -> String {
    match error {
        WriteError::Ingest(IngestError::Rejected(outcome)) => reasons(outcome),
        other => other.to_string(),
    }
}

/// The reasons of an outcome, one a line, and how many were not spelled out.
fn reasons(outcome: &WriteOutcome) -> String {
    let mut text = outcome.reasons.join("\n");
    let rejected = outcome.rejected + outcome.exemplars_rejected;
    let unsaid = rejected.saturating_sub(outcome.reasons.len() as u64);
    if text.is_empty() {
        text = format!("{rejected} elements of the request are not acceptable");
    } else if unsaid > 0 {
        text.push_str(&format!("\nand {unsaid} more"));
    }
    text
}

fn is_overload(result: &Result<WriteOutcome, WriteError>) -> bool {
    result.as_ref().is_err_and(|error| status(error) == StatusCode::SERVICE_UNAVAILABLE)
}

/// A plain text answer, ended by a line feed as Go's servers do.
pub(crate) fn plain(status: StatusCode, text: &str) -> Response {
    const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
    (status, [(CONTENT_TYPE, TEXT)], format!("{text}\n")).into_response()
}

fn insert_written(headers: &mut HeaderMap, outcome: &WriteOutcome) {
    headers.insert(SAMPLES_WRITTEN, outcome.samples.into());
    headers.insert(HISTOGRAMS_WRITTEN, outcome.histograms.into());
    headers.insert(EXEMPLARS_WRITTEN, outcome.exemplars.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(rejected: u64, invalid_series: u64) -> WriteOutcome {
        let reasons = (0..rejected.min(2)).map(|i| format!("reason {i}")).collect();
        WriteOutcome {
            samples: 7,
            histograms: 2,
            exemplars: 1,
            rejected,
            exemplars_rejected: 0,
            invalid_series,
            reasons,
        }
    }

    async fn text(response: Response) -> String {
        let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.expect("a body");
        String::from_utf8(body.to_vec()).expect("UTF-8")
    }

    fn written(response: &Response) -> Option<[&str; 3]> {
        let header = |name: HeaderName| response.headers().get(name)?.to_str().ok();
        Some([header(SAMPLES_WRITTEN)?, header(HISTOGRAMS_WRITTEN)?, header(EXEMPLARS_WRITTEN)?])
    }

    #[tokio::test]
    async fn success_is_204_and_only_v2_counts() {
        let v1 = respond(Some(Version::V1), &Ok(outcome(0, 0)));
        assert_eq!((v1.status(), written(&v1)), (StatusCode::NO_CONTENT, None));
        assert_eq!(text(v1).await, "");
        let v2 = respond(Some(Version::V2), &Ok(outcome(0, 0)));
        assert_eq!((v2.status(), written(&v2)), (StatusCode::NO_CONTENT, Some(["7", "2", "1"])));
    }

    #[tokio::test]
    async fn partial_writes_are_400_with_reasons_and_counts() {
        let v2 = respond(Some(Version::V2), &Ok(outcome(5, 1)));
        assert_eq!((v2.status(), written(&v2)), (StatusCode::BAD_REQUEST, Some(["7", "2", "1"])));
        assert_eq!(text(v2).await, "reason 0\nreason 1\nand 3 more\n");
        let v1 = respond(Some(Version::V1), &Ok(outcome(1, 1)));
        assert_eq!((v1.status(), written(&v1)), (StatusCode::BAD_REQUEST, None));
    }

    #[test]
    fn a_bad_exemplar_counts_in_v2_only() {
        let outcome = || Ok(WriteOutcome { exemplars_rejected: 1, ..outcome(0, 0) });
        assert_eq!(respond(Some(Version::V1), &outcome()).status(), StatusCode::NO_CONTENT);
        assert_eq!(respond(Some(Version::V2), &outcome()).status(), StatusCode::BAD_REQUEST);
    }

    #[test]
    fn every_failure_has_its_status() {
        let rejected = IngestError::Rejected(outcome(1, 0));
        let cases = [
            (WriteError::UnsupportedMedia("no".into()), 415),
            (WriteError::BodyTooLarge, 413),
            (WriteError::Body("cut".into()), 400),
            (WriteError::Snappy(SnappyError::TooLarge(2, 1)), 400),
            (WriteError::Wire(WireError::Truncated), 400),
            (WriteError::Ingest(rejected), 400),
            (WriteError::Ingest(IngestError::Overloaded), 503),
            (WriteError::Overloaded, 503),
            (WriteError::BodyTimeout, 503),
            (WriteError::Ingest(IngestError::Unavailable("disk is full".into())), 500),
        ];
        for (error, expected) in cases {
            let result = Err(error);
            let response = respond(Some(Version::V2), &result);
            assert_eq!(response.status().as_u16(), expected, "{result:?}");
            assert_eq!(written(&response), Some(["0", "0", "0"]), "{result:?}");
            assert_eq!(response.headers().contains_key(RETRY_AFTER), expected == 503);
            assert_eq!(written(&respond(Some(Version::V1), &result)), None);
        }
    }
}
