//! Pages for people: the status page at `/`, `/version`, and where old bookmarks lead.

use std::fmt::Write;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::json::JsonWriter;
use super::state::{HttpState, Readiness};

/// Links of the status page: path and what is there.
const LINKS: [(&str, &str); 9] = [
    ("/metrics", "own metrics"),
    ("/-/healthy", "health"),
    ("/-/ready", "readiness"),
    ("/api/v1/status/runtimeinfo", "runtime"),
    ("/api/v1/status/buildinfo", "build"),
    ("/api/v1/status/config", "configuration"),
    ("/api/v1/status/flags", "flags"),
    ("/api/v1/status/tsdb", "series in memory"),
    ("/api/v1/rules", "rules"),
];

/// The status page.
pub async fn index(State(state): State<HttpState>) -> Html<String> {
    let readiness = match state.readiness() {
        Readiness::Starting => "starting",
        Readiness::Ready => "ready",
        Readiness::Stopping => "stopping",
    };
    let mut page = String::from(HEAD);
    let version = escaped(&state.options().build.version);
    let _ = write!(page, "<p>Version {version}, {readiness}, up since {}.</p>", state.started_at());
    page.push_str("<ul>");
    for (path, what) in LINKS {
        let _ = write!(page, "<li><a href=\"{path}\">{path}</a> {what}</li>");
    }
    page.push_str(
        "</ul>\n<p>Point Grafana's Prometheus data source at this address.</p>\n</html>\n",
    );
    Html(page)
}

const HEAD: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
    <title>Tidewatch</title>\n<style>body { font: 1rem sans-serif; margin: 2rem }</style>\n\
    <h1>Tidewatch</h1>\n";

/// Sends old addresses to the status page.
pub async fn to_index() -> Response {
    (StatusCode::FOUND, [(header::LOCATION, "/")]).into_response()
}

/// What was built, as bare JSON without the API's envelope.
pub async fn version(State(state): State<HttpState>) -> Response {
    let build = &state.options().build;
    let mut out = JsonWriter::new();
    out.begin_object();
    for (key, value) in [
        ("version", &build.version),
        ("revision", &build.revision),
        ("branch", &build.branch),
        ("buildUser", &build.build_user),
        ("buildDate", &build.build_date),
        ("goVersion", &build.compiler),
    ] {
        out.string_field(key, value);
    }
    out.end_object();
    super::answer::json_response(StatusCode::OK, out.finish())
}

/// Any path that leads nowhere.
pub async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}

/// A known path with a method it does not have.
pub async fn method_not_allowed() -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n").into_response()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
