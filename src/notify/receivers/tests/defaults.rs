//! The default templates.

use super::*;

fn expand(name: &str, is_firing: bool) -> String {
    let notification = notification("  webhook_configs: [{url: http://x}]", is_firing);
    let templates = templates::defaults();
    let mut recorder = Recorder::default();
    let context = Context::new(&templates, &notification, "http://am:9093", &mut recorder);
    context.text(&format!("{{{{ template {name:?} . }}}}")).unwrap()
}

#[test]
fn the_subject_names_state_group_and_what_else_is_common() {
    assert_eq!(expand("__subject", true), "[FIRING:1] Disk<full> ");
    assert_eq!(expand("__subject", false), "[RESOLVED] Disk<full> ");
    let url = "http://am:9093/#/alerts?receiver=team%5C.x";
    assert_eq!(expand("__alertmanagerURL", true), url);
    let fallback = format!("[FIRING:1] Disk<full>  | {url}");
    assert_eq!(expand("slack.default.fallback", true), fallback);
    assert_eq!(expand("slack.default.color", true), "danger");
    assert_eq!(expand("mattermost.default.color", false), "good");
}

#[test]
fn alerts_are_listed_by_state() {
    let list = |instance: &str, severity: &str| {
        format!(
            "Labels:\n - alertname = Disk<full>\n - instance = {instance}\n - severity = \
             {severity}\nAnnotations:\n - runbook_url = https://run/b?a=1&b=2\n - summary = \
             \"/\" is\nfull, gr\u{fc}n & <b>\nSource: \
             http://p:9090/graph?g0.expr=disk+%3E+0.9&g0.tab=1\n"
        )
    };
    let (a, b) = (list("a:9100", "critical"), list("b:9100", "warning"));
    let common = "https://run/b?a=1&b=2 \"/\" is\nfull, gr\u{fc}n & <b>";
    assert_eq!(
        expand("opsgenie.default.description", true),
        format!("{common}\nAlerts Firing:\n{a}\nAlerts Resolved:\n{b}")
    );
    assert_eq!(
        expand("opsgenie.default.description", false),
        format!("{common}\n\nAlerts Resolved:\n{a}{b}")
    );
    assert_eq!(
        expand("telegram.default.message", true),
        format!("\n\nAlerts Firing:\n{a}\n\n\nAlerts Resolved:\n{b}\n\n")
    );
    assert_eq!(
        expand("pushover.default.message", false),
        format!("{common}\n\n\nAlerts Resolved:\n{a}{b}\n\n")
    );
}

/// What a template makes of alerts of these labels, grouped by these.
fn expand_of(name: &str, alerts: &[&[(&str, &str)]], group: &[(&str, &str)]) -> String {
    let mut notification = notification("  webhook_configs: [{url: http://x}]", true);
    notification.alerts = alerts
        .iter()
        .map(|labels| NotifiedAlert {
            labels: Labels::from_pairs(labels.iter().copied()).unwrap(),
            annotations: Annotations::default(),
            ..alert("a", "info", false)
        })
        .collect();
    notification.group_labels = Labels::from_pairs(group.iter().copied()).unwrap();
    let templates = templates::defaults();
    let mut recorder = Recorder::default();
    let context = Context::new(&templates, &notification, "http://am:9093", &mut recorder);
    context.text(&format!("{{{{ template {name:?} . }}}}")).unwrap()
}

#[test]
fn odd_labels_are_shown_as_they_are() {
    let odd: &[(&str, &str)] = &[
        ("alertname", "Disk <full> & \"quoted\""),
        ("dot.name", "utf8"),
        ("nl", "a\nb\tc"),
        ("path", "C:\\a`b`"),
        ("uni", "gr\u{fc}n \u{1f600}"),
    ];
    let subject = expand_of("__subject", &[odd], &odd[..1]);
    let expected =
        "[FIRING:1] Disk <full> & \"quoted\" (utf8 a\nb\tc C:\\a`b` gr\u{fc}n \u{1f600})";
    assert_eq!(subject, expected);
    // Without a name, of nothing, and of alerts that have only the group in common.
    let named: &[(&str, &str)] = &[("foo", "bar"), ("severity", "page")];
    assert_eq!(expand_of("__subject", &[named], &named[..1]), "[FIRING:1] bar (page)");
    let (x, y): (&[_], &[_]) = (&[("alertname", "X")], &[("alertname", "Y")]);
    assert_eq!(expand_of("__subject", &[x, y], &[]), "[FIRING:2]  ");
    let (a, b): (&[_], &[_]) = (&[("c", "1"), ("i", "a")], &[("c", "1"), ("i", "b")]);
    assert_eq!(expand_of("__subject", &[a, b], &a[..1]), "[FIRING:2] 1 ");
    for (severity, priority) in
        [("critical", "High"), ("warning", "Medium"), ("info", "Low"), ("page", "")]
    {
        let one: &[(&str, &str)] = &[("severity", severity)];
        assert_eq!(expand_of("jira.default.priority", &[one], &[]).trim(), priority, "{severity}");
    }
}

#[test]
fn the_highest_severity_is_the_priority() {
    assert_eq!(expand("jira.default.priority", true), "High");
    assert_eq!(expand("jira.default.priority", false), "High");
}

#[test]
fn files_replace_defaults_and_errors_name_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("own.tmpl");
    std::fs::write(&path, r#"{{ define "slack.default.title" }}own {{ .Status }}{{ end }}"#)
        .unwrap();
    let files = [path.clone()];
    let receivers = Receivers::new(
        templates::load(&files).unwrap(),
        "http://am",
        Arc::new(ManualClock::new(NOW)),
    );
    let slack = "  slack_configs: [{api_url: https://s/x, channel: c}]";
    let body = receivers.preview(&notification(slack, true)).unwrap().remove(0).body;
    assert!(body.contains(r#""title":"own firing""#), "{body}");
    assert!(body.contains(r#""fallback":"own firing | "#), "{body}");
    std::fs::write(&path, "\n{{ nosuch }}").unwrap();
    let error = templates::load(&files).unwrap_err().to_string();
    let place = format!("{}: template: own.tmpl:2: function \"nosuch\"", path.display());
    assert!(error.contains(&place), "{error}");
    let error = templates::load(&[directory.path().join("none")]).unwrap_err().to_string();
    assert!(error.contains("none"), "{error}");
}

#[test]
fn route_labels_refer_to_each_other_but_not_in_a_circle() {
    let mut notification = notification("  webhook_configs: [{url: http://x}]", true);
    let labels = [
        ("team", "ops {{ .GroupLabels.alertname }}"),
        ("text", "for {{ routeLabels \"team\" }}"),
        ("circle", "{{ routeLabels \"circle\" }}"),
    ];
    let labels = labels.map(|(name, text)| (name.to_owned(), text.to_owned()));
    notification.route_labels = Arc::new(labels.into_iter().collect());
    let templates = templates::defaults();
    let mut recorder = Recorder::default();
    let context = Context::new(&templates, &notification, "http://am", &mut recorder);
    let text = context.text("{{ routeLabels \"text\" }}|{{ .RouteLabels.team }}|").unwrap();
    assert_eq!(text, "for ops Disk<full>|ops Disk<full>|");
    let circle = context.text("{{ routeLabels \"circle\" }}").unwrap();
    assert_eq!(circle, "{{ routeLabels \"circle\" }}");
}
