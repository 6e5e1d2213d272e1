//! Requests and answers, byte by byte where clients look at bytes.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::model::{ManualClock, Timestamp};
use crate::notify::config;
use crate::notify::deliver::{Deliver, Notification, Outcome};
use crate::notify::service::NotifierOptions;
use crate::storage::{Store, StoreOptions};

const CONFIG: &str = "route: {receiver: a, group_by: [alertname], routes: [{matchers: [x=1], receiver: b, mute_time_intervals: [always]}]}\n\
    inhibit_rules: [{source_matchers: [s=crit], target_matchers: [s=warn], equal: [alertname]}]\n\
    time_intervals: [{name: always, time_intervals: [{}]}]\n\
    receivers: [{name: a, labels: {team: t}}, {name: b, webhook_configs: [{url: 'http://h/hunter2'}]}]\n";

/// Takes every message.
struct Nobody;

impl Deliver for Nobody {
    fn deliver(&self, _: &Notification, _: Duration) -> Outcome {
        crate::notify::service::delivered("taken")
    }
}

/// A server without a socket.
struct Api {
    router: Router,
    notifier: Notifier,
    _store: Arc<Store>,
    _dir: tempfile::TempDir,
}

impl Api {
    fn new() -> Api {
        let dir = tempfile::tempdir().expect("temporary directory");
        let at: jiff::Timestamp = "2026-11-21T10:00:00Z".parse().expect("a time");
        let clock = Arc::new(ManualClock::new(Timestamp(at.as_millisecond())));
        let options = StoreOptions::new(dir.path(), Arc::clone(&clock) as Arc<dyn Clock>);
        let store = Arc::new(Store::open(options, &|_| ()).expect("opens"));
        let config = config::parse(std::path::Path::new("f"), CONFIG).expect("valid");
        let notifier = Notifier::start(NotifierOptions {
            config: Arc::new(config),
            deliver: Arc::new(Nobody),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            store: Arc::clone(&store),
            history_retention: Duration::from_secs(3600),
            id_seed: 1,
        });
        let notifier = notifier.expect("starts");
        let state = AlertmanagerState {
            notifier: notifier.clone(),
            pool: CpuPool::new("test", 1, 8).expect("starts"),
            build: Arc::default(),
            started_at: clock.now(),
            clock,
        };
        Api { router: router(state), notifier, _store: store, _dir: dir }
    }

    async fn ask(&self, method: Method, uri: &str, body: Option<&str>) -> (StatusCode, String) {
        let mut request = Request::builder().method(method).uri(uri);
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Body::empty, |text| Body::from(text.to_owned()));
        let request = request.body(body).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let status = response.status();
        let bytes = response.into_body().collect().await.expect("a body").to_bytes();
        (status, String::from_utf8(bytes.to_vec()).expect("UTF-8"))
    }

    async fn get(&self, uri: &str) -> String {
        let (status, body) = self.ask(Method::GET, uri, None).await;
        assert_eq!(status, StatusCode::OK, "{uri}: {body}");
        body
    }

    async fn post(&self, uri: &str, body: Value) -> (StatusCode, String) {
        self.ask(Method::POST, uri, Some(&body.to_string())).await
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.notifier.stop(Duration::from_secs(5));
    }
}

#[tokio::test]
async fn alerts_are_taken_and_shown_as_alertmanager_shows_them() {
    let api = Api::new();
    assert_eq!(api.get("/api/v2/alerts").await, "[]");
    let posted = json!([{
        "labels": {"alertname": "X", "empty": ""},
        "annotations": {"summary": "s"},
        "generatorURL": "http://x/y",
    }]);
    assert_eq!(api.post("/api/v2/alerts", posted).await, (StatusCode::OK, String::new()));
    assert_eq!(
        api.get("/api/v2/alerts").await,
        r#"[{"annotations":{"summary":"s"},"endsAt":"2026-11-21T10:05:00.000Z","fingerprint":"d2aeefc389ca7746","receivers":[{"name":"a"}],"startsAt":"2026-11-21T10:00:00.000Z","status":{"inhibitedBy":[],"mutedBy":[],"silencedBy":[],"state":"active"},"updatedAt":"2026-11-21T10:00:00.000Z","generatorURL":"http://x/y","labels":{"alertname":"X"}}]"#
    );
    let groups: Value =
        serde_json::from_str(&api.get("/api/v2/alerts/groups").await).expect("JSON");
    assert_eq!(groups[0]["labels"], json!({"alertname": "X"}));
    assert_eq!(groups[0]["receiver"], json!({"name": "a"}));
    assert_eq!(groups[0]["routeLabels"], json!({}));
}

