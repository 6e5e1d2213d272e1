//! `/api/v2/silences` and `/api/v2/silence/{id}`.

use std::cmp::Reverse;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;

use super::super::json::JsonWriter;
use super::super::params::Params;
use super::answer::{self, Refusal};
use super::filter::{matchers, switch};
use super::{AlertmanagerState, body};
use crate::model::{Matcher, Timestamp};
use crate::notify::service::NotStored;
use crate::notify::silence::{Silence, SilenceError, SilenceState, matcher_parts};

/// All silences, those that act first.
pub(super) async fn silences(
    State(state): State<AlertmanagerState>,
    params: Params,
) -> Result<Response, Refusal> {
    let filter = matchers(&params, "filter").map_err(Refusal::bad)?;
    let states = [
        (SilenceState::Active, switch(&params, "active")),
        (SilenceState::Pending, switch(&params, "pending")),
        (SilenceState::Expired, switch(&params, "expired")),
    ];
    let notifier = state.notifier;
    let work = move || {
        let (mut found, now) = notifier.ask(|machine, now| {
            let wanted = |silence: &&Silence| {
                states.contains(&(silence.state(now), true)) && has(silence, &filter)
            };
            let found: Vec<Silence> = machine.silences().iter().filter(wanted).cloned().collect();
            (found, now)
        });
        found.sort_by_key(|silence| order(silence, now));
        answer::document(|out| {
            out.begin_array();
            found.iter().for_each(|silence| write(out, silence, now));
            out.end_array();
        })
    };
    Ok(state.pool.run(work).await?)
}

/// A filter names matchers that the silence must have as they are.
fn has(silence: &Silence, filter: &[Matcher]) -> bool {
    filter.iter().all(|wanted| silence.matchers.contains(wanted))
}

/// Active ones by their end, pending ones by their start, expired ones the latest first.
fn order(silence: &Silence, now: Timestamp) -> (u8, i64, Reverse<i64>) {
    match silence.state(now) {
        SilenceState::Active => (1, silence.ends_at.0, Reverse(0)),
        SilenceState::Pending => (2, silence.starts_at.0, Reverse(0)),
        SilenceState::Expired => (3, 0, Reverse(silence.ends_at.0)),
    }
}

/// Creates or changes a silence.
pub(super) async fn post(
    State(state): State<AlertmanagerState>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response, Refusal> {
    let posted = body::read("silence", &headers, &bytes)?;
    let draft = body::silence(posted, state.clock.now())?;
    let (id, pending) = state.notifier.set_silence(draft).map_err(refusal)?;
    pending.stored().await.map_err(not_stored)?;
    Ok(answer::document(|out| {
        out.begin_object();
        out.string_field("silenceID", &id);
        out.end_object();
    }))
}

/// One silence.
pub(super) async fn silence(
    State(state): State<AlertmanagerState>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    check_id(&id)?;
    let found = state.notifier.ask(|machine, now| (machine.silence(&id).cloned(), now));
    match found {
        (Some(silence), now) => Ok(answer::document(|out| write(out, &silence, now))),
        (None, _) => Err(Refusal::Empty(StatusCode::NOT_FOUND)),
    }
}

/// Ends a silence.
pub(super) async fn delete(
    State(state): State<AlertmanagerState>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    check_id(&id)?;
    match state.notifier.expire_silence(&id) {
        Ok(pending) => {
            pending.stored().await.map_err(not_stored)?;
            Ok(answer::done())
        }
        Err(SilenceError::NotFound(_)) => Err(Refusal::Empty(StatusCode::NOT_FOUND)),
        Err(other) => Err(refusal(other)),
    }
}

fn refusal(error: SilenceError) -> Refusal {
    match error {
        SilenceError::NotFound(_) => Refusal::Text(StatusCode::NOT_FOUND, error.to_string()),
        _ => Refusal::bad(error.to_string()),
    }
}

fn not_stored(error: NotStored) -> Refusal {
    Refusal::Text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

fn check_id(id: &str) -> Result<(), Refusal> {
    let is_hex = |c: char| c.is_ascii_hexdigit();
    let parts: Vec<&str> = id.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    let is_uuid = lengths == [8, 4, 4, 4, 12] && parts.iter().all(|part| part.chars().all(is_hex));
    match is_uuid {
        true => Ok(()),
        false => Err(Refusal::wrong_type("silenceID", "path", "uuid", id)),
    }
}

fn write(out: &mut JsonWriter, silence: &Silence, now: Timestamp) {
    out.begin_object();
    out.string_field("id", &silence.id);
    out.key("status");
    out.begin_object();
    out.string_field("state", silence.state(now).as_str());
    out.end_object();
    answer::time(out, "updatedAt", silence.updated_at);
    if !silence.annotations.is_empty() {
        out.key("annotations");
        out.begin_object();
        silence.annotations.iter().for_each(|(name, text)| out.string_field(name, text));
        out.end_object();
    }
    out.string_field("comment", &silence.comment);
    out.string_field("createdBy", &silence.created_by);
    answer::time(out, "endsAt", silence.ends_at);
    out.key("matchers");
    out.begin_array();
    for (name, value, is_regex, is_equal) in silence.matchers.iter().map(matcher_parts) {
        out.begin_object();
        out.key("isEqual");
        out.boolean(is_equal);
        out.key("isRegex");
        out.boolean(is_regex);
        out.string_field("name", &name);
        out.string_field("value", &value);
        out.end_object();
    }
    out.end_array();
    answer::time(out, "startsAt", silence.starts_at);
    out.end_object();
}
