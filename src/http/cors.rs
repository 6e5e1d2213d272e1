//! Cross-origin calls from browsers: the headers Prometheus sends with API answers, and preflights.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use regex::Regex;

use crate::model::pattern;

/// Largest compiled size of the expression in bytes.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// Which pages may read API answers.
#[derive(Clone, Debug)]
pub struct CorsOrigin(Option<Arc<Regex>>);

impl CorsOrigin {
    /// Every page; the default, as in Prometheus.
    pub fn any() -> CorsOrigin {
        CorsOrigin(None)
    }

    /// Pages whose origin matches `pattern` as a whole; `.*` means all.
    ///
    /// # Errors
    /// The pattern is not a regular expression.
    pub fn matching(pattern: &str) -> Result<CorsOrigin, regex::Error> {
        if pattern == ".*" {
            return Ok(CorsOrigin::any());
        }
        Ok(CorsOrigin(Some(Arc::new(pattern::anchored(pattern, REGEX_BYTES_MAX)?))))
    }

    fn allowed(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        let Some(pattern) = &self.0 else { return Some(HeaderValue::from_static("*")) };
        let text = origin.to_str().ok()?;
        pattern.is_match(text).then(|| origin.clone())
    }
}

const HEADERS: [(HeaderName, &str); 3] = [
    (header::ACCESS_CONTROL_ALLOW_HEADERS, "Accept, Authorization, Content-Type, Origin"),
    (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE, OPTIONS"),
    (header::ACCESS_CONTROL_EXPOSE_HEADERS, "Date"),
];

/// Adds the headers to every answer under `/api/v1/` and `/api/v2/`, and answers `OPTIONS` there.
pub async fn layer(State(allowed): State<CorsOrigin>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !path.starts_with("/api/v1/") && !path.starts_with("/api/v2/") {
        return next.run(request).await;
    }
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut response = if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    add_headers(response.headers_mut(), &allowed, origin.as_ref());
    response
}

fn add_headers(headers: &mut HeaderMap, allowed: &CorsOrigin, origin: Option<&HeaderValue>) {
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = origin else { return };
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Some(allowed) = allowed.allowed(origin) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_match_as_a_whole() {
        let origin = HeaderValue::from_static("https://a.example");
        let some = CorsOrigin::matching("https://.\\.example").expect("valid");
        assert_eq!(some.allowed(&origin), Some(origin.clone()));
        assert_eq!(some.allowed(&HeaderValue::from_static("https://a.example.evil")), None);
        let any = CorsOrigin::matching(".*").expect("valid");
        assert_eq!(any.allowed(&origin), Some(HeaderValue::from_static("*")));
    }
}
