//! From what a file holds to groups: every rule of Prometheus about them, all mistakes collected.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde_saphyr::{Location, Spanned};

use super::raw::{Pairs, RawFile, RawGroup, RawRule, Text};
use super::{ERRORS_MAX, FileError, ReadOptions};
use crate::model::labels::{METRIC_NAME, Quoted};
use crate::model::parse_duration_ms;
use crate::promql::ast::Expr;
use crate::promql::parse;
use crate::rules::spec::{GroupSpec, RuleKind, RuleSpec, Texts};
use crate::rules::templates::Text as RuleText;

/// Checks a file.
pub(super) fn check(
    file: &Arc<str>,
    raw: RawFile,
    options: ReadOptions<'_>,
) -> Result<Vec<GroupSpec>, Vec<FileError>> {
    let mut checker = Checker { file, options, errors: Vec::new() };
    checker.unknown(&raw.unknown, "the file");
    let mut names = HashSet::new();
    let mut groups = Vec::new();
    for raw in raw.groups.unwrap_or_default() {
        groups.extend(checker.group(raw, &mut names));
    }
    if checker.errors.is_empty() { Ok(groups) } else { Err(checker.errors) }
}

struct Checker<'a> {
    file: &'a Arc<str>,
    options: ReadOptions<'a>,
    errors: Vec<FileError>,
}

/// The rule that is looked at, as messages name it.
struct Place<'a> {
    group: &'a str,
    /// Position within the group, from 1.
    number: usize,
    name: &'a str,
}

