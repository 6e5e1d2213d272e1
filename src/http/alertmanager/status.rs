//! `/api/v2/status` and `/api/v2/receivers`.

use axum::extract::State;
use axum::response::Response;

use super::super::params::Params;
use super::AlertmanagerState;
use super::answer::{self, Refusal};
use super::filter::{receiver_matchers, receiver_matches};

/// Version, configuration, and that there is no cluster.
pub(super) async fn status(State(state): State<AlertmanagerState>) -> Response {
    let config = state.notifier.ask(|machine, _| std::sync::Arc::clone(machine.config()));
    let build = &state.build;
    answer::document(|out| {
        out.begin_object();
        out.key("cluster");
        out.begin_object();
        out.key("peers");
        out.strings([]);
        out.string_field("status", "disabled");
        out.end_object();
        out.key("config");
        out.begin_object();
        out.string_field("original", &config.yaml);
        out.end_object();
        answer::time(out, "uptime", state.started_at);
        out.key("versionInfo");
        out.begin_object();
        for (key, value) in [
            ("branch", &build.branch),
            ("buildDate", &build.build_date),
            ("buildUser", &build.build_user),
            ("goVersion", &build.compiler),
            ("revision", &build.revision),
            ("version", &build.version),
        ] {
            out.string_field(key, value);
        }
        out.end_object();
        out.end_object();
    })
}

/// Names and labels of the receivers.
pub(super) async fn receivers(
    State(state): State<AlertmanagerState>,
    params: Params,
) -> Result<Response, Refusal> {
    let matchers = receiver_matchers(&params)?;
    let config = state.notifier.ask(|machine, _| std::sync::Arc::clone(machine.config()));
    Ok(answer::document(|out| {
        out.begin_array();
        for receiver in config.receivers.iter().filter(|one| receiver_matches(&matchers, one)) {
            out.begin_object();
            out.key("labels");
            out.begin_object();
            receiver.labels.iter().for_each(|(name, value)| out.string_field(name, value));
            out.end_object();
            out.string_field("name", &receiver.name);
            out.end_object();
        }
        out.end_array();
    }))
}
