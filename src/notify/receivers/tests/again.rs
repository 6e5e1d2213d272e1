//! What cannot be made ready for sending: whether it is tried again at once, as with Alertmanager, and
//! that it is never silent.

use super::*;

const TOLD: &str = "told";
const AGAIN: &str = "again";
const NEXT_TURN: &str = "next turn";

/// What becomes of a delivery, and what is said of it.
fn verdict(outcome: &Outcome) -> (&'static str, String) {
    match outcome {
        Outcome::Delivered { note, .. } => (TOLD, note.clone()),
        Outcome::Retry { failure, .. } => (AGAIN, failure.message.clone()),
        Outcome::Failed(failure) => (NEXT_TURN, failure.message.clone()),
    }
}

/// Receivers whose secret is in a file that is not there.
const FILES: [(&str, &str, &str); 18] = [
    ("webhook", "url_file: FILE", NEXT_TURN),
    ("slack", "api_url_file: FILE, channel: c", NEXT_TURN),
    ("pagerduty", "routing_key_file: FILE", NEXT_TURN),
    ("pagerduty", "service_key_file: FILE", NEXT_TURN),
    ("opsgenie", "api_key_file: FILE", NEXT_TURN),
    ("discord", "webhook_url_file: FILE", NEXT_TURN),
    ("msteams", "webhook_url_file: FILE", NEXT_TURN),
    ("msteamsv2", "webhook_url_file: FILE", NEXT_TURN),
    ("pushover", "user_key_file: FILE, token: t", NEXT_TURN),
    ("pushover", "user_key: u, token_file: FILE", NEXT_TURN),
    ("victorops", "api_key_file: FILE, routing_key: r", NEXT_TURN),
    ("wechat", "api_secret_file: FILE, corp_id: c", NEXT_TURN),
    ("mattermost", "webhook_url_file: FILE, channel: c", NEXT_TURN),
    ("incidentio", "url_file: FILE, alert_source_token: t", NEXT_TURN),
    ("telegram", "bot_token_file: FILE, chat_id: 1", AGAIN),
    ("telegram", "bot_token: t, chat_id_file: FILE", AGAIN),
    ("rocketchat", "token_file: FILE, token_id: i, channel: c", AGAIN),
    ("rocketchat", "token: t, token_id_file: FILE, channel: c", AGAIN),
];

#[test]
fn a_secret_that_cannot_be_read_is_looked_for_when_alertmanager_does() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gone");
    for (kind, settings, expected) in FILES {
        let settings = settings.replace("FILE", &file.display().to_string());
        let receiver = format!("  {kind}_configs: [{{{settings}}}]\n");
        let (sent, outcome) = told(&notification(&receiver, true), Vec::new());
        let (verdict, why) = verdict(&outcome);
        assert_eq!((verdict, sent.len()), (expected, 0), "{receiver}: {why}");
        assert!(why.contains(&file.display().to_string()), "{receiver}: {why}");
        std::fs::write(&file, "https://there.example/7\n").unwrap();
        if !settings.contains("chat_id_file") {
            let (_, outcome) = told(&notification(&receiver, true), Vec::new());
            assert!(matches!(outcome, Outcome::Delivered { .. }), "{receiver}: {outcome:?}");
        }
        std::fs::remove_file(&file).unwrap();
    }
}

/// Receivers that log in with a file that is not there.
const LOGINS: [(&str, &str, &str); 6] = [
    ("webhook", "url: 'http://127.0.0.1:9'", AGAIN),
    ("pagerduty", "routing_key: k, url: 'http://127.0.0.1:9'", AGAIN),
    ("webex", "room_id: r, api_url: 'http://127.0.0.1:9'", AGAIN),
    ("wechat", "api_secret: s, corp_id: c, api_url: 'http://127.0.0.1:9'", AGAIN),
    // An issue might be created twice.
    ("jira", "api_url: 'http://127.0.0.1:9', project: P, issue_type: Bug", NEXT_TURN),
    ("incidentio", "url: 'http://127.0.0.1:9'", AGAIN),
];

#[test]
fn a_login_that_cannot_be_read_is_like_no_answer() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gone").display().to_string();
    for (kind, settings, expected) in LOGINS {
        let login = format!("http_config: {{authorization: {{credentials_file: {file}}}}}");
        let receiver = format!("  {kind}_configs: [{{{settings}, {login}}}]\n");
        let outcome = receivers().deliver(&notification(&receiver, true), Duration::from_secs(9));
        let (verdict, why) = verdict(&outcome);
        assert_eq!(verdict, expected, "{receiver}: {why}");
        assert!(why.contains(&file), "{receiver}: {why}");
    }
}

