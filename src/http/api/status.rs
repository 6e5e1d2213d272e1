//! `status/...` and `notifications`.

use axum::extract::State;
use axum::http::StatusCode;

use crate::model::Timestamp;
use crate::runtime::cores;

use super::super::answer::Answer;
use super::super::state::HttpState;

/// The configuration in force.
pub async fn config(State(state): State<HttpState>) -> Answer {
    let live = state.live_config();
    Answer::new(|out| {
        out.begin_object();
        out.string_field("yaml", &live.yaml);
        out.end_object();
    })
}

/// Command-line flags and their values.
pub async fn flags(State(state): State<HttpState>) -> Answer {
    let live = state.live_config();
    Answer::new(|out| {
        out.begin_object();
        for (flag, value) in &live.flags {
            out.string_field(flag, value);
        }
        out.end_object();
    })
}

/// What was built. There must be no `features` key: Grafana takes a server that has one for Mimir.
pub async fn build_info(State(state): State<HttpState>) -> Answer {
    let build = &state.options().build;
    Answer::new(|out| {
        out.begin_object();
        out.string_field("version", &build.version);
        out.string_field("revision", &build.revision);
        out.string_field("branch", &build.branch);
        out.string_field("buildUser", &build.build_user);
        out.string_field("buildDate", &build.build_date);
        out.string_field("goVersion", &build.compiler);
        out.end_object();
    })
}

/// The running process. Keys about the Go runtime are there because clients read them; they are
/// 0 or empty where they have no counterpart.
pub async fn runtime_info(State(state): State<HttpState>) -> Answer {
    let live = state.live_config();
    let here = std::env::current_dir();
    let directory = here.map_or_else(|_| String::new(), |path| path.display().to_string());
    let threads = cores() as i64;
    Answer::new(|out| {
        out.begin_object();
        out.string_field("startTime", &calendar(state.started_at()));
        out.string_field("CWD", &directory);
        out.string_field("hostname", &hostname());
        out.string_field("serverTime", &calendar(state.now()));
        out.key("reloadConfigSuccess");
        out.boolean(live.reload_ok);
        out.string_field("lastConfigTime", &calendar(live.loaded_at));
        for (key, value) in [
            ("corruptionCount", 0),
            ("goroutineCount", 0),
            ("GOMAXPROCS", threads),
            ("GOMEMLIMIT", 0),
        ] {
            out.key(key);
            out.integer(value);
        }
        out.string_field("GOGC", "");
        out.string_field("GODEBUG", "");
        out.string_field("storageRetention", &live.retention);
        out.end_object();
    })
}

/// How far reading the journals back is. Served before the store is ready, for a start page.
pub async fn wal_replay(State(state): State<HttpState>) -> Answer {
    let progress = state.recovery().now();
    Answer::new(|out| {
        out.begin_object();
        for (key, number) in
            [("min", progress.first), ("max", progress.last), ("current", progress.current)]
        {
            out.key(key);
            out.unsigned(number);
        }
        out.end_object();
    })
}

/// Messages for the user interface: none.
pub async fn notifications() -> Answer {
    Answer::new(|out| {
        out.begin_array();
        out.end_array();
    })
}

/// The stream of such messages: 204 tells a browser not to ask again.
pub async fn notifications_live() -> StatusCode {
    StatusCode::NO_CONTENT
}

fn calendar(time: Timestamp) -> String {
    time.to_string()
}

fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok());
    name.map_or_else(String::new, |name| name.trim().to_owned())
}
