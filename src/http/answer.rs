//! Success answers: the envelope around the data, as a body made of chunks.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use crate::promql::Annotations;

use super::json::JsonWriter;

/// Most warnings, and most infos, that one answer spells out (as in Prometheus).
pub const ANNOTATIONS_MAX: usize = 10;

/// The warning of an answer that was cut at the request's `limit`.
pub const TRUNCATED: &str = "results truncated due to limit";

/// A success answer.
#[derive(Debug)]
pub enum Answer {
    /// Status 200 with an enveloped document.
    Data(Vec<Bytes>),
    /// Status 204: there is nothing to say.
    Empty,
}

impl Answer {
    /// The envelope around what `data` writes, which must be exactly one JSON value.
    pub fn new(data: impl FnOnce(&mut JsonWriter)) -> Answer {
        Answer::annotated(&Annotations::default(), data)
    }

    /// The envelope with warnings and infos.
    pub fn annotated(notes: &Annotations, data: impl FnOnce(&mut JsonWriter)) -> Answer {
        let mut out = JsonWriter::new();
        out.begin_object();
        out.string_field("status", "success");
        out.key("data");
        data(&mut out);
        write_notes(&mut out, "warnings", "warning", &notes.warnings);
        write_notes(&mut out, "infos", "info", &notes.infos);
        out.end_object();
        Answer::Data(out.finish())
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Answer::Data(chunks) => json_response(StatusCode::OK, chunks),
            Answer::Empty => StatusCode::NO_CONTENT.into_response(),
        }
    }
}

fn write_notes(out: &mut JsonWriter, key: &str, what: &str, notes: &[String]) {
    if notes.is_empty() {
        return;
    }
    out.key(key);
    out.begin_array();
    notes.iter().take(ANNOTATIONS_MAX).for_each(|note| out.string(note));
    if let Some(more) = notes.len().checked_sub(ANNOTATIONS_MAX).filter(|more| *more > 0) {
        out.string(&format!("{more} more {what} annotations omitted"));
    }
    out.end_array();
}

/// A response with a JSON document as body.
pub fn json_response(status: StatusCode, chunks: Vec<Bytes>) -> Response {
    chunked_response(status, "application/json", chunks)
}

/// A response whose body is `chunks`, with its length known.
pub fn chunked_response(
    status: StatusCode,
    content_type: &'static str,
    chunks: Vec<Bytes>,
) -> Response {
    let body = Body::new(UnsyncBoxBody::new(Chunks::new(chunks)));
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A body that hands out its chunks one by one.
struct Chunks {
    chunks: VecDeque<Bytes>,
    bytes_left: u64,
}

impl Chunks {
    fn new(chunks: Vec<Bytes>) -> Chunks {
        let bytes_left = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        Chunks { chunks: chunks.into(), bytes_left }
    }
}

impl HttpBody for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.chunks.pop_front();
        self.bytes_left -= next.as_ref().map_or(0, |chunk| chunk.len() as u64);
        Poll::Ready(next.map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.chunks.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes_left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(answer: Answer) -> String {
        let Answer::Data(chunks) = answer else { panic!("no data") };
        String::from_utf8(chunks.concat()).expect("UTF-8")
    }

    #[test]
    fn the_envelope_names_only_what_is_there() {
        let plain = Answer::new(|out| out.strings(["a"]));
        assert_eq!(text(plain), r#"{"status":"success","data":["a"]}"#);
        let notes = Annotations { warnings: vec!["w".into()], infos: vec!["i".into()] };
        assert_eq!(
            text(Answer::annotated(&notes, |out| out.integer(1))),
            r#"{"status":"success","data":1,"warnings":["w"],"infos":["i"]}"#
        );
    }

    #[test]
    fn more_than_ten_notes_are_counted_not_shown() {
        let notes = Annotations { warnings: vec!["w".into(); 13], infos: Vec::new() };
        let text = text(Answer::annotated(&notes, |out| out.null()));
        assert_eq!(text.matches("\"w\"").count(), 10);
        assert!(text.contains("3 more warning annotations omitted"), "{text}");
    }
}
