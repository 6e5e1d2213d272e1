//! Jira: an issue a group, found again by a label.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::context::{Context, go_json};
use super::trouble::{Trouble, check_status};
use super::wire::Request;
use super::{Done, cut};
use crate::notify::config::{JiraApi, JiraConfig};
use crate::notify::deliver::FailureKind;
use crate::template::go_quote;
use crate::url_text;

/// Longest summary and description in characters.
const SUMMARY_CHARS_MAX: usize = 255;
const DESCRIPTION_CHARS_MAX: usize = 32_767;

/// An issue that is there already.
#[derive(Deserialize)]
struct Issue {
    key: String,
    fields: Option<IssueFields>,
}

#[derive(Deserialize)]
struct IssueFields {
    status: Option<Status>,
}

#[derive(Deserialize)]
struct Status {
    #[serde(rename = "statusCategory", default)]
    category: Category,
}

#[derive(Default, Deserialize)]
struct Category {
    #[serde(default)]
    key: String,
}

#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    issues: Vec<Issue>,
}

#[derive(Deserialize)]
struct Transitions {
    #[serde(default)]
    transitions: Vec<Transition>,
}

#[derive(Deserialize)]
struct Transition {
    id: String,
    name: String,
}

pub(super) fn tell(config: &JiraConfig, context: &mut Context<'_>) -> Result<Done, Trouble> {
    let issue = find(config, context)
        .map_err(|trouble| trouble.while_doing("failed to look up existing issues"))?;
    let Some(issue) = issue else {
        if !context.is_firing() {
            return Ok(Done::note("no issue is open"));
        }
        let body = json!({ "fields": fields(config, context, (true, true))? });
        let (status, _) = call(config, context, "POST", &at(config, "issue"), Some(&body))?;
        return Ok(Done::status(status));
    };
    let parts = (config.summary.enable_update, config.description.enable_update);
    let fields = fields(config, context, parts)?;
    let path = format!("issue/{}", url_text::segment(&issue.key));
    let body = json!({ "fields": fields });
    let (status, _) = call(config, context, "PUT", &at(config, &path), Some(&body))?;
    move_on(config, context, &issue, &path)?;
    Ok(Done::status(status))
}

fn at(config: &JiraConfig, path: &str) -> String {
    format!("{}/{path}", config.api_url.as_str().trim_end_matches('/'))
}

/// Sends a request; status and body of the answer. A request that gets no answer is not sent
/// again: an issue might be created twice.
fn call(
    config: &JiraConfig,
    context: &mut Context<'_>,
    method: &'static str,
    url: &str,
    body: Option<&Json>,
) -> Result<(u16, String), Trouble> {
    let request = match body {
        Some(body) => Request::json(method, url, go_json(body)),
        None => Request::get(url).header("Content-Type", "application/json"),
    };
    let request = request.header("Accept-Language", "en");
    let answer = context.send(&config.http_config, request, Duration::ZERO);
    let answer = answer.map_err(|trouble| Trouble { is_temporary: false, ..trouble })?;
    check_status(answer.status, &answer.body, answer.retry_after, &[])?;
    Ok((answer.status, answer.body))
}

fn decode<T: serde::de::DeserializeOwned>(body: &str) -> Result<T, Trouble> {
    serde_json::from_str(body).map_err(|error| {
        Trouble::lasting(FailureKind::Other, format!("Jira's answer cannot be read: {error}"))
    })
}

/// The issue of the group that is open, or that may be opened again.
fn find(config: &JiraConfig, context: &mut Context<'_>) -> Result<Option<Issue>, Trouble> {
    let mut query = String::new();
    if !config.wont_fix_resolution.is_empty() {
        let resolution = go_quote(&config.wont_fix_resolution);
        query = format!("(resolution is EMPTY or resolution != {resolution}) and ");
    }
    let minutes = config.reopen_duration.as_secs() / 60;
    let reopens = context.is_firing() && !config.reopen_transition.is_empty() && minutes > 0;
    match reopens {
        true => query
            .push_str(&format!("(resolutiondate is EMPTY OR resolutiondate >= -{minutes}m) and ")),
        false => query.push_str("statusCategory != Done and "),
    }
    let project = go_quote(&context.setting("project", &config.project)?);
    let label = go_quote(&label(context));
    query.push_str(&format!(
        "project={project} and labels={label} order by status ASC,resolutiondate DESC"
    ));
    let body = json!({ "fields": ["status"], "jql": query, "maxResults": 2 });
    let (_, body) = call(config, context, "POST", &search_url(config), Some(&body))?;
    Ok(decode::<Found>(&body)?.issues.into_iter().next())
}

