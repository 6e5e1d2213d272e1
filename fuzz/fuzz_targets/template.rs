//! Any text as a template ends within its limits, in text and in HTML, without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidewatch::model::{Labels, Timestamp};
use tidewatch::template::functions::{alertmanager, prometheus};
use tidewatch::template::{
    AlertData, AtTime, Escaping, Limits, NotificationData, RuleData, Run, TemplateSet,
};

/// Small, so that a run that would use them up is quick.
const LIMITS: Limits = Limits {
    source_bytes_max: 1 << 16,
    steps_max: 20_000,
    output_bytes_max: 1 << 16,
    work_bytes_max: 1 << 20,
};

fn labels() -> Labels {
    let pairs = [("alertname", "A<b>"), ("instance", "a:1"), ("job", "\"n'")];
    Labels::from_pairs(pairs).expect("three labels")
}

fn notification() -> NotificationData {
    let alert = AlertData {
        is_resolved: false,
        labels: labels(),
        annotations: [("summary", "x\ny")].into_iter().collect(),
        starts_at: Timestamp(1_700_000_000_000),
        ends_at: None,
        generator_url: "http://p/?a=b".into(),
        fingerprint: "ff".into(),
    };
    NotificationData {
        receiver: "r".to_owned(),
        alerts: vec![alert],
        reason: String::new(),
        group_labels: Default::default(),
        route_labels: Default::default(),
        external_url: "http://a".to_owned(),
    }
}

fuzz_target!(|input: (bool, bool, &str)| {
    let (is_rule, is_html, text) = input;
    let escaping = if is_html { Escaping::Html } else { Escaping::Text };
    let rule = RuleData::new(&labels(), 1.5, &Labels::empty(), "http://x/y");
    let (functions, data, variables) = match is_rule {
        true => (prometheus::FUNCTIONS, rule.dot(), rule.variables().to_vec()),
        false => (alertmanager::FUNCTIONS, notification().dot(), Vec::new()),
    };
    let set = TemplateSet::with_limits(functions, LIMITS);
    let host = AtTime(Timestamp(1_700_000_100_000));
    let run = Run { data: &data, variables: &variables, host: &host, escaping };
    if let Ok(output) = set.expand("t", text, &run) {
        assert!(output.len() <= LIMITS.output_bytes_max);
    }
});
