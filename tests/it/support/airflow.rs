//! A small Airflow 3: fixed answers by path, runs and task instances as they are set.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

/// Answers by path below `/api/v2`; of runs and task instances only the active ones when the query
/// asks for states.
type Answers = Arc<Mutex<BTreeMap<String, Value>>>;

/// A running server.
pub struct FakeAirflow {
    pub url: String,
    answers: Answers,
}

impl FakeAirflow {
    /// A server without DAGs.
    pub fn start() -> FakeAirflow {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let answers = Answers::default();
        let served = Arc::clone(&answers);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answers = Arc::clone(&served);
                thread::spawn(move || serve(stream, &answers));
            }
        });
        let server = FakeAirflow { url, answers };
        server.set("/version", json!({"version": "3.3.2"}));
        let healthy = json!({"status": "healthy"});
        server.set("/monitor/health", json!({"scheduler": healthy, "metadatabase": healthy}));
        server.set("/importErrors", json!({"import_errors": [], "total_entries": 3}));
        for (path, key) in [
            ("/dags", "dags"),
            ("/dagStats", "dags"),
            ("/pools", "pools"),
            ("/dags/~/dagRuns", "dag_runs"),
            ("/dags/~/dagRuns/~/taskInstances", "task_instances"),
        ] {
            server.set(path, json!({key: [], "total_entries": 0}));
        }
        server
    }

    /// Answers `path` so from now on.
    pub fn set(&self, path: &str, answer: Value) {
        self.answers.lock().expect("no panic").insert(path.to_owned(), answer);
    }

    /// Sets a list; its entries must fit a page.
    pub fn set_list(&self, path: &str, key: &str, entries: Vec<Value>) {
        let total = entries.len();
        self.set(path, json!({key: entries, "total_entries": total}));
    }
}

fn serve(stream: TcpStream, answers: &Answers) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    // Until the client closes the connection.
    while reader.read_line(&mut line).is_ok_and(|length| length > 0) {
        let target = line.split(' ').nth(1).expect("a target").to_owned();
        let mut header = String::new();
        while reader.read_line(&mut header).is_ok_and(|length| length > 2) {
            header.clear();
        }
        let (status, body) = answer(&target, answers);
        let body = body.to_string();
        let length = body.len();
        let head = format!("HTTP/1.1 {status} OK\r\ncontent-length: {length}\r\n\r\n");
        if reader.get_mut().write_all(format!("{head}{body}").as_bytes()).is_err() {
            return;
        }
        line.clear();
    }
}

fn answer(target: &str, answers: &Answers) -> (u16, Value) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = path.strip_prefix("/api/v2").unwrap_or(path);
    let Some(mut found) = answers.lock().expect("no panic").get(path).cloned() else {
        return (404, json!({"detail": "not found"}));
    };
    if query.contains("state=") {
        let lists = found.as_object_mut().expect("an object").values_mut();
        for list in lists.filter_map(Value::as_array_mut) {
            let is_asked = |entry: &Value| {
                let state = entry["state"].as_str().unwrap_or_default();
                query.split('&').any(|pair| pair.strip_prefix("state=") == Some(state))
            };
            list.retain(is_asked);
        }
    }
    (200, found)
}
