//! Request parameters: the query string and an urlencoded form body, merged.
//!
//! In: a request. Out: texts by name, and typed times, durations and limits, with the error texts
//! of Prometheus. Unknown parameters are ignored.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, Method, header};
use url::form_urlencoded;

use crate::model::labels::Quoted;
use crate::model::limits::FORM_BODY_BYTES_MAX;
use crate::model::{Matcher, Timestamp};
use crate::promql::parse_metric_selector;

use super::error::{ApiError, ErrorKind};
use super::times;

/// Most parameters of one request: a dashboard variable with thousands of `match[]` is a mistake.
const PARAMS_MAX: usize = 10_000;

/// The parameters of a request. Those of the body come before those of the query string, so they
/// win where one value is asked for.
#[derive(Clone, Debug, Default)]
pub struct Params {
    pairs: Vec<(String, String)>,
    url_starts_at: usize,
}

impl Params {
    /// The parameters of a query string alone.
    pub fn from_query(query: &str) -> Result<Params, ApiError> {
        let mut params = Params::default();
        params.extend(query.as_bytes())?;
        Ok(params)
    }

    /// The first value of `name`; empty when absent.
    pub fn value(&self, name: &str) -> &str {
        let first = self.pairs.iter().find(|(n, _)| n == name);
        first.map_or("", |(_, value)| value.as_str())
    }

    /// The first value of `name` in the query string alone; empty when absent.
    pub fn url_value(&self, name: &str) -> &str {
        let url = &self.pairs[self.url_starts_at..];
        url.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str())
    }

    /// All values of `name`, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.pairs.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// A required time.
    ///
    /// # Errors
    /// Absent or not a time.
    pub fn required_time(&self, name: &str) -> Result<Timestamp, ApiError> {
        times::parse_time(self.value(name)).map_err(|why| ApiError::parameter(name, why))
    }

    /// A time, or `default` when absent.
    ///
    /// # Errors
    /// Not a time.
    pub fn time_or(&self, name: &str, default: Timestamp) -> Result<Timestamp, ApiError> {
        let text = self.value(name);
        if text.is_empty() {
            return Ok(default);
        }
        times::parse_time(text).map_err(|why| {
            ApiError::parameter(name, format_args!("invalid time value for '{name}': {why}"))
        })
    }

    /// A duration in nanoseconds; may be negative.
    ///
    /// # Errors
    /// Absent or not a duration.
    pub fn required_duration_ns(&self, name: &str) -> Result<i64, ApiError> {
        times::parse_duration_ns(self.value(name)).map_err(|why| ApiError::parameter(name, why))
    }

    /// A duration in nanoseconds, or `None` when absent.
    ///
    /// # Errors
    /// Not a duration.
    pub fn duration_ns(&self, name: &str) -> Result<Option<i64>, ApiError> {
        if self.value(name).is_empty() {
            return Ok(None);
        }
        self.required_duration_ns(name).map(Some)
    }

    /// `limit`; `None` when absent or 0, which both mean "all".
    ///
    /// # Errors
    /// Not a number, or negative.
    pub fn limit(&self) -> Result<Option<usize>, ApiError> {
        let text = self.value("limit");
        if text.is_empty() {
            return Ok(None);
        }
        let limit = parse_integer(text, "Atoi").map_err(|why| ApiError::parameter("limit", why))?;
        let limit = usize::try_from(limit)
            .map_err(|_| ApiError::parameter("limit", "limit must be non-negative"))?;
        Ok((limit > 0).then_some(limit))
    }

    /// The `match[]` selectors.
    ///
    /// # Errors
    /// One does not parse, or matches everything.
    pub fn matcher_sets(&self) -> Result<Vec<Vec<Matcher>>, ApiError> {
        let mut sets = Vec::new();
        for text in self.all("match[]") {
            let matchers = parse_metric_selector(text)
                .map_err(|error| ApiError::bad_data(error.to_string()))?;
            sets.push(matchers);
        }
        if sets.iter().any(|set| set.iter().all(|matcher| matcher.matches(""))) {
            return Err(ApiError::bad_data("match[] must contain at least one non-empty matcher"));
        }
        Ok(sets)
    }

    fn extend(&mut self, encoded: &[u8]) -> Result<(), ApiError> {
        for (name, value) in form_urlencoded::parse(encoded) {
            if self.pairs.len() == PARAMS_MAX {
                return Err(ApiError::bad_data(format!(
                    "request has more than {PARAMS_MAX} parameters"
                )));
            }
            self.pairs.push((name.into_owned(), value.into_owned()));
        }
        Ok(())
    }
}

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Params, ApiError> {
        let mut params = Params::default();
        let (parts, body) = request.into_parts();
        if parts.method != Method::GET && is_form(&parts.headers) {
            params.extend(&read_form(body).await?)?;
        }
        params.url_starts_at = params.pairs.len();
        params.extend(parts.uri.query().unwrap_or("").as_bytes())?;
        Ok(params)
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let essence = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next());
    essence.is_some_and(|e| e.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

async fn read_form(body: Body) -> Result<bytes::Bytes, ApiError> {
    use http_body_util::{BodyExt, LengthLimitError, Limited};
    match Limited::new(body, FORM_BODY_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::new(
            ErrorKind::TooLarge,
            format!("error parsing form values: body is larger than {FORM_BODY_BYTES_MAX} bytes"),
        )),
        Err(error) => Err(ApiError::bad_data(format!("error parsing form values: {error}"))),
    }
}

