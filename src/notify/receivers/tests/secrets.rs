//! Nobody sees a secret who may not: not in the configuration that is shown, not in logs, not in
//! previews, not in what is told of a delivery that failed.

use super::*;
use crate::web_client::test_servers::fixture;

/// Every kind, with `s3cr3t` in each of its secrets.
const ALL: &str = include_str!("all.yml");
const MARK: &str = "s3cr3t";

/// What `global` may hold of secrets.
const GLOBAL: &str = "global:
  smtp_auth_password: s3cr3t
  smtp_auth_secret: s3cr3t
  slack_api_url: https://hooks.slack.example/s3cr3t
  victorops_api_key: s3cr3t
  opsgenie_api_key: s3cr3t
  rocketchat_token: s3cr3t
  rocketchat_token_id: s3cr3t
  wechat_api_secret: s3cr3t
  telegram_bot_token: s3cr3t
  mattermost_webhook_url: https://mm.example/s3cr3t
  http_config: {proxy_url: 'http://u:s3cr3t@proxy', oauth2: {client_id: c, client_secret: s3cr3t, \
token_url: 'http://t/', proxy_url: 'http://u:s3cr3t@proxy', \
proxy_connect_header: {X: [s3cr3t]}}}
";

/// Receivers that are reached with every kind of secret that `http_config` may hold.
fn with_logins() -> String {
    let key = std::fs::read_to_string(fixture("client.key")).unwrap();
    let cert = std::fs::read_to_string(fixture("client.pem")).unwrap();
    let pem = |text: &str| serde_json::to_string(text).unwrap();
    let logins = [
        "{basic_auth: {username: user, password: s3cr3t}}".to_owned(),
        "{authorization: {type: Own, credentials: s3cr3t}}".to_owned(),
        "{bearer_token: s3cr3t}".to_owned(),
        "{oauth2: {client_id: c, client_secret: s3cr3t, token_url: 'http://t/'}}".to_owned(),
        "{http_headers: {X-Own: {secrets: [s3cr3t-1, s3cr3t-2]}}}".to_owned(),
        "{proxy_url: 'http://u:s3cr3t@p', proxy_connect_header: {X-Own: [s3cr3t]}}".to_owned(),
        format!("{{tls_config: {{cert: {}, key: {}}}}}", pem(&cert), pem(&key)),
    ];
    let hook = |login: String| format!("  - {{url: 'http://h/', http_config: {login}}}\n");
    format!("  webhook_configs:\n{}", logins.into_iter().map(hook).collect::<String>())
}

#[test]
fn the_configuration_that_is_shown_holds_none() {
    let key = std::fs::read_to_string(fixture("client.key")).unwrap();
    let line_of_key = key.lines().nth(1).unwrap();
    for (global, receiver) in [("", ALL), (GLOBAL, ALL), ("", &*with_logins())] {
        let file =
            format!("{global}route: {{receiver: team.x}}\nreceivers:\n- name: team.x\n{receiver}");
        assert!(file.contains(MARK), "{file}");
        let parsed = config::parse(Path::new("am.yml"), &file).unwrap();
        let section: String = file.lines().map(|line| format!("  {line}\n")).collect();
        let section = format!("alertmanager:\n{section}");
        for shown in [
            parsed.yaml.clone(),
            format!("{parsed:?}"),
            config::mask::masked_section(&section, "alertmanager"),
        ] {
            let at = shown.find(MARK).or_else(|| shown.find(line_of_key));
            let near = at.map(|at| &shown[at.saturating_sub(200)..at + 20]);
            assert_eq!(near, None);
        }
        assert!(parsed.yaml.contains("<secret>"), "{}", parsed.yaml);
    }
}

#[test]
fn a_receiver_that_repeats_what_it_got_gives_nothing_away() {
    for notification in notifications(ALL, true) {
        let (sent, _) = told(&notification, Vec::new());
        for text in sent.iter().flat_map(|sent| {
            let headers = sent.headers.iter().map(|(_, value)| value.clone());
            headers.chain([sent.url.clone(), sent.body.chars().take(200).collect()])
        }) {
            let (_, outcome) = told(&notification, vec![answer(400, &text)]);
            let shown = format!("{outcome:?}");
            assert!(!shown.contains(MARK), "{}: {shown}", notification.integration.kind());
        }
    }
}

#[test]
fn what_proves_who_we_are_is_masked_in_errors() {
    let echoed = "Basic dXNlcjpzM2NyM3Q= Own s3cr3t s3cr3t-1 u:s3cr3t";
    for notification in notifications(&with_logins(), true) {
        let (_, outcome) = told(&notification, vec![answer(400, echoed)]);
        let shown = format!("{outcome:?}");
        let IntegrationConfig::Webhook(config) = &notification.integration.config else { panic!() };
        let http = &config.http_config;
        if http.basic_auth.is_some() {
            assert!(!shown.contains("dXNlcjpz"), "{shown}");
        }
        let is_mark_secret = http.tls_config.key.is_none() && http.http_headers.is_empty();
        assert!(!is_mark_secret || !shown.contains(MARK), "{shown}");
        assert!(http.http_headers.is_empty() || !shown.contains("s3cr3t-1"), "{shown}");
    }
}

#[test]
fn a_secret_may_look_like_a_number() {
    let text = "  telegram_configs: [{bot_token: 123456, chat_id: 5}]\n";
    let preview = receivers().preview(&notification(text, true)).unwrap();
    assert_eq!(preview[0].url, "https://api.telegram.org/bot<secret>/sendMessage");
}

#[test]
fn mistakes_beside_secrets_do_not_show_them() {
    for receiver in [
        "  webhook_configs: [{url: 's3cr3t:///'}]",
        "  webhook_configs: [{url: 'http://x/', http_config: {proxy_url: 's3cr3t://x'}}]",
        "  webhook_configs: [{url: 'http://x/', http_config: {basic_auth: {password: [s3cr3t]}}}]",
        "  discord_configs: [{webhook_url: 'ftp://x/s3cr3t'}]",
        "  slack_configs: [{api_url: 's3cr3t', channel: c}]",
        "  webhook_configs: [{url: 'http://x/', http_config: {tls_config: {cert: s3cr3t, key: \
         s3cr3t}}}]",
        "  pagerduty_configs: [{routing_key: s3cr3t, routing_key_file: /x}]",
        "  opsgenie_configs: [{api_key: s3cr3t, api_key_file: /x}]",
    ] {
        let file = format!("route: {{receiver: team.x}}\nreceivers:\n- name: team.x\n{receiver}\n");
        // Schemes are shown: they cannot be secret.
        let error = config::parse(Path::new("am.yml"), &file).unwrap_err().to_string();
        let shown = error.replace("scheme \"s3cr3t\"", "");
        assert!(!shown.contains(MARK), "{receiver}: {error}");
    }
}