/// Receivers with their other settings, the settings that are templates, and what becomes of a
/// delivery when one of these cannot be carried out.
#[rustfmt::skip]
const TEMPLATES: [(&str, &str, &str, &str); 21] = [
    ("webhook", "", "url; url: 'http://x', payload: {a: BAD}", NEXT_TURN),
    ("email", "smarthost: 'x:25'", "from: a@b, to; to: a@b, from", NEXT_TURN),
    ("email", "to: a@b, from: a@b, smarthost: 'x:25'", "html; text; headers: {Subject: BAD}", NEXT_TURN),
    ("slack", "api_url: 'http://x'", "channel; username; title; title_link; pretext; text; fallback; \
      color; footer; message_text; icon_url; fields: [{title: BAD, value: v}]; \
      actions: [{type: button, text: BAD, url: u}]", TOLD),
    ("pagerduty", "", "routing_key; service_key", NEXT_TURN),
    ("pagerduty", "routing_key: k", "description; client; client_url; severity; source; class; \
      component; group; details: {a: BAD}; images: [{src: BAD}]; links: [{href: BAD}]", NEXT_TURN),
    ("pagerduty", "service_key: k", "description; client; details: {a: BAD}", NEXT_TURN),
    ("opsgenie", "", "api_key", NEXT_TURN),
    ("opsgenie", "api_key: k", "message; description; source; tags; note; priority; entity; actions; \
      details: {a: BAD}; responders: [{name: BAD, type: team}]", NEXT_TURN),
    ("telegram", "bot_token: t, chat_id: 1", "message; parse_mode: '', message", NEXT_TURN),
    ("discord", "webhook_url: 'http://x'", "title; message; content", NEXT_TURN),
    ("msteams", "webhook_url: 'http://x'", "title; summary; text", NEXT_TURN),
    ("msteamsv2", "webhook_url: 'http://x'", "title; text", NEXT_TURN),
    ("pushover", "user_key: u, token: t", "title; message; url; url_title; priority; device; sound; \
      html: true, message", NEXT_TURN),
    ("victorops", "api_key: k", "routing_key", NEXT_TURN),
    ("victorops", "api_key: k, routing_key: r", "message_type; state_message; entity_display_name; \
      monitoring_tool; custom_fields: {a: BAD}", AGAIN),
    ("wechat", "", "corp_id: c, api_secret; api_secret: s, corp_id", NEXT_TURN),
    ("wechat", "api_secret: s, corp_id: c", "message; to_user; to_party; to_tag; agent_id", NEXT_TURN),
    ("sns", "sigv4: {region: r, access_key: a, secret_key: s}", "topic_arn; phone_number; target_arn; \
      topic_arn: t, message; topic_arn: t, subject; topic_arn: t, api_url; \
      topic_arn: t, attributes: {a: BAD}", AGAIN),
    ("jira", "api_url: 'http://x'", "project: p, issue_type; issue_type: i, project; \
      project: p, issue_type: i, summary; project: p, issue_type: i, description; \
      project: p, issue_type: i, priority; project: p, issue_type: i, labels: [BAD]; \
      project: p, issue_type: i, fields: {a: BAD}", NEXT_TURN),
    ("mattermost", "webhook_url: 'http://x'", "channel; text; title; username; \
      fields: [{title: BAD, value: v}]; attachments: [{text: BAD}]; props: {card: BAD}; \
      priority: {priority: BAD}", NEXT_TURN),
];

#[test]
fn a_template_that_cannot_be_carried_out_is_tried_again_when_alertmanager_does() {
    let others = [
        (
            "webex",
            "http_config: {authorization: {credentials: k}}",
            "room_id: r, message",
            NEXT_TURN,
        ),
        ("rocketchat", "token: t, token_id: i", "channel; title; text; emoji", NEXT_TURN),
    ];
    for (kind, settings, cases, expected) in TEMPLATES.into_iter().chain(others) {
        for case in cases.split(';').map(str::trim) {
            let bad = "'{{ .Nosuch }}'";
            let setting = match case.contains("BAD") {
                true => case.replace("BAD", bad),
                false => format!("{case}: {bad}"),
            };
            let settings = if settings.is_empty() { "send_resolved: true" } else { settings };
            let receiver = format!("  {kind}_configs: [{{{settings}, {setting}}}]\n");
            let (_, outcome) = told(&notification(&receiver, true), Vec::new());
            let (verdict, why) = verdict(&outcome);
            assert_eq!(verdict, expected, "{receiver}: {why}");
            assert!(why.contains("Nosuch"), "{receiver}: {why}");
        }
    }
}

#[test]
fn a_message_to_slack_lacks_only_what_cannot_be_made_and_its_preview_says_why() {
    let receiver = "  slack_configs: [{api_url: 'http://x', channel: '#c', title: '{{ .Nosuch }}', \
                    text: told, fields: [{title: '{{ .Nope }}', value: v}]}]\n";
    let notification = notification(receiver, true);
    let (sent, outcome) = told(&notification, Vec::new());
    let body: serde_json::Value = serde_json::from_str(&sent[0].body).unwrap();
    assert_eq!(body["channel"], "#c");
    let attachment = &body["attachments"][0];
    assert_eq!(
        (&attachment["title"], &attachment["text"]),
        (&serde_json::Value::Null, &"told".into())
    );
    assert_eq!(attachment["fields"][0]["value"], "v");
    let (_, note) = verdict(&outcome);
    assert!(note.starts_with("status 200; ") && note.contains("Nosuch") && note.contains("Nope"));
    let why = receivers().preview(&notification).unwrap_err().message;
    assert!(why.contains("Nosuch"), "{why}");
}