/// An integer with the error text users of Prometheus know; `function` is the name in it.
pub fn parse_integer(text: &str, function: &str) -> Result<i64, String> {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    text.parse::<i64>().map_err(|error| {
        let why = match error.kind() {
            PosOverflow | NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        format!("strconv.{function}: parsing {}: {why}", Quoted(text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn extracted(request: Request) -> Result<Params, ApiError> {
        Params::from_request(request, &()).await
    }

    fn post(uri: &str, content_type: &str, body: impl Into<Body>) -> Request {
        Request::post(uri)
            .header("content-type", content_type)
            .body(body.into())
            .expect("valid request")
    }

    #[tokio::test]
    async fn form_and_query_string_are_merged_and_the_form_wins() {
        let form = "application/x-www-form-urlencoded; charset=utf-8";
        let request = post("/q?query=url&stats=all&match[]=a", form, "query=a%2Bb+c&match%5B%5D=b");
        let params = extracted(request).await.expect("valid");
        assert_eq!(params.value("query"), "a+b c");
        assert_eq!(params.url_value("query"), "url");
        assert_eq!(params.value("stats"), "all");
        assert_eq!(params.all("match[]").collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(params.value("absent"), "");
    }

    #[tokio::test]
    async fn bodies_of_other_types_are_not_parameters() {
        let params = extracted(post("/q?a=1", "text/plain", "b=2")).await.expect("valid");
        assert_eq!((params.value("a"), params.value("b")), ("1", ""));
    }

    #[tokio::test]
    async fn a_form_past_the_limit_is_refused() {
        let body = vec![b'a'; FORM_BODY_BYTES_MAX + 1];
        let request = post("/q", "application/x-www-form-urlencoded", body);
        assert_eq!(extracted(request).await.expect_err("too large").kind, ErrorKind::TooLarge);
    }

    #[test]
    fn limits_have_the_known_error_texts() {
        let limit = |text: &str| Params::from_query(&format!("limit={text}"))?.limit();
        assert_eq!(limit("7"), Ok(Some(7)));
        assert_eq!(limit("0"), Ok(None));
        assert_eq!(limit(""), Ok(None));
        let message = |text: &str| limit(text).expect_err("invalid").message;
        assert_eq!(
            message("x"),
            r#"invalid parameter "limit": strconv.Atoi: parsing "x": invalid syntax"#
        );
        assert_eq!(message("-1"), r#"invalid parameter "limit": limit must be non-negative"#);
        assert!(message("99999999999999999999").ends_with("value out of range"));
    }

    #[test]
    fn times_name_the_parameter() {
        let params = Params::from_query("start=abc").expect("valid");
        assert_eq!(
            params.time_or("start", Timestamp(0)).expect_err("invalid").message,
            "invalid parameter \"start\": invalid time value for 'start': \
             cannot parse \"abc\" to a valid timestamp"
        );
        assert_eq!(
            params.required_time("end").expect_err("absent").message,
            "invalid parameter \"end\": cannot parse \"\" to a valid timestamp"
        );
        assert_eq!(params.time_or("end", Timestamp(5)), Ok(Timestamp(5)));
    }
}