fn label(context: &Context<'_>) -> String {
    format!("ALERT{{{}}}", context.key_hash())
}

/// Jira's cloud has another way to search.
fn search_url(config: &JiraConfig) -> String {
    let host = url::Url::parse(config.api_url.as_str()).ok();
    let host = host.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    let is_cloud = match config.api_type {
        JiraApi::Cloud => true,
        JiraApi::Datacenter => false,
        JiraApi::Auto => host.ends_with("atlassian.net"),
    };
    match is_cloud {
        true => at(config, "search/jql").replacen("/rest/api/2/", "/rest/api/3/", 1),
        false => at(config, "search"),
    }
}

/// What an issue is to hold; with or without the configured summary and description. Further fields
/// may replace any.
fn fields(
    config: &JiraConfig,
    context: &Context<'_>,
    (with_summary, with_description): (bool, bool),
) -> Result<Map<String, Json>, Trouble> {
    let summary = context.setting("summary template", &config.summary.template)?;
    let project = context.setting("project template", &config.project)?;
    let issue_type = context.setting("issue_type template", &config.issue_type)?;
    let mut labels = Vec::new();
    for template in &config.labels {
        labels.push(context.setting("labels template", template)?);
    }
    labels.push(label(context));
    labels.sort();
    let mut fields = Map::new();
    if with_summary {
        fields.insert("summary".to_owned(), cut::to_chars(summary, SUMMARY_CHARS_MAX).into());
    }
    fields.insert("project".to_owned(), json!({ "key": project }));
    fields.insert("issuetype".to_owned(), json!({ "name": issue_type }));
    fields.insert("labels".to_owned(), labels.into());
    if let Some(description) = description(config, context)?.filter(|_| with_description) {
        fields.insert("description".to_owned(), description);
    }
    let priority = context.setting("priority template", &config.priority)?;
    if !priority.is_empty() {
        fields.insert("priority".to_owned(), json!({ "name": priority }));
    }
    for (name, value) in &config.fields {
        fields.insert(name.clone(), context.structure(value)?);
    }
    Ok(fields)
}

/// A text; for version 3 of the API a document in JSON.
fn description(config: &JiraConfig, context: &Context<'_>) -> Result<Option<Json>, Trouble> {
    let text = context.setting("description template", &config.description.template)?;
    let text = cut::to_chars(text, DESCRIPTION_CHARS_MAX);
    let is_v3 = config.api_url.as_str().trim_end_matches('/').ends_with("/3");
    match is_v3 {
        true if text.trim().is_empty() => Ok(None),
        true => serde_json::from_str(text.trim()).map(Some).map_err(|_| {
            let why = "description template: no JSON, as version 3 of the API wants it";
            Trouble::lasting(FailureKind::Other, why)
        }),
        false => Ok((!text.is_empty()).then(|| text.into())),
    }
}

/// Opens or closes the issue, where its state is not that of the group.
fn move_on(
    config: &JiraConfig,
    context: &mut Context<'_>,
    issue: &Issue,
    path: &str,
) -> Result<(), Trouble> {
    let status = issue.fields.as_ref().and_then(|fields| fields.status.as_ref());
    let Some(status) = status else { return Ok(()) };
    let is_done = status.category.key == "done";
    let wanted = match (context.is_firing(), is_done) {
        (true, true) => &config.reopen_transition,
        (false, false) => &config.resolve_transition,
        _ => return Ok(()),
    };
    if wanted.is_empty() {
        return Ok(());
    }
    let url = at(config, &format!("{path}/transitions"));
    let (_, body) = call(config, context, "GET", &url, None)?;
    let all = decode::<Transitions>(&body)?.transitions;
    let Some(transition) = all.iter().find(|transition| transition.name == *wanted) else {
        let why = format!("can't find transition {wanted} for issue {}", issue.key);
        return Err(Trouble::lasting(FailureKind::Other, why));
    };
    let body = json!({ "transition": { "id": transition.id } });
    call(config, context, "POST", &url, Some(&body))?;
    Ok(())
}
