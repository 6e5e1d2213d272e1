//! `rules` and `alerts`: the rule groups with the state of their rules, and the active alerts.

use std::sync::Arc;

use axum::extract::State;

use super::super::answer::Answer;
use super::super::error::ApiError;
use super::super::json::JsonWriter;
use super::super::params::Params;
use super::super::state::HttpState;
use super::rule_filter::{Filter, Page};
use crate::model::{Labels, Timestamp};
use crate::rules::alert::{ActiveAlert, NEVER};
use crate::rules::number_text::exponent;
use crate::rules::rule::Rule;
use crate::rules::spec::Texts;
use crate::rules::{Group, RuleKind};

/// What Go shows of a time that has not come.
const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// Rule groups with their rules.
pub async fn rules(State(state): State<HttpState>, params: Params) -> Result<Answer, ApiError> {
    let filter = Filter::new(&params)?;
    let groups = state.rule_groups();
    let page = Page::new(&params, &groups)?;
    state.run(move |_| Ok(write_rules(&groups, &filter, &page))).await
}

fn write_rules(groups: &[Arc<Group>], filter: &Filter, page: &Page) -> Answer {
    let mut chosen = Vec::new();
    let mut next = None;
    for group in page.rest(groups).iter().filter(|group| filter.takes_group(group)) {
        let rules: Vec<&Rule> =
            group.rules().iter().filter(|rule| filter.takes_rule(rule)).collect();
        // A group without rules to show is left out, also one that never had any.
        if rules.is_empty() {
            continue;
        }
        if page.is_full(chosen.len()) {
            next = Some(Page::token(group));
            break;
        }
        chosen.push((group, rules));
    }
    Answer::new(|out| {
        out.begin_object();
        out.key("groups");
        out.begin_array();
        chosen.iter().for_each(|(group, rules)| write_group(out, group, rules, filter));
        out.end_array();
        if let Some(token) = next {
            out.string_field("groupNextToken", &token);
        }
        out.end_object();
    })
}

/// Active alerts.
pub async fn alerts(State(state): State<HttpState>) -> Result<Answer, ApiError> {
    let groups = state.rule_groups();
    let write = move |_: &HttpState| {
        Ok(Answer::new(|out| {
            out.begin_object();
            out.key("alerts");
            out.begin_array();
            let rules = groups.iter().flat_map(|group| group.rules());
            rules.for_each(|rule| write_alerts(out, rule));
            out.end_array();
            out.end_object();
        }))
    };
    state.run(write).await
}

fn write_group(out: &mut JsonWriter, group: &Group, rules: &[&Rule], filter: &Filter) {
    let (spec, progress) = (group.spec(), group.progress());
    out.begin_object();
    out.string_field("name", &spec.name);
    out.string_field("file", &spec.file);
    out.key("rules");
    out.begin_array();
    rules.iter().for_each(|rule| write_rule(out, rule, filter.with_alerts()));
    out.end_array();
    out.key("interval");
    out.float(seconds(group.interval_ms()));
    out.key("limit");
    out.unsigned(spec.limit as u64);
    out.key("evaluationTime");
    out.float(progress.took.as_secs_f64());
    out.string_field("lastEvaluation", &time_text(progress.evaluated_at));
    out.end_object();
}

fn write_rule(out: &mut JsonWriter, rule: &Rule, with_alerts: bool) {
    let (spec, outcome) = (rule.spec(), rule.outcome());
    out.begin_object();
    if let RuleKind::Alerting { hold_ms, keep_firing_ms, annotations } = &spec.kind {
        let state = if outcome.is_known { rule.alerts().state().as_str() } else { "unknown" };
        out.string_field("state", state);
        out.string_field("name", &spec.name);
        out.string_field("query", &spec.query);
        out.key("duration");
        out.float(seconds(*hold_ms));
        out.key("keepFiringFor");
        out.float(seconds(*keep_firing_ms));
        write_texts(out, "labels", &spec.labels);
        write_texts(out, "annotations", annotations);
        out.key("alerts");
        if with_alerts {
            out.begin_array();
            write_alerts(out, rule);
            out.end_array();
        } else {
            out.null(); // as Prometheus has it: left out is not none
        }
    } else {
        out.string_field("name", &spec.name);
        out.string_field("query", &spec.query);
        write_texts(out, "labels", &spec.labels);
    }
    out.string_field("health", outcome.health());
    if let Some(error) = &outcome.last_error {
        out.string_field("lastError", error);
    }
    out.key("evaluationTime");
    out.float(outcome.took.as_secs_f64());
    out.string_field("lastEvaluation", &time_text(outcome.evaluated_at));
    out.string_field("type", if spec.is_alerting() { "alerting" } else { "recording" });
    out.end_object();
}

fn write_texts(out: &mut JsonWriter, key: &str, texts: &Texts) {
    out.key(key);
    out.begin_object();
    texts.iter().for_each(|(name, text)| out.string_field(name, text.source()));
    out.end_object();
}

/// The active alerts of a rule, ascending by labels.
fn write_alerts(out: &mut JsonWriter, rule: &Rule) {
    let alerts = rule.alerts();
    let mut active: Vec<(&Labels, &ActiveAlert)> = alerts.active().collect();
    active.sort_by(|a, b| a.0.cmp(b.0));
    active.iter().for_each(|(labels, alert)| write_alert(out, labels, alert));
}

fn write_alert(out: &mut JsonWriter, labels: &Labels, alert: &ActiveAlert) {
    out.begin_object();
    out.key("labels");
    out.begin_object();
    labels.iter().for_each(|(name, value)| out.string_field(name, value));
    out.end_object();
    out.key("annotations");
    out.begin_object();
    alert.annotations.iter().for_each(|(name, text)| out.string_field(name, text));
    out.end_object();
    out.string_field("state", alert.state.as_str());
    out.string_field("activeAt", &Timestamp(alert.active_at).to_string());
    if alert.keep_firing_since != NEVER {
        out.string_field("keepFiringSince", &Timestamp(alert.keep_firing_since).to_string());
    }
    out.string_field("value", &exponent(alert.value));
    out.end_object();
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

fn time_text(time: Option<Timestamp>) -> String {
    time.map_or_else(|| ZERO_TIME.to_owned(), |time| time.to_string())
}
