//! Files as users have them, and the mistakes they make.

use super::*;

fn config(text: &str) -> Result<AlertConfig, String> {
    parse(Path::new("conf/alertmanager.yml"), text).map_err(|error| error.to_string())
}

/// A file with one receiver of these keys.
fn receiver(keys: &str) -> Result<Arc<Receiver>, String> {
    with_global("{}", keys)
}

fn with_global(global: &str, keys: &str) -> Result<Arc<Receiver>, String> {
    let text = format!(
        "global: {global}\nroute: {{receiver: a}}\nreceivers:\n- name: a\n  {}\n",
        keys.replace('\n', "\n  ")
    );
    config(&text).map(|config| Arc::clone(&config.receivers[0]))
}

macro_rules! only {
    ($receiver:expr, $variant:ident) => {
        match $receiver.integrations.first().map(|i| &i.config) {
            Some(IntegrationConfig::$variant(config)) => config.clone(),
            other => panic!("{other:?}"),
        }
    };
}

#[test]
fn the_smallest_file_has_the_documented_defaults() {
    let config = config("route: {receiver: a}\nreceivers: [{name: a}]\n").expect("valid");
    assert_eq!(config.resolve_timeout, Duration::from_secs(300));
    assert_eq!(config.route.receiver.as_deref(), Some("a"));
    assert_eq!((&config.route.group_by, config.route.group_wait), (&None, None));
    assert_eq!(config.receivers[0].labels["name"], "a");
    assert!(config.receivers[0].integrations.is_empty());
    assert!(AlertConfig::none().receiver(DEFAULT_RECEIVER).is_some());
}

