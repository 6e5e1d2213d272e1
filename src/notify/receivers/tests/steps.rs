//! What answers mean, and deliveries of several requests.

use super::*;

const SLACK: &str = "  slack_configs: [{api_url: https://slack.com/api/chat.postMessage, channel: c, \
                     update_message: true}]";

fn kind_of(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Delivered { .. } => "delivered".to_owned(),
        Outcome::Retry { failure, .. } => format!("retry {}", failure.kind.as_str()),
        Outcome::Failed(failure) => format!("failed {}", failure.kind.as_str()),
    }
}

#[test]
fn every_kind_waits_when_it_is_told_to() {
    for notification in notifications(include_str!("all.yml"), true) {
        let kind = notification.integration.kind();
        if kind == "email" {
            continue;
        }
        let limited = wire::Answer {
            retry_after: Some(Duration::from_secs(7)),
            ..answer(429, "{\"message\":\"slow down\"}")
        };
        let (sent, outcome) = told(&notification, vec![limited]);
        assert_eq!(sent.len(), 1, "{kind}");
        let Outcome::Retry { failure, after } = outcome else { panic!("{kind}: {outcome:?}") };
        assert_eq!(failure.kind, FailureKind::RateLimited, "{kind}: {failure}");
        assert_eq!(after, Some(Duration::from_secs(7)), "{kind}");
        let (_, outcome) = told(&notification, vec![answer(502, "")]);
        assert_eq!(kind_of(&outcome), "retry serverError", "{kind}");
        let (_, outcome) = told(&notification, vec![answer(401, "no")]);
        let expected = if kind == "wechat" { "retry authError" } else { "failed authError" };
        assert_eq!(kind_of(&outcome), expected, "{kind}");
    }
}

#[test]
fn pagerduty_v1_says_with_403_that_there_are_too_many() {
    let v1 = notification("  pagerduty_configs: [{service_key: k}]", true);
    assert_eq!(kind_of(&told(&v1, vec![answer(403, "")]).1), "retry authError");
    let v2 = notification("  pagerduty_configs: [{routing_key: k}]", true);
    assert_eq!(kind_of(&told(&v2, vec![answer(403, "")]).1), "failed authError");
    let body = r#"{"message":"Event object is invalid","errors":["a","b"]}"#;
    let Outcome::Failed(failure) = told(&v2, vec![answer(400, body)]).1 else { panic!() };
    let expected = "unexpected status code 400: Event object is invalid: a,b";
    assert_eq!(failure.message, expected);
}

#[test]
fn slack_says_no_with_status_200() {
    let slack = notification(SLACK, true);
    let failed = r#"{"ok":false,"error":"channel_not_found"}"#;
    let Outcome::Failed(failure) = told(&slack, vec![answer(200, failed)]).1 else { panic!() };
    let expected = "channel \"c\": Slack answered with an error: channel_not_found";
    assert_eq!(failure.message, expected);
    let text = |body: &str| wire::Answer { content_type: "text/html".into(), ..answer(200, body) };
    assert_eq!(kind_of(&told(&slack, vec![text("ok")]).1), "delivered");
    assert_eq!(kind_of(&told(&slack, vec![text("invalid_token")]).1), "failed clientError");
}