#[tokio::test]
async fn mistakes_are_answered_as_alertmanager_answers_them() {
    let api = Api::new();
    for (method, uri, body, status, answer) in [
        (
            "POST",
            "/api/v2/alerts",
            Some(r#"[{"annotations":{}}]"#),
            422,
            r#"{"code":602,"message":"0.labels in body is required"}"#,
        ),
        (
            "POST",
            "/api/v2/alerts",
            Some(r#"[{"labels":{}}]"#),
            400,
            r#""at least one label pair required""#,
        ),
        (
            "POST",
            "/api/v2/alerts",
            Some(
                r#"[{"labels":{"a":"b"},"startsAt":"2027-01-01T00:00:00Z","endsAt":"2026-01-01T00:00:00Z"}]"#,
            ),
            400,
            r#""start time must be before end time""#,
        ),
        (
            "POST",
            "/api/v2/alerts",
            Some(r#"[{"labels":{"a":"b"},"generatorURL":"::not"}]"#),
            422,
            r#"{"code":601,"message":"0.generatorURL in body must be of type uri: \"::not\""}"#,
        ),
        ("GET", "/api/v2/alerts?filter=foo", None, 400, r#""bad matcher format: foo""#),
        (
            "GET",
            "/api/v2/silences?filter=a%3D~%22%28%22",
            None,
            400,
            r#""error parsing regexp: missing closing ): `^(?:()$`""#,
        ),
        (
            "GET",
            "/api/v2/alerts/groups?receiver=a%29",
            None,
            400,
            r#""failed to parse receiver param: error parsing regexp: unexpected ): `^(?:a))$`""#,
        ),
        (
            "GET",
            "/api/v2/silence/nope",
            None,
            422,
            r#"{"code":601,"message":"silenceID in path must be of type uuid: \"nope\""}"#,
        ),
        ("GET", "/api/v2/silence/01234567-89ab-4def-8123-456789abcdef", None, 404, ""),
        ("DELETE", "/api/v2/silence/01234567-89ab-4def-8123-456789abcdef", None, 404, ""),
        (
            "POST",
            "/api/v2/silences",
            Some("{}"),
            422,
            r#"{"code":602,"message":"comment in body is required"}"#,
        ),
        (
            "PUT",
            "/api/v2/alerts",
            None,
            405,
            r#"{"code":405,"message":"method PUT is not allowed, but [GET,POST] are"}"#,
        ),
    ] {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let (found, text) = api.ask(method, uri, body).await;
        assert_eq!((found.as_u16(), text.as_str()), (status, answer), "{uri} {body:?}");
    }
    let (status, text) = api.ask(Method::POST, "/api/v2/alerts", Some("[{")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(
        text.starts_with(
            r#"{"code":400,"message":"parsing alerts body from \"\" failed, because "#
        ),
        "{text}"
    );
    let (status, text) = api.ask(Method::GET, "/api/v2/alerts?receiver=(", None).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(text.starts_with("\"failed to parse receiver param: "), "{text}");
}

fn silence(change: impl FnOnce(&mut Value)) -> Value {
    let mut silence = json!({
        "matchers": [{"name": "alertname", "value": "X", "isRegex": false}],
        "startsAt": "2026-11-21T09:00:00Z", "endsAt": "2026-11-21T11:00:00Z",
        "createdBy": "me", "comment": "why",
    });
    change(&mut silence);
    silence
}

#[tokio::test]
async fn silences_live_through_the_api() {
    let api = Api::new();
    api.post("/api/v2/alerts", json!([{"labels": {"alertname": "X"}}])).await.1.clear();
    let (status, body) = api.post("/api/v2/silences", silence(|_| ())).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    let id = answer["silenceID"].as_str().expect("an id").to_owned();
    assert_eq!(
        api.get("/api/v2/silences").await,
        format!(
            r#"[{{"id":"{id}","status":{{"state":"active"}},"updatedAt":"2026-11-21T10:00:00.000Z","comment":"why","createdBy":"me","endsAt":"2026-11-21T11:00:00.000Z","matchers":[{{"isEqual":true,"isRegex":false,"name":"alertname","value":"X"}}],"startsAt":"2026-11-21T10:00:00.000Z"}}]"#
        )
    );
    let alerts: Value = serde_json::from_str(&api.get("/api/v2/alerts").await).expect("JSON");
    assert_eq!(alerts[0]["status"]["silencedBy"], json!([id]));
    assert_eq!(alerts[0]["status"]["state"], "suppressed");
    assert_eq!(api.get("/api/v2/alerts?silenced=false").await, "[]");
    assert_eq!(api.get("/api/v2/silences?filter=alertname=Y").await, "[]");
    assert_ne!(api.get("/api/v2/silences?filter=alertname=X").await, "[]");
    let (status, body) = api.ask(Method::DELETE, &format!("/api/v2/silence/{id}"), None).await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, ""));
    assert_eq!(api.get("/api/v2/silences?expired=false").await, "[]");
    for (change, hint) in [
        (json!({"comment": ""}), "a comment is required"),
        (json!({"createdBy": ""}), "an author"),
        (json!({"endsAt": "2026-11-21T09:30:00Z"}), "end time can't be in the past"),
        (json!({"endsAt": "2026-11-21T08:30:00Z"}), "start time must be before end time"),
        (
            json!({"matchers": [{"name": "a", "value": "", "isRegex": false}]}),
            "must not match the empty string",
        ),
        (
            json!({"matchers": [{"name": "a", "value": "x(", "isRegex": true}]}),
            "invalid silence: invalid label matcher 0 in set 0: invalid regular expression \\\"x(\\\": \
             error parsing regexp: missing closing ): `x(`",
        ),
    ] {
        let posted = silence(|silence| {
            for (key, value) in change.as_object().expect("an object") {
                silence[key] = value.clone();
            }
        });
        let (status, body) = api.post("/api/v2/silences", posted).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert!(body.contains(hint), "{body}");
    }
    let id = "01234567-89ab-4def-8123-456789abcdef";
    let unknown = silence(|silence| silence["id"] = id.into());
    let answer = api.post("/api/v2/silences", unknown).await;
    assert_eq!(answer, (StatusCode::NOT_FOUND, "\"silence not found\"".to_owned()));
}

#[tokio::test]
async fn filters_choose_by_label_state_and_receiver() {
    let api = Api::new();
    let posted = json!([
        {"labels": {"alertname": "X", "s": "crit"}},
        {"labels": {"alertname": "X", "s": "warn"}},
        {"labels": {"alertname": "Y", "x": "1"}},
    ]);
    assert_eq!(api.post("/api/v2/alerts", posted).await.0, StatusCode::OK);
    for (query, expected) in [
        ("", 3),
        ("?filter=alertname=X", 2),
        ("?filter=alertname=X&filter=s!=warn", 1),
        ("?filter=x=", 2),
        ("?filter=x!=", 1),
        ("?inhibited=false", 2),
        ("?active=false", 1),
        ("?receiver=b", 1),
        ("?receiver=a|b", 3),
        ("?receiver=.", 3),
        ("?receiver_matchers=team=t", 2),
        ("?receiver_matchers=name=~b", 1),
    ] {
        let found = api.get(&format!("/api/v2/alerts{query}")).await;
        let found: Value = serde_json::from_str(&found).expect("JSON");
        assert_eq!(found.as_array().expect("an array").len(), expected, "{query}");
    }
    let found: Value = serde_json::from_str(&api.get("/api/v2/alerts/groups").await).expect("JSON");
    assert_eq!(found[1]["alerts"][0]["status"]["mutedBy"], json!(["always"]));
    assert_eq!(found[1]["alerts"][0]["status"]["state"], "suppressed");
    let found: Value =
        serde_json::from_str(&api.get("/api/v2/alerts/groups?muted=false").await).expect("JSON");
    assert_eq!(found.as_array().expect("an array").len(), 1);
}

#[tokio::test]
async fn the_status_has_every_key_and_no_secret() {
    let api = Api::new();
    let text = api.get("/api/v2/status").await;
    assert!(!text.contains("hunter2"), "{text}");
    let status: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(status["cluster"], json!({"peers": [], "status": "disabled"}));
    assert_eq!(status["uptime"], "2026-11-21T10:00:00.000Z");
    assert!(status["config"]["original"].as_str().is_some_and(|yaml| yaml.contains("http://h/")));
    for key in ["branch", "buildDate", "buildUser", "goVersion", "revision", "version"] {
        assert!(status["versionInfo"][key].is_string(), "{key}");
    }
    assert_eq!(
        api.get("/api/v2/receivers").await,
        r#"[{"labels":{"name":"a","team":"t"},"name":"a"},{"labels":{"name":"b"},"name":"b"}]"#
    );
}

#[tokio::test]
async fn the_history_is_read_in_pages_from_new_to_old() {
    let api = Api::new();
    for name in ["A", "B", "C"] {
        let posted = json!([{"labels": {"alertname": name}}]);
        assert_eq!(api.post("/api/v2/alerts", posted).await.0, StatusCode::OK);
    }
    assert_eq!(api.post("/api/v2/silences", silence(|_| ())).await.0, StatusCode::OK);
    let (mut names, mut next) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("/api/v1/alerts/history?limit=1{next}")).await;
        let page: Value = serde_json::from_str(&page).expect("JSON");
        let event = &page["data"]["events"][0];
        let alert = event["labels"]["alertname"].as_str();
        names.push(alert.or(event["kind"].as_str()).unwrap_or("none").to_owned());
        match page["data"]["nextToken"].as_str() {
            Some(token) => next = format!("&next_token={token}"),
            None => break,
        }
    }
    assert_eq!(names, ["silence_created", "C", "B", "A"]);
    let found = api.get("/api/v1/alerts/history?kind=silence_created").await;
    assert!(found.contains(r#""createdBy":"me","comment":"why""#), "{found}");
    let found = api.get("/api/v1/alerts/history?filter=alertname=B&kind=firing").await;
    assert_eq!(found.matches("\"kind\"").count(), 1, "{found}");
    for bad in ["kind=nonsense", "limit=1000000", "next_token=x", "filter=x", "start=x"] {
        let uri = format!("/api/v1/alerts/history?{bad}");
        assert_eq!(api.ask(Method::GET, &uri, None).await.0, StatusCode::BAD_REQUEST, "{bad}");
    }
}