#[test]
fn the_routing_tree_is_read_as_written() {
    let text = "route:\n  receiver: a\n  group_by: [b, a]\n  group_wait: 0s\n  routes:\n  \
        - {match: {x: y}, match_re: {s: 'a|b'}, matchers: ['q!=\"1\"', 'z=~\"1\",y!~\"2\"'],\n     \
          continue: true, group_by: ['...'], mute_time_intervals: [night], labels: {team: t}}\n  \
        - {receiver: b, group_by: [], repeat_interval: 1d, active_time_intervals: [day]}\n\
        mute_time_intervals: [{name: night, time_intervals: [{weekdays: [sunday]}]}]\n\
        time_intervals: [{name: day, time_intervals: []}]\n\
        receivers: [{name: a}, {name: b}]\n";
    let route = config(text).expect("valid").route;
    assert_eq!(route.group_by, Some(GroupBy::Labels(vec!["a".into(), "b".into()])));
    assert_eq!(route.group_wait, Some(Duration::ZERO));
    let [first, second] = &route.routes[..] else { panic!("{route:?}") };
    let shown = crate::notify::matcher::MatcherList(&first.matchers).to_string();
    assert_eq!(shown, r#"{q!="1",s=~"a|b",x="y",y!~"2",z=~"1"}"#);
    assert!(first.continue_matching && first.receiver.is_none());
    assert_eq!(first.group_by, Some(GroupBy::All));
    assert_eq!(first.mute_time_intervals, ["night"]);
    assert_eq!(second.group_by, Some(GroupBy::Labels(Vec::new())));
    assert_eq!(second.repeat_interval, Some(Duration::from_secs(86_400)));
}

#[test]
fn mistakes_name_file_line_and_column() {
    let tail = "\nreceivers: [{name: a}]\n";
    for (text, place, hint) in [
        ("route: {receiver: b}", "1:19: ", "undefined receiver \"b\" used in route"),
        ("route:\n  receiver: a\n  routs: []", "3:3: ", "routs"),
        ("route:\n  receiver: a\n  matchers: [a=b]", "2:3: ", "must not have any matchers"),
        (
            "route:\n  receiver: a\n  routes:\n  - matchers:\n    - a=~\"(\"",
            "5:7: ",
            "missing closing ): `^(?:",
        ),
        ("route: {receiver: a, group_interval: 0s}", "1:", "group_interval cannot be zero"),
        ("route: {receiver: a, group_by: [b, b]}", "1:", "duplicated label \"b\""),
        ("route: {receiver: a, group_by: [b, '...']}", "1:", "wildcard"),
        ("route: {receiver: a, continue: true}", "1:", "continue"),
        ("route: {receiver: a, routes: [{mute_time_intervals: [x]}]}", "1:54: ", "undefined time"),
        ("route: {receiver: a, group_wait: 30}", "1:", "30"),
        ("global: {resolve_timeout: 0s}\nroute: {receiver: a}", "1:", "resolve_timeout"),
        ("global:\n  smtp_smarthost: localhost\nroute: {receiver: a}", "2:", "missing port"),
        ("route: {group_by: [a]}", "1:", "default receiver"),
        ("inhibit_rules: [{equal: ['']}]\nroute: {receiver: a}", "1:", "equal"),
    ] {
        let message = config(&format!("{text}{tail}")).expect_err(text);
        let expected = format!("conf/alertmanager.yml:{place}");
        assert!(message.starts_with(&expected), "{text}: {message}");
        assert!(message.contains(hint), "{text}: {message}");
        assert!(!message.contains('\n'), "one line: {message}");
    }
    assert!(config("").expect_err("empty").contains("no route provided"));
    let twice = "route: {receiver: a}\nreceivers:\n- name: a\n- name: a\n";
    assert!(config(twice).expect_err("twice").contains(":4:3: "), "{twice}");
}

#[test]
fn every_kind_of_receiver_is_read() {
    let keys = "webhook_configs: [{url: 'http://h/', timeout: 1m30s, payload: {a: [1, '{{ .Status }}']}}]\n\
        email_configs: [{to: x@y.z, headers: {reply-to: r@y.z}, threading: {enabled: true, thread_by_date: daily}}]\n\
        pagerduty_configs: [{routing_key: k}, {service_key_file: f, details: {n: 1}}]\n\
        opsgenie_configs: [{api_key: k, responders: [{name: n, type: Team}]}]\n\
        wechat_configs: [{api_secret: s, corp_id: c}]\n\
        slack_configs: [{api_url: 'https://s/', actions: [{type: button, text: t, url: 'https://u', name: n}]}]\n\
        victorops_configs: [{api_key: k, routing_key: r}]\n\
        pushover_configs: [{user_key: u, token: t, retry: 2m}]\n\
        sns_configs: [{topic_arn: 'arn:aws:sns:us-east-2:1:t', phone_number: '+1', target_arn: t, \
        sigv4: {region: us-east-2}}]\n\
        telegram_configs: [{bot_token: t, chat_id: -100123}]\n\
        discord_configs: [{webhook_url: 'https://d/'}]\n\
        webex_configs: [{room_id: r, http_config: {authorization: {credentials: c}}}]\n\
        msteams_configs: [{webhook_url: 'https://m/'}]\n\
        msteamsv2_configs: [{webhook_url_file: /run/url}]\n\
        jira_configs: [{api_url: 'https://j/', project: P, issue_type: Bug, summary: s, \
          description: {template: d, enable_update: false}, reopen_duration: 1d, fields: {x: {y: 1}}}]\n\
        rocketchat_configs: [{token: t, token_id: i}]\n\
        mattermost_configs: [{webhook_url: 'https://m/', priority: {priority: urgent}}]\n\
        incidentio_configs: [{url: 'https://i/', alert_source_token: t}]";
    let global = "{smtp_smarthost: 'mail:587', smtp_from: a@b.c}";
    let receiver = with_global(global, keys).expect("valid");
    let kinds: Vec<(&str, usize, bool)> = receiver
        .integrations
        .iter()
        .map(|integration| (integration.kind(), integration.index, integration.send_resolved))
        .collect();
    assert_eq!(
        kinds,
        [
            ("webhook", 0, true),
            ("email", 0, false),
            ("pagerduty", 0, true),
            ("pagerduty", 1, true),
            ("opsgenie", 0, true),
            ("wechat", 0, false),
            ("slack", 0, false),
            ("victorops", 0, true),
            ("pushover", 0, true),
            ("sns", 0, true),
            ("telegram", 0, true),
            ("discord", 0, true),
            ("webex", 0, true),
            ("msteams", 0, true),
            ("msteamsv2", 0, true),
            ("jira", 0, true),
            ("rocketchat", 0, false),
            ("mattermost", 0, true),
            ("incidentio", 0, true),
        ]
    );
    let find = |kind: &str| receiver.integrations.iter().find(|i| i.kind() == kind).expect(kind);
    let IntegrationConfig::Email(email) = &find("email").config else { panic!("no email") };
    assert_eq!(
        (email.smarthost.to_string().as_str(), email.hello.as_str()),
        ("mail:587", "localhost")
    );
    assert_eq!((email.headers["Reply-To"].as_str(), *email.require_tls), ("r@y.z", true));
    let IntegrationConfig::OpsGenie(opsgenie) = &find("opsgenie").config else { panic!("none") };
    assert_eq!(opsgenie.api_url.as_str(), "https://api.opsgenie.com/");
    assert_eq!(opsgenie.responders[0].kind, "team");
    let IntegrationConfig::Jira(jira) = &find("jira").config else { panic!("none") };
    assert_eq!((jira.summary.template.as_str(), jira.summary.enable_update), ("s", true));
    assert!(!jira.description.enable_update);
    assert_eq!(jira.reopen_duration, Duration::from_secs(86_400));
    let IntegrationConfig::Slack(slack) = &find("slack").config else { panic!("none") };
    assert_eq!((slack.actions[0].url.as_str(), slack.actions[0].name.as_str()), ("https://u", ""));
    assert_eq!(slack.title_link, r#"{{ template "slack.default.titlelink" . }}"#);
    let IntegrationConfig::Webhook(webhook) = &find("webhook").config else { panic!("none") };
    assert_eq!(webhook.timeout, Duration::from_secs(90));
    assert_eq!(webhook.payload, Some(serde_json::json!({"a": [1, "{{ .Status }}"]})));
}

#[test]
fn receivers_take_over_what_they_leave_to_global() {
    let global = "{opsgenie_api_key_file: /run/key, opsgenie_api_url: 'https://o', \
        http_config: {proxy_url: 'http://p', follow_redirects: false}}";
    let own = with_global(global, "opsgenie_configs: [{}]").expect("valid");
    let own = only!(own, OpsGenie);
    assert_eq!(*own.api_key, Secret::File("/run/key".into()));
    assert_eq!(own.api_url.as_str(), "https://o/");
    assert!(!own.http_config.follow_redirects);
    let own = with_global(global, "discord_configs: [{webhook_url: 'http://x', http_config: {}}]");
    assert!(only!(own.expect("valid"), Discord).http_config.proxy_url.is_none());
    let own =
        with_global(global, "msteamsv2_configs: [{webhook_url: 'http://x', http_config: {}}]");
    let own = only!(own.expect("valid"), MsTeamsV2);
    assert!(own.http_config.proxy_url.is_some() && own.http_config.follow_redirects);
}

#[test]
fn a_field_of_jira_without_a_template_has_the_usual_one() {
    let keys = "jira_configs: [{api_url: 'https://j/', project: P, issue_type: Bug, \
        summary: {enable_update: false}, description: {template: '', enable_update: true}}]";
    let jira = only!(receiver(keys).expect("valid"), Jira);
    assert_eq!(jira.summary.template, r#"{{ template "jira.default.summary" . }}"#);
    assert!(!jira.summary.enable_update);
    assert_eq!((jira.description.template.as_str(), jira.description.enable_update), ("", true));
}

#[test]
fn slack_posts_through_a_webhook_or_with_a_token() {
    let token = with_global("{slack_app_token: xoxb}", "slack_configs: [{channel: c}]");
    let token = only!(token.expect("valid"), Slack);
    let login = token.http_config.authorization.as_ref().expect("the token");
    assert_eq!(login.credentials, Some(Secret::Inline("xoxb".into())));
    assert_eq!(token.api_url.inline(), Some("https://slack.com/api/chat.postMessage"));
    let global = "{slack_api_url: 'https://hooks.slack.com/x'}";
    let hook = only!(with_global(global, "slack_configs: [{channel: c}]").expect("valid"), Slack);
    assert_eq!(hook.api_url.inline(), Some("https://hooks.slack.com/x"));
    let both = "slack_configs: [{api_url: 'https://a', app_token: t}]";
    assert!(receiver(both).expect_err("both").contains("at most one"));
    assert!(receiver("slack_configs: [{}]").expect_err("none").contains("no Slack API URL"));
    let update = "slack_configs: [{api_url: 'https://a', update_message: true}]";
    assert!(receiver(update).expect_err("webhook").contains("update_message"));
}

#[test]
fn receivers_that_cannot_work_are_refused() {
    for (keys, hint) in [
        ("webhook_configs: [{}]", "one of url or url_file"),
        ("webhook_configs: [{url: 'ftp://x'}]", "unsupported scheme"),
        (
            "webhook_configs: [{url: 'http://{{ .x'}]",
            "url: invalid template syntax: template: :1: ",
        ),
        ("slack_configs: [{api_url: '{{ .x }}', channel: c}]", "not a valid URL"),
        (
            "opsgenie_configs: [{api_key: k, responders: [{id: i, type: '{{ .x'}]}]",
            "invalid template syntax",
        ),
        ("telegram_configs: [{bot_token: t, chat_id_file: ''}]", "missing chat_id"),
        ("webhook_configs: [{url: 'http://x', url_file: f}]", "at most one of url"),
        ("email_configs: [{}]", "missing to address"),
        ("email_configs: [{to: a}]", "no global SMTP smarthost set"),
        ("email_configs: [{to: a, smarthost: ''}]", "no global SMTP smarthost set"),
        ("email_configs: [{to: a, smarthost: 'h:1'}]", "no global SMTP from set"),
        ("pagerduty_configs: [{}]", "missing service or routing key"),
        ("opsgenie_configs: [{}]", "no global OpsGenie API Key"),
        ("opsgenie_configs: [{api_key: k, responders: [{type: team}]}]", "at least one of id"),
        ("opsgenie_configs: [{api_key: k, responders: [{id: i, type: cat}]}]", "\"cat\""),
        ("victorops_configs: [{api_key: k}]", "missing Routing key"),
        ("pushover_configs: [{token: t}]", "user_key"),
        ("sns_configs: [{}]", "Topic ARN"),
        ("sns_configs: [{topic_arn: t, target_arn: t}]", "Topic ARN"),
        ("sns_configs: [{topic_arn: t, phone_number: p}]", "Topic ARN"),
        ("sns_configs: [{target_arn: t, phone_number: p}]", "Topic ARN"),
        ("telegram_configs: [{bot_token: t}]", "missing chat_id"),
        ("telegram_configs: [{chat_id: 1}]", "missing bot_token"),
        ("discord_configs: [{}]", "webhook_url"),
        ("webex_configs: [{room_id: r}]", "authorization"),
        ("jira_configs: [{api_url: 'http://j', issue_type: t}]", "missing project"),
        ("jira_configs: [{api_url: 'http://j', issue_type: t, project: p, api_type: x}]", "x"),
        ("rocketchat_configs: [{token: t}]", "TokenID"),
        ("mattermost_configs: [{}]", "missing webhook_url"),
        ("incidentio_configs: [{url: 'http://i', http_config: {}}]", "alert_source_token"),
        ("wechat_configs: [{api_secret: s}]", "CorpID"),
        ("carrier_pigeon_configs: []", "carrier_pigeon_configs"),
        ("labels: {name: b}", "must match receiver name"),
        (
            "webhook_configs: [{url: 'http://x', http_config: {basic_auth: {}, bearer_token: t}}]",
            "bearer_token",
        ),
        (
            "webhook_configs: [{url: 'http://x', http_config: {tls_config: {cert_file: c}}}]",
            "together",
        ),
    ] {
        let message = receiver(keys).expect_err(keys);
        assert!(message.contains(hint), "{keys}: {message}");
        assert!(message.starts_with("conf/alertmanager.yml:"), "{message}");
    }
}

#[test]
fn paths_of_http_config_are_seen_from_the_file() {
    let keys = "webhook_configs: [{url_file: u, http_config: {tls_config: {ca_file: ca.pem}, \
        basic_auth: {username: n, password_file: /run/p}}}]";
    let own = only!(receiver(keys).expect("valid"), Webhook);
    assert_eq!(own.http_config.tls_config.ca, Some(Secret::File("conf/ca.pem".into())));
    let auth = own.http_config.basic_auth.as_ref().expect("given");
    assert_eq!(auth.password, Some(Secret::File("/run/p".into())));
    assert_eq!(*own.url, Secret::File("u".into()));
    let text = "templates: ['*.tmpl', /abs/x.tmpl]\nroute: {receiver: a}\nreceivers: [{name: a}]";
    assert_eq!(config(text).expect("valid").templates, ["conf/*.tmpl", "/abs/x.tmpl"]);
}

#[test]
fn secrets_come_from_the_environment_too_and_are_never_shown() {
    let keys = "pagerduty_configs: [{routing_key_env: PD_KEY}]\ntelegram_configs: [{bot_token: hunter2, chat_id: 1}]";
    let receiver = receiver(keys).expect("valid");
    let IntegrationConfig::Pagerduty(own) = &receiver.integrations[0].config else {
        panic!("none")
    };
    assert_eq!(*own.key, PagerdutyKey::Routing(Secret::Env("PD_KEY".into())));
    assert!(!format!("{receiver:?}").contains("hunter2"));
}

#[test]
fn numbers_stand_for_texts_as_in_go() {
    let own = receiver("victorops_configs: [{api_key: 123, routing_key: 45}]").expect("valid");
    let own = only!(own, Victorops);
    assert_eq!((own.api_key.inline(), own.routing_key.as_str()), (Some("123"), "45"));
}

#[test]
fn a_key_without_a_value_is_nothing_whatever_the_default() {
    let keys = "slack_configs: [{api_url: 'http://s', channel: null, title: , link_names: ~, \
        send_resolved: null, fields: null, http_config: null}]";
    let own = only!(receiver(keys).expect("valid"), Slack);
    assert_eq!((own.title.as_str(), own.channel.as_str(), own.link_names), ("", "", false));
    assert!(own.text.contains("slack.default.text"), "what is not named keeps its default");
    let webhook = receiver("webhook_configs: [{url: 'http://h', max_alerts: , send_resolved: }]");
    let webhook = only!(webhook.expect("valid"), Webhook);
    assert_eq!((webhook.max_alerts, webhook.send_resolved), (0, false));
    let jira = "jira_configs: [{api_url: 'http://j', project: 5, issue_type: t, summary: 7}]";
    assert_eq!(only!(receiver(jira).expect("valid"), Jira).summary.template, "7");
    let jira = "jira_configs: [{api_url: 'http://j', project: 5, issue_type: t, summary: }]";
    assert_eq!(only!(receiver(jira).expect("valid"), Jira).summary.template, "");
    let text = "global: {smtp_smarthost: '', smtp_from: f}\nroute: {receiver: a}\n\
        receivers: [{name: a, email_configs: [{to: t, smarthost: 'h:25'}]}]\n";
    assert_eq!(config(text).expect("valid").receivers.len(), 1);
    let proxy = "webhook_configs: [{url: 'http://h', http_config: {proxy_url: ''}}]";
    assert!(only!(receiver(proxy).expect("valid"), Webhook).http_config.proxy_url.is_none());
    let text = "global: {smtp_from: }\nroute: {receiver: a, continue: , routes: [{matchers: }]}\n\
        receivers: [{name: a}]\n";
    assert_eq!(config(text).expect("valid").receivers.len(), 1);
    let wrong = "webhook_configs: [{url: 'http://h', max_alerts: x}]";
    assert!(receiver(wrong).expect_err("no number").starts_with("conf/alertmanager.yml:"));
}

#[test]
fn the_shared_files_load() {
    let root = std::env::var("TIDEWATCH_SHARED_DATA").map_or_else(
        |_| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let dir = root.join("rules/alertmanager");
    if !dir.exists() {
        println!("skipped: {} is not there", dir.display());
        return;
    }
    for name in ["conf.good.yml", "route_labels.yml", "simple.yml"] {
        let config = load(&dir.join(name)).expect(name);
        assert!(!config.receivers.is_empty());
        assert!(!config.yaml.contains("mysecret"), "{}", config.yaml);
    }
}
