//! What the templates of both products are given: the dot and the variables.
//!
//! In: alerts and their surroundings. Out: values with Go's type names and methods.
//!
//! Source: Prometheus' and Alertmanager's template references.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::functions::{Call, Method, Param, text_at};
use super::time::GoTime;
use super::value::{Map, TEXT_MAP, Type, Value, plain};
use crate::model::{Annotations, Labels, Timestamp};

static RULE_DATA: Type = plain(
    "struct { Labels map[string]string; ExternalLabels map[string]string; ExternalURL string; \
     Value interface {} }",
);

/// Variables that exist in the templates of a rule, with their `$`.
pub const RULE_VARIABLES: [&str; 4] = ["$labels", "$externalLabels", "$externalURL", "$value"];

/// What the templates of an alerting rule see.
#[derive(Clone, Debug)]
pub struct RuleData {
    labels: Value,
    external_labels: Value,
    external_url: Value,
    value: Value,
    dot: Value,
}

impl RuleData {
    /// For one sample of the rule's expression; `value` is a number, or a histogram as text.
    pub fn new(
        labels: &Labels,
        value: impl Into<Value>,
        external_labels: &Labels,
        external_url: &str,
    ) -> RuleData {
        let labels = Value::text_map(&TEXT_MAP, labels.iter());
        let external_labels = Value::text_map(&TEXT_MAP, external_labels.iter());
        let (external_url, value) = (Value::from(external_url), value.into());
        let fields = vec![
            ("Labels", labels.clone()),
            ("ExternalLabels", external_labels.clone()),
            ("ExternalURL", external_url.clone()),
            ("Value", value.clone()),
        ];
        let dot = Value::record(&RULE_DATA, fields);
        RuleData { labels, external_labels, external_url, value, dot }
    }

    /// The dot: `.Labels`, `.ExternalLabels`, `.ExternalURL`, `.Value`.
    pub fn dot(&self) -> Value {
        self.dot.clone()
    }

    /// The variables of [`RULE_VARIABLES`].
    pub fn variables(&self) -> [(&'static str, Value); 4] {
        let values = [&self.labels, &self.external_labels, &self.external_url, &self.value];
        std::array::from_fn(|i| (RULE_VARIABLES[i], values[i].clone()))
    }
}

/// A set of labels or annotations: `.SortedPairs`, `.Names`, `.Values`, `.Remove`.
pub static KV: Type = Type {
    name: "template.KV",
    methods: &[
        Method { name: "SortedPairs", params: &[], call: |_, kv, _| Ok(pairs(kv)) },
        Method { name: "Names", params: &[], call: |_, kv, _| Ok(names(&pairs(kv))) },
        Method { name: "Values", params: &[], call: |_, kv, _| Ok(values(&pairs(kv))) },
        Method { name: "Remove", params: &[Param::Texts], call: remove },
        Method { name: "String", params: &[], call: |_, kv, _| Ok(pairs_text(&pairs(kv)).into()) },
    ],
    display: Some(|kv| pairs_text(&pairs(kv))),
    is_camel: false,
};

static PAIRS: Type = Type {
    name: "template.Pairs",
    methods: &[
        Method { name: "Names", params: &[], call: |_, pairs, _| Ok(names(pairs)) },
        Method { name: "Values", params: &[], call: |_, pairs, _| Ok(values(pairs)) },
        Method { name: "String", params: &[], call: |_, pairs, _| Ok(pairs_text(pairs).into()) },
    ],
    display: Some(pairs_text),
    is_camel: false,
};

static STRINGS: Type = Type {
    name: "template.Strings",
    methods: &[Method { name: "Join", params: &[Param::Text], call: join }],
    display: None,
    is_camel: false,
};

static ALERTS: Type = Type {
    name: "template.Alerts",
    methods: &[
        Method { name: "Firing", params: &[], call: |_, all, _| Ok(with_status(all, "firing")) },
        Method {
            name: "Resolved",
            params: &[],
            call: |_, all, _| Ok(with_status(all, "resolved")),
        },
    ],
    display: None,
    is_camel: false,
};

static PAIR: Type = plain("template.Pair");
static ALERT_LIST: Type = plain("[]template.Alert");
static ALERT: Type = camel("template.Alert");
static DATA: Type = camel("*template.Data");

const fn camel(name: &'static str) -> Type {
    Type { name, methods: &[], display: None, is_camel: true }
}

/// `alertname` first, the others in order.
fn pairs(kv: &Value) -> Value {
    let Value::Map(map) = kv else { return Value::list(&PAIRS, Vec::new()) };
    let (first, rest): (Vec<_>, Vec<_>) =
        map.entries.iter().partition(|(name, _)| &***name == "alertname");
    let pair = |(name, value): (&Arc<str>, &Value)| {
        Value::record(&PAIR, vec![("Name", Value::Text(name.clone())), ("Value", value.clone())])
    };
    Value::list(&PAIRS, first.into_iter().chain(rest).map(pair).collect())
}

fn fields(pairs: &Value, name: &'static str) -> Vec<Value> {
    let field = |pair: &Value| match pair {
        Value::Record(record) => record.field(name).cloned().unwrap_or_default(),
        _ => Value::Nil,
    };
    pairs.items().iter().map(field).collect()
}

fn names(pairs: &Value) -> Value {
    Value::list(&STRINGS, fields(pairs, "Name"))
}

fn values(pairs: &Value) -> Value {
    Value::list(&STRINGS, fields(pairs, "Value"))
}

fn pairs_text(pairs: &Value) -> String {
    let names = fields(pairs, "Name");
    let values = fields(pairs, "Value");
    let text = |value: &Value| value.as_text().cloned().unwrap_or_default();
    let all = names.iter().zip(&values).map(|(n, v)| format!("{}={}", text(n), text(v)));
    all.collect::<Vec<_>>().join(", ")
}

fn join(call: &mut Call<'_>, strings: &Value, args: &[Value]) -> Result<Value, String> {
    let mut out = call.text();
    for (i, item) in strings.items().iter().enumerate() {
        out.push(if i > 0 { text_at(args, 0) } else { "" })?;
        out.push(item.as_text().map_or("", |text| text))?;
    }
    call.finish(out)
}

fn remove(call: &mut Call<'_>, kv: &Value, args: &[Value]) -> Result<Value, String> {
    let Value::Map(map) = kv else { return Ok(Value::Nil) };
    let gone: Vec<&str> = args[0].items().iter().filter_map(|v| Some(&**v.as_text()?)).collect();
    call.budget.work(map.entries.len() * (32 + gone.len()))?;
    let kept = map.entries.iter().filter(|(name, _)| !gone.contains(&&***name));
    let kept = kept.filter_map(|(name, value)| Some((name.clone(), value.as_text()?.clone())));
    Ok(Value::text_map(&KV, kept))
}

fn with_status(alerts: &Value, status: &str) -> Value {
    let has_status = |alert: &&Value| match alert {
        Value::Record(record) => {
            record.field("Status").and_then(Value::as_text).is_some_and(|own| **own == *status)
        }
        _ => false,
    };
    Value::list(&ALERT_LIST, alerts.items().iter().filter(has_status).cloned().collect())
}

/// One alert as notification templates see it.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertData {
    /// Whether it has ended.
    pub is_resolved: bool,
    /// Its labels.
    pub labels: Labels,
    /// Its annotations.
    pub annotations: Annotations,
    /// Since when it fires.
    pub starts_at: Timestamp,
    /// When it ended; `None` while it fires.
    pub ends_at: Option<Timestamp>,
    /// Where its rule can be seen.
    pub generator_url: Box<str>,
    /// The hash of its labels, 16 hexadecimal digits.
    pub fingerprint: Box<str>,
}

