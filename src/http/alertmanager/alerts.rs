//! `/api/v2/alerts` and `/api/v2/alerts/groups`.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;

use super::super::json::JsonWriter;
use super::super::params::Params;
use super::answer::{self, Refusal};
use super::filter::Filter;
use super::{AlertmanagerState, body};
use crate::notify::machine::query::{AlertView, GroupView};

/// The alerts that fire.
pub(super) async fn alerts(
    State(state): State<AlertmanagerState>,
    params: Params,
) -> Result<Response, Refusal> {
    let filter = Filter::read(&params)?;
    let notifier = state.notifier;
    let work = move || {
        let alerts = notifier.ask(|machine, now| {
            machine.alerts(
                now,
                &|receiver| filter.wants_receiver(receiver),
                |alert| filter.wants(alert),
                |labels| filter.wants_labels(labels),
            )
        });
        answer::document(|out| {
            out.begin_array();
            alerts.iter().for_each(|alert| write_alert(out, alert));
            out.end_array();
        })
    };
    Ok(state.pool.run(work).await?)
}

/// The groups with alerts that fire.
pub(super) async fn groups(
    State(state): State<AlertmanagerState>,
    params: Params,
) -> Result<Response, Refusal> {
    let filter = Filter::read(&params)?;
    let notifier = state.notifier;
    let work = move || {
        let groups = notifier.ask(|machine, now| {
            machine.groups(
                now,
                &|receiver| filter.wants_receiver(receiver),
                |alert| filter.wants(alert) && (filter.muted || alert.muted_by.is_empty()),
                |labels| filter.wants_labels(labels),
            )
        });
        answer::document(|out| {
            out.begin_array();
            groups.iter().for_each(|group| write_group(out, group));
            out.end_array();
        })
    };
    Ok(state.pool.run(work).await?)
}

/// Takes alerts in. Those that are good are taken even if others are not.
pub(super) async fn post(
    State(state): State<AlertmanagerState>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response, Refusal> {
    let notifier = state.notifier.clone();
    let now = state.clock.now();
    let work = move || {
        let posted = body::read("alerts", &headers, &bytes)?;
        let resolve_timeout = notifier.ask(|machine, _| machine.config().resolve_timeout);
        let resolve_timeout_ms = i64::try_from(resolve_timeout.as_millis()).unwrap_or(i64::MAX);
        let (good, mut bad) = body::alerts(posted, resolve_timeout_ms, now)?;
        let (refused, pending) = notifier.receive(good);
        bad.extend(refused.iter().map(|(_, why)| why.to_string()));
        Ok::<_, Refusal>((bad, pending))
    };
    let (bad, pending) = state.pool.run(work).await??;
    let failed = |error: crate::notify::service::NotStored| {
        Refusal::Text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    };
    pending.stored().await.map_err(failed)?;
    match bad.is_empty() {
        true => Ok(answer::done()),
        false => Err(Refusal::bad(bad.join("\n"))),
    }
}

fn write_group(out: &mut JsonWriter, group: &GroupView) {
    out.begin_object();
    out.key("alerts");
    out.begin_array();
    group.alerts.iter().for_each(|alert| write_alert(out, alert));
    out.end_array();
    answer::labels(out, "labels", &group.labels);
    out.key("receiver");
    write_name(out, &group.receiver);
    out.key("routeLabels");
    out.begin_object();
    group.route_labels.iter().for_each(|(name, value)| out.string_field(name, value));
    out.end_object();
    out.end_object();
}

fn write_alert(out: &mut JsonWriter, alert: &AlertView) {
    out.begin_object();
    answer::annotations(out, &alert.annotations);
    answer::time(out, "endsAt", alert.ends_at);
    out.string_field("fingerprint", &alert.fingerprint.to_string());
    out.key("receivers");
    out.begin_array();
    alert.receivers.iter().for_each(|name| write_name(out, name));
    out.end_array();
    answer::time(out, "startsAt", alert.starts_at);
    write_status(out, alert);
    answer::time(out, "updatedAt", alert.updated_at);
    if !alert.generator_url.is_empty() {
        out.string_field("generatorURL", &alert.generator_url);
    }
    answer::labels(out, "labels", &alert.labels);
    out.end_object();
}

fn write_status(out: &mut JsonWriter, alert: &AlertView) {
    let quiet =
        !alert.silenced_by.is_empty() || alert.inhibited_by.is_some() || !alert.muted_by.is_empty();
    let inhibitor = alert.inhibited_by.map(|one| one.to_string());
    out.key("status");
    out.begin_object();
    out.key("inhibitedBy");
    out.strings(inhibitor.iter().map(String::as_str));
    out.key("mutedBy");
    out.strings(alert.muted_by.iter().map(|name| &**name));
    out.key("silencedBy");
    out.strings(alert.silenced_by.iter().map(|name| &**name));
    out.string_field("state", if quiet { "suppressed" } else { "active" });
    out.end_object();
}

fn write_name(out: &mut JsonWriter, name: &str) {
    out.begin_object();
    out.string_field("name", name);
    out.end_object();
}
