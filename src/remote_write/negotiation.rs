//! Which protocol version a request speaks, from its headers.
//!
//! In: `Content-Type` and `Content-Encoding`. Out: a [`Version`], or the sentence for a 415.
//! Never here: the body.
//!
//! The rules are those of the remote-write specification and of Prometheus' receiver, which takes
//! absent headers as remote write 1.0 in snappy. White space around parameters is allowed
//! (RFC 9110, 5.6.6), where Prometheus would take the message for remote write 1.0 and lose it.

use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};

/// A version of the remote-write protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Remote write 1.0, message `prometheus.WriteRequest`.
    V1,
    /// Remote write 2.0, message `io.prometheus.write.v2.Request`.
    V2,
}

impl Version {
    /// Full name of the version's message, as in the `proto` parameter of `Content-Type`.
    pub const fn message(self) -> &'static str {
        match self {
            Version::V1 => "prometheus.WriteRequest",
            Version::V2 => "io.prometheus.write.v2.Request",
        }
    }
}

const MEDIA_TYPE: &str = "application/x-protobuf";

/// The version a request's `Content-Type` announces.
///
/// # Errors
/// The sentence to answer with 415 (Unsupported Media Type).
pub fn version(headers: &HeaderMap) -> Result<Version, String> {
    let Some(value) = headers.get(CONTENT_TYPE) else { return Ok(Version::V1) };
    let value = value.to_str().map_err(|_| "Content-Type is not plain text".to_owned())?.trim();
    if value.is_empty() {
        return Ok(Version::V1);
    }
    let mut parts = value.split(';').map(str::trim);
    if !parts.next().is_some_and(|media| media.eq_ignore_ascii_case(MEDIA_TYPE)) {
        return Err(format!("Content-Type {value:?} is not accepted, send {MEDIA_TYPE}"));
    }
    for part in parts {
        let Some((name, parameter)) = part.split_once('=').filter(|(_, v)| !v.contains('=')) else {
            return Err(format!("parameter {part:?} of Content-Type is not of the form key=value"));
        };
        if name.eq_ignore_ascii_case("proto") {
            return of_message(parameter);
        }
    }
    Ok(Version::V1)
}

fn of_message(name: &str) -> Result<Version, String> {
    let name = name.trim_matches('"');
    [Version::V1, Version::V2].into_iter().find(|version| version.message() == name).ok_or_else(
        || {
            let (v1, v2) = (Version::V1.message(), Version::V2.message());
            format!("protobuf message {name:?} is not accepted, send {v1} or {v2}")
        },
    )
}

/// Checks that the body is said to be snappy, in its block format.
///
/// # Errors
/// The sentence to answer with 415 (Unsupported Media Type).
pub fn check_encoding(headers: &HeaderMap) -> Result<(), String> {
    let Some(value) = headers.get(CONTENT_ENCODING) else { return Ok(()) };
    let value = value.as_bytes().trim_ascii();
    if value.is_empty() || value.eq_ignore_ascii_case(b"snappy") {
        return Ok(());
    }
    let shown = String::from_utf8_lossy(value);
    Err(format!("Content-Encoding {shown:?} is not accepted, send snappy (block format)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn version_of(content_type: &str) -> Result<Version, String> {
        let value = HeaderValue::from_str(content_type).expect("header value");
        version(&HeaderMap::from_iter([(CONTENT_TYPE, value)]))
    }

    #[test]
    fn content_types_name_the_version() {
        assert_eq!(version(&HeaderMap::new()), Ok(Version::V1));
        for (content_type, expected) in [
            ("", Version::V1),
            ("application/x-protobuf", Version::V1),
            ("application/x-protobuf;charset=utf-8", Version::V1),
            ("application/x-protobuf;proto=prometheus.WriteRequest", Version::V1),
            ("application/x-protobuf;proto=io.prometheus.write.v2.Request", Version::V2),
            ("application/x-protobuf; proto=io.prometheus.write.v2.Request", Version::V2),
            ("Application/X-Protobuf;proto=\"io.prometheus.write.v2.Request\"", Version::V2),
        ] {
            assert_eq!(version_of(content_type), Ok(expected), "{content_type}");
        }
    }

    #[test]
    fn other_content_types_are_refused() {
        for content_type in [
            "application/json",
            "text/plain",
            "application/x-protobuf;proto",
            "application/x-protobuf;proto=a=b",
            "application/x-protobuf;proto=io.prometheus.write.v3.Request",
        ] {
            assert!(version_of(content_type).is_err(), "{content_type}");
        }
    }

    #[test]
    fn only_snappy_is_accepted() {
        let check = |encoding: &'static str| {
            let value = HeaderValue::from_static(encoding);
            check_encoding(&HeaderMap::from_iter([(CONTENT_ENCODING, value)]))
        };
        assert_eq!(check_encoding(&HeaderMap::new()), Ok(()));
        assert_eq!(check("snappy"), Ok(()));
        assert_eq!(check("Snappy"), Ok(()));
        for other in ["gzip", "zstd", "identity"] {
            assert!(check(other).expect_err("refused").contains(other));
        }
    }
}
