//! A small Airflow for tests: filters and pages lists as the real one does.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use serde_json::{Value, json};

use super::client::Api;

/// What the server has. Entries carry the key `_updated` (ms), which stands for `updated_at`.
#[derive(Debug)]
pub struct World {
    /// Which API it speaks.
    pub api: Api,
    /// Its time (ms).
    pub now: i64,
    /// Runs.
    pub runs: Vec<Value>,
    /// Task instances.
    pub tasks: Vec<Value>,
    /// Attempts, by task.
    pub tries: HashMap<String, Vec<Value>>,
    /// Other answers, by path below the API.
    pub other: HashMap<String, Value>,
    /// Whether every answer is an error.
    pub is_broken: bool,
    /// The token that is accepted; a login gives it out.
    pub token: String,
    /// Paths that were asked.
    pub requests: Vec<String>,
}

/// A running server.
#[derive(Debug)]
pub struct FakeServer {
    /// Where it listens.
    pub address: SocketAddr,
    world: Arc<Mutex<World>>,
}

impl FakeServer {
    /// Starts a server without runs.
    pub fn start(api: Api, now: i64) -> FakeServer {
        let health = json!({"metadatabase": {"status": "healthy"}, "scheduler": {
            "status": "healthy", "latest_scheduler_heartbeat": "2026-11-21T02:00:00Z"}});
        let pool = json!({"name": "default_pool", "slots": 128, "open_slots": 120});
        let other = HashMap::from([
            (api.health().to_owned(), health),
            ("/pools".to_owned(), json!({"pools": [pool], "total_entries": 1})),
            ("/importErrors".to_owned(), json!({"import_errors": [{}], "total_entries": 2})),
            (
                "/dags".to_owned(),
                json!({"dags": [{"dag_id": "etl", "is_paused": true,
                "owners": ["ann"], "tags": [{"name": "x"}]}], "total_entries": 1}),
            ),
        ]);
        let world = Arc::new(Mutex::new(World {
            api,
            now,
            runs: Vec::new(),
            tasks: Vec::new(),
            tries: HashMap::new(),
            other,
            is_broken: false,
            token: "first".to_owned(),
            requests: Vec::new(),
        }));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        listener.set_nonblocking(true).expect("non-blocking");
        let served = Arc::clone(&world);
        std::thread::spawn(move || serve(listener, served));
        FakeServer { address, world }
    }

    /// What it has, to be looked at and changed.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("no panic in the server")
    }
}

fn serve(listener: TcpListener, world: Arc<Mutex<World>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async move {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
        let router = axum::Router::new().fallback(answer).with_state(world);
        axum::serve(listener, router).await.expect("served");
    });
}

async fn answer(State(world): State<Arc<Mutex<World>>>, request: Request) -> Response<Body> {
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or(""));
    let header = request.headers().get("authorization");
    let header = header.and_then(|value| value.to_str().ok()).unwrap_or("");
    let mut world = world.lock().expect("no panic in another answer");
    world.requests.push(format!("{path}?{query}"));
    let (status, body) = world.answer(path, query, header);
    let date = jiff::Timestamp::from_millisecond(world.now).expect("a time");
    let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&date);
    let response = Response::builder().status(status).header("date", date.expect("a date"));
    response.body(Body::from(body.to_string())).expect("an answer")
}

impl World {
    fn answer(&self, path: &str, query: &str, authorization: &str) -> (u16, Value) {
        if self.is_broken {
            return (500, json!({"detail": "Database error"}));
        }
        if path == "/auth/token" {
            return (201, json!({"access_token": self.token}));
        }
        let prefix = if self.api == Api::V1 { "/api/v1" } else { "/api/v2" };
        let Some(path) = path.strip_prefix(prefix) else {
            return (404, json!({"detail": "Not Found"}));
        };
        let expected = match self.api {
            Api::V1 => "Basic dTpw".to_owned(), // u:p
            Api::V2 => format!("Bearer {}", self.token),
        };
        if path == "/version" {
            return (200, json!({"version": if self.api == Api::V1 { "2.11.2" } else { "3.3.2" }}));
        }
        if authorization != expected {
            return (if self.api == Api::V1 { 403 } else { 401 }, json!({"detail": "no"}));
        }
        self.list(path, query)
    }

    fn list(&self, path: &str, query: &str) -> (u16, Value) {
        match path {
            "/dags/~/dagRuns" => (200, page("dag_runs", &self.runs, query)),
            "/dags/~/dagRuns/~/taskInstances" => (200, page("task_instances", &self.tasks, query)),
            _ if self.other.contains_key(path) => (200, self.other[path].clone()),
            _ if path.ends_with("/tries") => {
                let task = path.rsplit('/').nth(1).unwrap_or_default();
                match self.tries.get(task) {
                    Some(tries) => (200, page("task_instances", tries, "")),
                    None => (404, json!({"detail": "no such task"})),
                }
            }
            _ => self.one_run(path),
        }
    }

    fn one_run(&self, path: &str) -> (u16, Value) {
        let mut parts = path.split('/').skip(4);
        let id = parts.next().unwrap_or_default();
        let Some(run) = self.runs.iter().find(|run| run["dag_run_id"] == id) else {
            return (404, json!({"detail": "no such run"}));
        };
        let of_run = self.tasks.iter().filter(|task| task["dag_run_id"] == id).cloned();
        let of_run: Vec<Value> = of_run.collect();
        match parts.next() {
            Some("taskInstances") => (200, page("task_instances", &of_run, "")),
            _ => (200, run.clone()),
        }
    }
}

/// The page of `entries` that `query` asks for.
fn page(key: &str, entries: &[Value], query: &str) -> Value {
    let pairs: Vec<(String, String)> =
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let all = |name: &str| -> Vec<&str> {
        pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    };
    let time = |name: &str| {
        let text = all(name).first().copied()?;
        Some(text.parse::<jiff::Timestamp>().expect("a time").as_millisecond())
    };
    let number = |name: &str, default| {
        all(name).first().map_or(default, |text| text.parse().expect("a number"))
    };
    let (states, from, until) = (all("state"), time("updated_at_gte"), time("updated_at_lte"));
    let fits = |entry: &&Value| {
        let updated = entry["_updated"].as_i64().unwrap_or(0);
        let state = entry["state"].as_str().unwrap_or("none");
        (states.is_empty() || states.contains(&state))
            && from.is_none_or(|from| updated >= from)
            && until.is_none_or(|until| updated <= until)
    };
    let found: Vec<&Value> = entries.iter().filter(fits).collect();
    let limit = number("limit", 100).min(100);
    let shown: Vec<&Value> = found.iter().skip(number("offset", 0)).take(limit).copied().collect();
    json!({ key: shown, "total_entries": found.len() })
}
