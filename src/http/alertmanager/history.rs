//! `/api/v1/alerts/history`: what happened to alerts, and who was told.

use axum::extract::State;
use serde::Deserialize;

use super::super::answer::Answer;
use super::super::error::{ApiError, ErrorKind};
use super::super::json::JsonWriter;
use super::super::params::Params;
use super::AlertmanagerState;
use super::filter::matchers;
use crate::model::Timestamp;
use crate::notify::event::{Event, EventKind};
use crate::notify::service::{HISTORY_LINES_MAX, HistoryPage, HistoryQuery, Place};

/// Lines of one page when the request names no limit.
const LIMIT: usize = 1_000;

/// A page of the history, the newest line first.
pub(super) async fn history(
    State(state): State<AlertmanagerState>,
    params: Params,
) -> Result<Answer, ApiError> {
    let query = read(&params, state.clock.now())?;
    let notifier = state.notifier;
    let page = state.pool.run(move || notifier.history(&query)).await?;
    let internal =
        |error: crate::storage::StorageError| ApiError::new(ErrorKind::Internal, error.to_string());
    Ok(answer(&page.map_err(internal)?))
}

fn read(params: &Params, now: Timestamp) -> Result<HistoryQuery, ApiError> {
    let fingerprint = match params.value("fingerprint") {
        "" => None,
        text => Some(text.parse().map_err(|why| ApiError::parameter("fingerprint", why))?),
    };
    let receiver = Some(params.value("receiver").to_owned()).filter(|name| !name.is_empty());
    let limit = params.limit()?.unwrap_or(LIMIT);
    if limit > HISTORY_LINES_MAX {
        let why = format!("must not be more than {HISTORY_LINES_MAX}");
        return Err(ApiError::parameter("limit", why));
    }
    Ok(HistoryQuery {
        from: params.time_or("start", Timestamp(0))?.0,
        until: params.time_or("end", now)?.0,
        matchers: matchers(params, "filter").map_err(|why| ApiError::parameter("filter", why))?,
        receiver,
        kinds: params.all("kind").map(kind).collect::<Result<_, _>>()?,
        fingerprint,
        limit,
        before: place(params.value("next_token"))?,
    })
}

fn kind(text: &str) -> Result<EventKind, ApiError> {
    let text: serde::de::value::StrDeserializer<'_, serde::de::value::Error> =
        serde::de::IntoDeserializer::into_deserializer(text);
    EventKind::deserialize(text).map_err(|why| ApiError::parameter("kind", why))
}

fn place(token: &str) -> Result<Option<Place>, ApiError> {
    if token.is_empty() {
        return Ok(None);
    }
    let read = || {
        let (at, seen) = token.split_once('-')?;
        Some(Place { at: at.parse().ok()?, seen: seen.parse().ok()? })
    };
    let place = read().ok_or_else(|| ApiError::parameter("next_token", "not one of ours"))?;
    Ok(Some(place))
}

fn answer(page: &HistoryPage) -> Answer {
    Answer::new(|out| {
        out.begin_object();
        out.key("events");
        out.begin_array();
        page.events.iter().for_each(|event| write(out, event));
        out.end_array();
        if let Some(place) = page.next {
            out.string_field("nextToken", &format!("{}-{}", place.at, place.seen));
        }
        out.end_object();
    })
}

fn write(out: &mut JsonWriter, event: &Event) {
    let kind = serde_json::to_value(event.kind).unwrap_or_default();
    out.begin_object();
    out.string_field("at", &Timestamp(event.at).to_string());
    out.string_field("kind", kind.as_str().unwrap_or_default());
    if !event.labels.is_empty() {
        out.key("labels");
        out.begin_object();
        event.labels.iter().for_each(|(name, value)| out.string_field(name, value));
        out.end_object();
    }
    if let Some(fingerprint) = event.fingerprint {
        out.string_field("fingerprint", &fingerprint.to_string());
    }
    for (key, text) in [
        ("receiver", &event.receiver),
        ("integration", &event.integration),
        ("groupKey", &event.group_key),
        ("reason", &event.reason),
        ("suppressedBy", &event.suppressed_by),
        ("note", &event.note),
    ] {
        if !text.is_empty() {
            out.string_field(key, text);
        }
    }
    if !event.by.is_empty() {
        out.key("by");
        out.strings(event.by.iter().map(|name| &**name));
    }
    let numbers = [
        ("firing", event.firing.map(|n| n as u64)),
        ("resolved", event.resolved.map(|n| n as u64)),
        ("attempt", event.attempt.map(u64::from)),
    ];
    for (key, number) in numbers {
        if let Some(number) = number {
            out.key(key);
            out.unsigned(number);
        }
    }
    if !event.alerts.is_empty() {
        let alerts: Vec<String> = event.alerts.iter().map(ToString::to_string).collect();
        out.key("alerts");
        out.strings(alerts.iter().map(String::as_str));
    }
    if let Some(at) = event.retry_at {
        out.string_field("retryAt", &Timestamp(at).to_string());
    }
    write_silence(out, event);
    out.end_object();
}

fn write_silence(out: &mut JsonWriter, event: &Event) {
    let Some(silence) = &event.silence else { return };
    out.key("silence");
    out.begin_object();
    out.string_field("id", &silence.id);
    out.key("matchers");
    out.strings(silence.matchers.iter().map(String::as_str));
    out.string_field("startsAt", &Timestamp(silence.starts_at).to_string());
    out.string_field("endsAt", &Timestamp(silence.ends_at).to_string());
    out.string_field("createdBy", &silence.created_by);
    out.string_field("comment", &silence.comment);
    out.end_object();
}