/// A notification as its templates see it.
#[derive(Clone, Debug, PartialEq)]
pub struct NotificationData {
    /// The receiver's name, as Alertmanager hands it on: with regular expressions' signs escaped.
    pub receiver: String,
    /// The alerts, in order.
    pub alerts: Vec<AlertData>,
    /// Why it is sent.
    pub reason: String,
    /// The labels by which the group was made.
    pub group_labels: BTreeMap<String, String>,
    /// The labels of the route, expanded.
    pub route_labels: BTreeMap<String, String>,
    /// The URL under which users reach this server.
    pub external_url: String,
}

impl NotificationData {
    /// `firing` while one alert fires, then `resolved`.
    pub fn status(&self) -> &'static str {
        match self.alerts.iter().any(|alert| !alert.is_resolved) {
            true => "firing",
            false => "resolved",
        }
    }

    /// The labels that all alerts share.
    pub fn common_labels(&self) -> BTreeMap<String, String> {
        common(self.alerts.iter().map(|alert| alert.labels.iter()))
    }

    /// The annotations that all alerts share.
    pub fn common_annotations(&self) -> BTreeMap<String, String> {
        common(self.alerts.iter().map(|alert| alert.annotations.iter()))
    }

    /// The dot.
    pub fn dot(&self) -> Value {
        let alerts = self.alerts.iter().map(alert_value).collect();
        Value::record(
            &DATA,
            vec![
                ("Receiver", self.receiver.as_str().into()),
                ("Status", self.status().into()),
                ("Alerts", Value::list(&ALERTS, alerts)),
                ("NotificationReason", self.reason.as_str().into()),
                ("GroupLabels", kv(&self.group_labels)),
                ("CommonLabels", kv(&self.common_labels())),
                ("CommonAnnotations", kv(&self.common_annotations())),
                ("RouteLabels", kv(&self.route_labels)),
                ("ExternalURL", self.external_url.as_str().into()),
            ],
        )
    }
}

fn kv(map: &BTreeMap<String, String>) -> Value {
    Value::text_map(&KV, map.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

/// What is in all sets with the same value.
fn common<'a, S>(mut sets: impl Iterator<Item = S>) -> BTreeMap<String, String>
where
    S: Iterator<Item = (&'a str, &'a str)>,
{
    let mut shared: BTreeMap<&str, &str> = sets.next().into_iter().flatten().collect();
    for set in sets {
        let other: BTreeMap<&str, &str> = set.collect();
        shared.retain(|name, value| other.get(name).copied().unwrap_or("") == *value);
    }
    shared.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn time_value(at: Option<Timestamp>) -> Value {
    Value::Time(at.and_then(GoTime::utc).unwrap_or_else(GoTime::zero).into())
}

fn alert_value(alert: &AlertData) -> Value {
    let status = if alert.is_resolved { "resolved" } else { "firing" };
    Value::record(
        &ALERT,
        vec![
            ("Status", status.into()),
            ("Labels", Value::text_map(&KV, alert.labels.iter())),
            ("Annotations", Value::text_map(&KV, alert.annotations.iter())),
            ("StartsAt", time_value(Some(alert.starts_at))),
            ("EndsAt", time_value(alert.ends_at)),
            ("GeneratorURL", Value::text(&*alert.generator_url)),
            ("Fingerprint", Value::text(&*alert.fingerprint)),
        ],
    )
}

/// The entries of a set of labels.
pub fn entries(map: &Map) -> impl Iterator<Item = (&str, &str)> {
    map.entries.iter().filter_map(|(name, value)| Some((&**name, &**value.as_text()?)))
}
