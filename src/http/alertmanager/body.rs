//! Bodies of requests: alerts and silences as they are posted.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::answer::Refusal;
use crate::model::labels::Quoted;
use crate::model::{Alert, Labels, Matcher, Timestamp, pattern};
use crate::notify::machine::Incoming;
use crate::notify::matcher::matcher_of;
use crate::notify::silence::SilenceDraft;

/// Largest compiled size of a matcher's expression in bytes.
const REGEX_BYTES_MAX: usize = 10 << 20;
/// Go's zero time, which means that there is none.
const ZERO_TIME: Timestamp = Timestamp(-62_135_596_800_000);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PostedAlert {
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    starts_at: Option<String>,
    ends_at: Option<String>,
    #[serde(rename = "generatorURL")]
    generator_url: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PostedSilence {
    id: Option<String>,
    matchers: Option<Vec<PostedMatcher>>,
    starts_at: Option<String>,
    ends_at: Option<String>,
    created_by: Option<String>,
    comment: Option<String>,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostedMatcher {
    name: Option<String>,
    value: Option<String>,
    is_regex: Option<bool>,
    is_equal: Option<bool>,
}

/// Reads a JSON body; `what` names it in errors.
pub(super) fn read<T: DeserializeOwned>(
    what: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<T, Refusal> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.unwrap_or("application/json").split(';').next().unwrap_or("").trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        let why = format!(
            "unsupported media type {}, only [application/json] are allowed",
            Quoted(essence)
        );
        return Err(Refusal::Coded(StatusCode::UNSUPPORTED_MEDIA_TYPE, 415, why));
    }
    serde_json::from_slice(body).map_err(|error| {
        let why = format!("parsing {what} body from \"\" failed, because {error}");
        Refusal::Coded(StatusCode::BAD_REQUEST, 400, why)
    })
}

/// The alerts that can be taken, and a sentence about each that cannot. Nothing is taken when the
/// body is not what the API describes.
pub(super) fn alerts(
    posted: Vec<PostedAlert>,
    resolve_timeout_ms: i64,
    now: Timestamp,
) -> Result<(Vec<Incoming>, Vec<String>), Refusal> {
    let (mut good, mut bad) = (Vec::with_capacity(posted.len()), Vec::new());
    for (at, alert) in posted.into_iter().enumerate() {
        let Some(labels) = alert.labels else {
            return Err(Refusal::required(&format!("{at}.labels")));
        };
        let generator_url = alert.generator_url.unwrap_or_default();
        if !is_uri(&generator_url) {
            let field = format!("{at}.generatorURL");
            return Err(Refusal::wrong_type(&field, "body", "uri", &generator_url));
        }
        let starts_at = time(alert.starts_at.as_deref(), "alerts")?;
        let ends_at = time(alert.ends_at.as_deref(), "alerts")?;
        let starts = starts_at.or(ends_at).unwrap_or(now);
        let ends = ends_at.unwrap_or(now.saturating_add(resolve_timeout_ms));
        if ends < starts {
            bad.push("start time must be before end time".to_owned());
            continue;
        }
        let pairs = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let labels = match Labels::from_pairs(pairs) {
            Ok(labels) if labels.is_empty() => {
                bad.push("at least one label pair required".to_owned());
                continue;
            }
            Ok(labels) => labels,
            Err(error) => {
                bad.push(format!("invalid label set: {error}"));
                continue;
            }
        };
        let alert = Alert {
            labels,
            annotations: alert.annotations.unwrap_or_default().into_iter().collect(),
            starts_at: starts,
            ends_at: ends,
            generator_url: generator_url.into(),
        };
        good.push(Incoming { alert, timeout: ends_at.is_none(), is_repeated: false });
    }
    Ok((good, bad))
}

/// The silence that is to be set.
pub(super) fn silence(posted: PostedSilence, now: Timestamp) -> Result<SilenceDraft, Refusal> {
    // In the order in which Alertmanager misses them.
    let comment = posted.comment.ok_or_else(|| Refusal::required("comment"))?;
    let created_by = posted.created_by.ok_or_else(|| Refusal::required("createdBy"))?;
    let ends_at = time(posted.ends_at.as_deref(), "silence")?;
    let ends_at = ends_at.ok_or_else(|| Refusal::required("endsAt"))?;
    let matchers = posted.matchers.ok_or_else(|| Refusal::required("matchers"))?;
    if matchers.is_empty() {
        let why = "matchers in body should have at least 1 items".to_owned();
        return Err(Refusal::Coded(StatusCode::UNPROCESSABLE_ENTITY, 612, why));
    }
    let matchers = matchers.into_iter().enumerate();
    let matchers: Vec<Matcher> =
        matchers.map(|(at, posted)| matcher(at, posted)).collect::<Result<_, _>>()?;
    let starts_at = time(posted.starts_at.as_deref(), "silence")?;
    let starts_at = starts_at.ok_or_else(|| Refusal::required("startsAt"))?;
    if starts_at >= ends_at {
        return Err(Refusal::bad("Failed to create silence: start time must be before end time"));
    }
    if ends_at < now {
        return Err(Refusal::bad("Failed to create silence: end time can't be in the past"));
    }
    Ok(SilenceDraft {
        id: posted.id.filter(|id| !id.is_empty()),
        matchers,
        starts_at,
        ends_at,
        created_by,
        comment,
        annotations: posted.annotations.unwrap_or_default(),
    })
}

fn matcher(at: usize, posted: PostedMatcher) -> Result<Matcher, Refusal> {
    let required = |field: &str| Refusal::required(&format!("matchers.{at}.{field}"));
    let is_regex = posted.is_regex.ok_or_else(|| required("isRegex"))?;
    let name = posted.name.ok_or_else(|| required("name"))?;
    let value = posted.value.ok_or_else(|| required("value"))?;
    let refused = |error: &regex::Error| {
        let (value, why) = (Quoted(&value), pattern::reason(error));
        Refusal::bad(format!(
            "invalid silence: invalid label matcher {at} in set 0: invalid regular expression \
             {value}: {why}"
        ))
    };
    if is_regex {
        // As it stands: what is put around it must not close what it leaves open.
        pattern::searching(&value, REGEX_BYTES_MAX).map_err(|error| refused(&error))?;
    }
    matcher_of(&name, &value, is_regex, posted.is_equal.unwrap_or(true))
        .map_err(|error| Refusal::bad(format!("invalid silence: {error}")))
}

/// A time; none when it is absent or Go's zero time.
fn time(text: Option<&str>, what: &str) -> Result<Option<Timestamp>, Refusal> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let zoned = text.parse::<jiff::Timestamp>();
    let local = || {
        let local: jiff::civil::DateTime = text.parse().ok()?;
        Some(local.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    };
    match zoned.ok().or_else(local) {
        Some(at) => Ok(Some(Timestamp(at.as_millisecond())).filter(|at| *at != ZERO_TIME)),
        None => {
            let why = format!(
                "parsing {what} body from \"\" failed, because {} is no time",
                Quoted(text)
            );
            Err(Refusal::Coded(StatusCode::BAD_REQUEST, 400, why))
        }
    }
}

fn is_uri(text: &str) -> bool {
    text.is_empty() || text.starts_with('/') || url::Url::parse(text).is_ok()
}