impl Checker<'_> {
    fn fail(&mut self, at: Location, message: String) {
        if self.errors.len() < ERRORS_MAX {
            let place = (at.line() > 0).then(|| (at.line(), at.column()));
            self.errors.push(FileError { file: Arc::clone(self.file), place, message });
        }
    }

    fn fail_rule(&mut self, at: Location, place: &Place<'_>, message: impl std::fmt::Display) {
        let Place { group, number, name } = place;
        let (group, name) = (Quoted(group), Quoted(name));
        self.fail(at, format!("group {group}, rule {number}, {name}: {message}"));
    }

    fn unknown(&mut self, keys: &[Text], of: &str) {
        if self.options.ignore_unknown_fields {
            return;
        }
        for key in keys {
            let hint = hint(&key.value);
            self.fail(key.defined, format!("field {} not found in {of}{hint}", key.value));
        }
    }

    fn duration(&mut self, text: Option<&Text>) -> Option<i64> {
        let text = text?;
        match parse_duration_ms(&text.value) {
            Ok(ms) => Some(ms),
            Err(error) => {
                self.fail(text.defined, error.to_string());
                None
            }
        }
    }

    fn limit(&mut self, text: Option<&Text>) -> usize {
        let Some(text) = text else { return 0 };
        match text.value.parse::<i64>() {
            Ok(limit) => usize::try_from(limit).unwrap_or(0),
            Err(_) => {
                self.fail(text.defined, format!("limit {} is not a number", Quoted(&text.value)));
                0
            }
        }
    }

    fn group(&mut self, raw: Spanned<RawGroup>, names: &mut HashSet<String>) -> Option<GroupSpec> {
        let (at, raw) = (raw.defined, raw.value);
        self.unknown(&raw.unknown, "a rule group");
        let name = raw.name.map_or_else(String::new, |name| name.value);
        if name.is_empty() {
            self.fail(at, "Groupname must not be empty".to_owned());
        }
        if !names.insert(name.clone()) {
            let message = format!("groupname: {} is repeated in the same file", Quoted(&name));
            self.fail(at, message);
        }
        let labels = raw.labels.unwrap_or_default();
        for (label, _) in &labels.0 {
            if !is_label_name(&label.value) {
                self.fail(label.defined, format!("invalid label name: {}", label.value));
            }
        }
        let interval_ms = self.duration(raw.interval.as_ref()).filter(|ms| *ms > 0);
        let query_offset_ms = self.duration(raw.query_offset.as_ref());
        let limit = self.limit(raw.limit.as_ref());
        let rules = raw.rules.unwrap_or_default();
        let rules = rules.into_iter().enumerate();
        let rules: Vec<Option<RuleSpec>> =
            rules.map(|(index, rule)| self.rule(&name, index + 1, rule, &labels)).collect();
        Some(GroupSpec {
            name: name.into(),
            file: Arc::clone(self.file),
            interval_ms,
            query_offset_ms,
            limit,
            rules: rules
                .into_iter()
                .collect::<Option<Vec<_>>>()?
                .into_iter()
                .map(Arc::new)
                .collect(),
        })
    }

    fn rule(
        &mut self,
        group: &str,
        number: usize,
        raw: Spanned<RawRule>,
        group_labels: &Pairs,
    ) -> Option<RuleSpec> {
        let before = self.errors.len();
        let (at, raw) = (raw.defined, raw.value);
        self.unknown(&raw.unknown, "a rule");
        let given = |text: &Option<Text>| text.clone().filter(|text| !text.value.is_empty());
        let (record, alert) = (given(&raw.record), given(&raw.alert));
        let name = alert.as_ref().or(record.as_ref()).map(|text| text.value.clone());
        let name = name.unwrap_or_default();
        let place = Place { group, number, name: &name };
        match (&record, &alert) {
            (Some(_), Some(alert)) => {
                let message = "only one of 'record' and 'alert' must be set";
                self.fail_rule(alert.defined, &place, message);
            }
            (None, None) => {
                self.fail_rule(at, &place, "one of 'record' or 'alert' must be set");
            }
            _ => {}
        }
        let expr = self.expr(given(&raw.expr), at, &place);
        if let Some(record) = &record {
            self.recording(record, &raw, &place);
        }
        let hold_ms = self.duration(raw.hold.as_ref()).unwrap_or(0);
        let keep_firing_ms = self.duration(raw.keep_firing_for.as_ref()).unwrap_or(0);
        let is_alert = alert.is_some();
        let labels = self.labels(&raw.labels.unwrap_or_default(), group_labels, is_alert, &place);
        let annotations = raw.annotations.unwrap_or_default();
        let annotations = self.annotations(&annotations, is_alert, &place);
        let (expr, source) = expr?;
        if self.errors.len() > before {
            return None;
        }
        let kind = match is_alert {
            true => RuleKind::Alerting { hold_ms, keep_firing_ms, annotations },
            false => RuleKind::Recording,
        };
        let query = expr.to_string().into();
        Some(RuleSpec { name: name.into(), expr, source, query, labels, kind, line: at.line() })
    }

    fn expr(
        &mut self,
        text: Option<Text>,
        at: Location,
        place: &Place<'_>,
    ) -> Option<(Expr, Box<str>)> {
        let Some(text) = text else {
            self.fail_rule(at, place, "field 'expr' must be set in rule");
            return None;
        };
        match parse(&text.value, self.options.features) {
            Ok(expr) => Some((expr, text.value.into())),
            Err(error) => {
                let message = format_args!("could not parse expression: {error}");
                self.fail_rule(text.defined, place, message);
                None
            }
        }
    }

    /// What only an alert may have, and the name of a series.
    fn recording(&mut self, record: &Text, raw: &RawRule, place: &Place<'_>) {
        let at = record.defined;
        let is_given = |text: &Option<Text>| {
            text.as_ref().is_some_and(|text| parse_duration_ms(&text.value) != Ok(0))
        };
        if raw.annotations.as_ref().is_some_and(|pairs| !pairs.0.is_empty()) {
            self.fail_rule(at, place, "invalid field 'annotations' in recording rule");
        }
        if is_given(&raw.hold) {
            self.fail_rule(at, place, "invalid field 'for' in recording rule");
        }
        if is_given(&raw.keep_firing_for) {
            self.fail_rule(at, place, "invalid field 'keep_firing_for' in recording rule");
        }
        if record.value.contains(['{', '}']) {
            let name = &record.value;
            let message = format_args!(
                "braces present in the recording rule name; should it be in expr?: {name}"
            );
            self.fail_rule(at, place, message);
        }
    }

    /// The labels of the rule over those of its group. Texts of the group that are no templates
    /// are left to say so in the alerts, as in Prometheus.
    fn labels(&mut self, own: &Pairs, of_group: &Pairs, alert: bool, place: &Place<'_>) -> Texts {
        let templates = self.options.templates;
        let mut labels: BTreeMap<Box<str>, RuleText> = BTreeMap::new();
        for (name, text) in &of_group.0 {
            let text = text.as_ref().map_or("", |text| &text.value);
            let text = match alert {
                true => RuleText::compile_or_say(templates, place.name, text),
                false => RuleText::plain(text),
            };
            labels.insert(name.value.as_str().into(), text);
        }
        for (name, text) in &own.0 {
            if !is_label_name(&name.value) {
                let message = format_args!("invalid label name: {}", name.value);
                self.fail_rule(name.defined, place, message);
            }
            let text = self.text("label", name, text.as_ref(), alert, place);
            labels.insert(name.value.as_str().into(), text);
        }
        labels.into_iter().collect()
    }

    fn annotations(&mut self, own: &Pairs, alert: bool, place: &Place<'_>) -> Texts {
        let mut annotations: BTreeMap<Box<str>, RuleText> = BTreeMap::new();
        for (name, text) in &own.0 {
            if name.value.is_empty() {
                self.fail_rule(name.defined, place, "invalid annotation name: ");
            }
            let text = self.text("annotation", name, text.as_ref(), alert, place);
            annotations.insert(name.value.as_str().into(), text);
        }
        annotations.into_iter().collect()
    }

    fn text(
        &mut self,
        what: &str,
        name: &Text,
        text: Option<&Text>,
        alert: bool,
        place: &Place<'_>,
    ) -> RuleText {
        let at = text.map_or(name.defined, |text| text.defined);
        let source = text.map_or("", |text| text.value.as_str());
        if !alert {
            return RuleText::plain(source);
        }
        match RuleText::compile(self.options.templates, place.name, source) {
            Ok(text) => text,
            Err(why) => {
                self.fail_rule(at, place, format_args!("{what} {}: {why}", Quoted(&name.value)));
                RuleText::plain(source)
            }
        }
    }
}

fn is_label_name(name: &str) -> bool {
    !name.is_empty() && name != METRIC_NAME
}

/// What to do about a key that other evaluators have.
fn hint(key: &str) -> &'static str {
    match key {
        "partial_response_strategy" => ": it is Thanos' and may be removed",
        "type"
        | "eval_offset"
        | "eval_delay"
        | "eval_alignment"
        | "concurrency"
        | "params"
        | "headers"
        | "notifier_headers"
        | "debug"
        | "tenant"
        | "update_entries_limit" => ": it is vmalert's and may be removed",
        _ => "",
    }
}