#[test]
fn a_message_of_slack_is_changed_the_next_time() {
    let mut slack = notification(SLACK, true);
    let said = r#"{"ok":true,"channel":"C1","ts":"17.5"}"#;
    let (sent, outcome) = told(&slack, vec![answer(200, said)]);
    assert_eq!(sent[0].url, "https://slack.com/api/chat.postMessage");
    let Outcome::Delivered { data: Some(data), .. } = outcome else { panic!("{outcome:?}") };
    slack.receiver_data = data;
    let (sent, _) = told(&slack, vec![answer(200, said)]);
    assert_eq!(sent[0].url, "https://slack.com/api/chat.update");
    assert!(sent[0].body.starts_with(r#"{"channel":"C1","ts":"17.5","#), "{}", sent[0].body);
}

const JIRA: &str = "  jira_configs: [{api_url: 'https://jira/rest/api/2', project: P, issue_type: \
                    Bug, reopen_transition: Reopen, resolve_transition: Done, summary: {template: \
                    s, enable_update: false}}]";

#[test]
fn an_issue_is_found_changed_and_moved_on() {
    let found = |state: &str| {
        answer(
            200,
            &format!(
                r#"{{"issues":[{{"key":"P-1","fields":{{"status":{{"name":"x","statusCategory":{{"key":"{state}"}}}}}}}}]}}"#
            ),
        )
    };
    let transitions =
        answer(200, r#"{"transitions":[{"id":"5","name":"Done"},{"id":"6","name":"Reopen"}]}"#);
    let steps = |sent: &[Preview]| -> Vec<String> {
        sent.iter().map(|p| format!("{} {}", p.method, &p.url[24..])).collect()
    };
    let firing = notification(JIRA, true);
    let answers = vec![found("done"), answer(204, ""), transitions.clone(), answer(204, "")];
    let (sent, outcome) = told(&firing, answers);
    assert_eq!(kind_of(&outcome), "delivered");
    let path = "issue/P-1/transitions";
    let expected =
        ["POST search", "PUT issue/P-1", &format!("GET {path}"), &format!("POST {path}")];
    assert_eq!(steps(&sent), expected);
    let changed: serde_json::Value = serde_json::from_str(&sent[1].body).unwrap();
    assert_eq!(changed["fields"]["summary"], serde_json::Value::Null);
    assert!(changed["fields"]["description"].is_string());
    assert_eq!(sent[3].body, "{\"transition\":{\"id\":\"6\"}}\n");
    let resolved = notification(JIRA, false);
    let answers = vec![found("new"), answer(204, ""), transitions, answer(204, "")];
    let (sent, _) = told(&resolved, answers);
    assert_eq!(sent[3].body, "{\"transition\":{\"id\":\"5\"}}\n");
    let (sent, outcome) = told(&resolved, vec![answer(200, r#"{"issues":[]}"#)]);
    assert_eq!((sent.len(), kind_of(&outcome)), (1, "delivered".to_owned()));
    let (sent, _) = told(&firing, vec![answer(200, r#"{"issues":[]}"#), answer(201, "{}")]);
    assert_eq!(steps(&sent), ["POST search", "POST issue"]);
}

#[test]
fn further_fields_of_an_issue_stay_whatever_is_changed() {
    let config = "  jira_configs: [{api_url: 'https://jira/rest/api/2', project: P, issue_type: \
                  Bug, summary: {enable_update: false}, fields: {summary: own}, \
                  resolve_transition: Done}]";
    let found = r#"{"issues":[{"key":"P-1","fields":{"status":{"name":"x"}}}]}"#;
    let answers = || vec![answer(200, found), answer(204, "")];
    let (sent, outcome) = told(&notification(config, true), answers());
    assert_eq!((sent.len(), kind_of(&outcome)), (2, "delivered".to_owned()));
    let changed: serde_json::Value = serde_json::from_str(&sent[1].body).unwrap();
    assert_eq!(changed["fields"]["summary"], "own");
    let new = vec![answer(200, r#"{"issues":[]}"#), answer(201, "{}")];
    let (sent, _) = told(&notification(config, true), new);
    let created: serde_json::Value = serde_json::from_str(&sent[1].body).unwrap();
    assert_eq!(created["fields"]["summary"], "own");
}

#[test]
fn a_routing_key_is_a_part_of_a_path() {
    let config = "  victorops_configs: [{api_key: k, api_url: 'https://v/', \
                  routing_key: 'team {{ .GroupLabels.alertname }}/b'}]";
    let (sent, outcome) = told(&notification(config, true), Vec::new());
    assert_eq!(kind_of(&outcome), "delivered");
    assert_eq!(sent[0].url, "https://v/k/team%20Disk%3Cfull%3E/b");
}

#[test]
fn wechat_keeps_a_token_until_it_ends() {
    let wechat = notification("  wechat_configs: [{api_secret: s, corp_id: c}]", true);
    let receivers = receivers();
    let mut recorder = Recorder::default();
    let mut tell = |answers: Vec<wire::Answer>| {
        recorder.answers = answers.into_iter().map(Ok).collect();
        recorder.sent.clear();
        let result = receivers.run(&wechat, &mut recorder).0;
        (recorder.sent.len(), result.map_err(|trouble| trouble.is_temporary).map(|_| ()))
    };
    let token = || answer(200, r#"{"errcode":0,"access_token":"T"}"#);
    let (good, ended) = (answer(200, r#"{"errcode":0}"#), answer(200, r#"{"errcode":42001}"#));
    assert_eq!(tell(vec![token(), good.clone()]), (2, Ok(())));
    assert_eq!(tell(vec![good.clone()]), (1, Ok(())));
    assert_eq!(tell(vec![ended]), (1, Err(true)));
    assert_eq!(tell(vec![token(), good]), (2, Ok(())));
    assert_eq!(tell(vec![answer(200, r#"{"errcode":40001,"errmsg":"x"}"#)]), (1, Err(false)));
}

#[test]
fn rocketchat_says_no_with_status_200() {
    let config = "  rocketchat_configs: [{token: t, token_id: i, channel: c}]";
    let rocketchat = notification(config, true);
    let failed = answer(200, r#"{"success":false,"error":"nope"}"#);
    assert_eq!(kind_of(&told(&rocketchat, vec![failed]).1), "failed clientError");
    assert_eq!(kind_of(&told(&rocketchat, vec![answer(200, "?")]).1), "retry clientError");
}

#[test]
fn telegram_says_in_its_answer_how_long_to_wait() {
    let telegram = notification("  telegram_configs: [{bot_token: t, chat_id: 1}]", true);
    let body =
        r#"{"ok":false,"error_code":429,"description":"Too Many","parameters":{"retry_after":9}}"#;
    let Outcome::Retry { after, failure } = told(&telegram, vec![answer(429, body)]).1 else {
        panic!()
    };
    assert_eq!(after, Some(Duration::from_secs(9)));
    assert_eq!(failure.message, "unexpected status code 429: Too Many");
}

#[test]
fn what_is_too_large_is_cut() {
    let mut webhook =
        notification("  incidentio_configs: [{url: https://x/y, alert_source_token: t}]", true);
    let text = "x".repeat(400_000);
    for alert in &mut webhook.alerts {
        alert.annotations = [("text", text.as_str())].into_iter().collect();
    }
    let body = told(&webhook, Vec::new()).0.remove(0).body;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["alerts"].as_array().unwrap().len(), 1);
    assert_eq!(body["version"], "1");
    let mut pagerduty = notification("  pagerduty_configs: [{routing_key: k}]", true);
    pagerduty.alerts = webhook.alerts;
    let body = told(&pagerduty, Vec::new()).0.remove(0).body;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    let error = body["payload"]["custom_details"]["error"].as_str().unwrap();
    assert!(error.starts_with("Custom details have been removed"), "{error}");
}

#[test]
fn a_template_that_fails_ends_the_delivery_with_its_place() {
    let config = "  webhook_configs: [{url: 'https://x/y', payload: 'a {{ .Nope }}'}]";
    let Outcome::Failed(failure) = told(&notification(config, true), Vec::new()).1 else {
        panic!()
    };
    let expected = "template: :1:5: executing \"\" at <.Nope>: can't evaluate field Nope in type \
                    *template.Data";
    assert_eq!(failure.message, expected);
}

#[test]
fn alerts_that_no_message_lists_are_counted() {
    let mut webhook = notification("  webhook_configs: [{url: https://x/y}]", true);
    webhook.unlisted = 7;
    let body = told(&webhook, Vec::new()).0.remove(0).body;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["truncatedAlerts"], 7);
}
