//! The templates that every receiver's defaults name, and those that users add.
//!
//! In: files. Out: a [`TemplateSet`]. Never here: executing them.
//!
//! The names are Alertmanager's, since users' templates call and replace them. What they print is
//! what Alertmanager's print, but for the HTML of mails, which is ours.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::template::functions::alertmanager;
use crate::template::{TemplateError, TemplateSet};

/// Largest template file in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Names that print what another prints.
const ALIASES: [(&str, &str); 31] = [
    ("slack.default.title", "__subject"),
    ("slack.default.username", "__alertmanager"),
    ("slack.default.titlelink", "__alertmanagerURL"),
    ("pagerduty.default.description", "__subject"),
    ("pagerduty.default.client", "__alertmanager"),
    ("pagerduty.default.clientURL", "__alertmanagerURL"),
    ("pagerduty.default.instances", "__text_alert_list"),
    ("opsgenie.default.message", "__subject"),
    ("opsgenie.default.source", "__alertmanagerURL"),
    ("victorops.default.entity_display_name", "__subject"),
    ("victorops.default.monitoring_tool", "__alertmanager"),
    ("pushover.default.title", "__subject"),
    ("pushover.default.url", "__alertmanagerURL"),
    ("sns.default.subject", "__subject"),
    ("discord.default.title", "__subject"),
    ("msteams.default.summary", "__subject"),
    ("msteams.default.title", "__subject"),
    ("msteamsv2.default.title", "__subject"),
    ("jira.default.summary", "__subject"),
    ("rocketchat.default.title", "__subject"),
    ("rocketchat.default.alias", "__alertmanager"),
    ("rocketchat.default.titlelink", "__alertmanagerURL"),
    ("mattermost.default.username", "__alertmanager"),
    ("mattermost.default.title", "__subject"),
    ("mattermost.default.titlelink", "__alertmanagerURL"),
    ("mattermost.default.color", "slack.default.color"),
    ("email.default.subject", "__subject"),
    ("telegram.default.message", "__tidewatch_wide"),
    ("discord.default.message", "__tidewatch_wide"),
    ("opsgenie.default.description", "__tidewatch_close"),
    ("victorops.default.state_message", "__tidewatch_close"),
];

/// Names whose text begins with the annotations that all alerts share, then both kinds of alerts.
const ANNOTATED: [&str; 3] =
    ["pushover.default.message", "sns.default.message", "webex.default.message"];

/// Names whose text is both kinds of alerts in Markdown.
const MARKDOWN: [&str; 4] = [
    "msteams.default.text",
    "msteamsv2.default.text",
    "jira.default.description",
    "mattermost.default.text",
];

/// Names that print nothing until somebody replaces them.
const EMPTY: [&str; 15] = [
    "__description",
    "slack.default.callbackid",
    "slack.default.pretext",
    "slack.default.iconemoji",
    "slack.default.iconurl",
    "slack.default.text",
    "slack.default.footer",
    "wechat.default.to_user",
    "wechat.default.to_party",
    "wechat.default.to_tag",
    "wechat.default.agent_id",
    "discord.default.content",
    "rocketchat.default.emoji",
    "rocketchat.default.iconurl",
    "rocketchat.default.text",
];

/// What the names above stand on.
const BASE: &str = r##"
{{- define "__alertmanager" }}Alertmanager{{ end }}
{{- define "__alertmanagerURL" -}}
  {{ .ExternalURL }}/#/alerts?receiver={{ urlquery .Receiver }}
{{- end }}
{{- define "__subject" -}}
  [
  {{- if eq .Status "firing" }}FIRING:{{ len .Alerts.Firing }}{{ else }}{{ toUpper .Status }}{{ end -}}
  ] {{ .GroupLabels.Values.Join " " }}{{ " " }}
  {{- $others := .CommonLabels.Remove .GroupLabels.Names }}
  {{- if gt (len .CommonLabels) (len .GroupLabels) }}({{ $others.Values.Join " " }}){{ end }}
{{- end }}
{{- define "__text_alert_list" -}}
  {{- range . -}}
    {{ "Labels:\n" }}
    {{- range .Labels.SortedPairs }}{{ print " - " .Name " = " .Value "\n" }}{{ end -}}
    {{ "Annotations:\n" }}
    {{- range .Annotations.SortedPairs }}{{ print " - " .Name " = " .Value "\n" }}{{ end -}}
    {{ print "Source: " .GeneratorURL "\n" }}
  {{- end -}}
{{ end }}
{{- define "__text_alert_list_markdown" -}}
  {{- range . -}}
    {{ "\nLabels:\n" }}
    {{- range .Labels.SortedPairs }}{{ print "  - " .Name " = " .Value "\n" }}{{ end -}}
    {{ "\nAnnotations:\n" }}
    {{- range .Annotations.SortedPairs }}{{ print "  - " .Name " = " .Value "\n" }}{{ end -}}
    {{ print "\nSource: " .GeneratorURL "\n" }}
  {{- end -}}
  {{ "\n" }}
{{- end }}
{{- define "__tidewatch_close" -}}
  {{ .CommonAnnotations.Values.Join " " }}{{ "\n" }}
  {{- with .Alerts.Firing }}{{ "Alerts Firing:\n" }}{{ template "__text_alert_list" . }}{{ end -}}
  {{ "\n" }}
  {{- with .Alerts.Resolved }}{{ "Alerts Resolved:\n" }}{{ template "__text_alert_list" . }}{{ end }}
{{- end }}
{{- define "__tidewatch_wide" -}}
  {{ "\n" }}
  {{- with .Alerts.Firing -}}
    {{ "\nAlerts Firing:\n" }}{{ template "__text_alert_list" . }}{{ "\n" }}
  {{- end -}}
  {{ "\n" }}
  {{- with .Alerts.Resolved -}}
    {{ "\nAlerts Resolved:\n" }}{{ template "__text_alert_list" . }}{{ "\n" }}
  {{- end -}}
  {{ "\n" }}
{{- end }}
{{- define "__tidewatch_markdown" -}}
  {{ "\n" }}
  {{- with .Alerts.Firing -}}
    {{ "\n# Alerts Firing:\n" }}{{ template "__text_alert_list_markdown" . }}{{ "\n" }}
  {{- end -}}
  {{ "\n" }}
  {{- with .Alerts.Resolved -}}
    {{ "\n# Alerts Resolved:\n" }}{{ template "__text_alert_list_markdown" . }}{{ "\n" }}
  {{- end -}}
  {{ "\n" }}
{{- end }}
{{- define "slack.default.fallback" -}}
  {{ template "slack.default.title" . }} | {{ template "slack.default.titlelink" . }}
{{- end }}
{{- define "mattermost.default.fallback" -}}
  {{ template "mattermost.default.title" . }} | {{ template "mattermost.default.titlelink" . }}
{{- end }}
{{- define "slack.default.color" -}}
  {{ if eq .Status "firing" }}danger{{ else }}good{{ end }}
{{- end }}
{{- define "wechat.default.message" -}}
  {{ template "__subject" . }}{{ "\n" }}{{ template "__tidewatch_close" . }}
  {{- "\nAlertmanagerUrl:\n" }}{{ template "__alertmanagerURL" . }}
{{- end }}
{{- define "jira.default.priority" -}}
  {{- $known := dict "critical" "High" "warning" "Medium" "info" "Low" }}
  {{- $found := "" }}
  {{- range list .Alerts.Firing .Alerts.Resolved }}
    {{- if not $found }}
      {{- $alerts := . }}
      {{- range stringSlice "info" "warning" "critical" }}
        {{- $severity := . }}
        {{- range $alerts }}
          {{- if eq .Labels.severity $severity }}{{ $found = index $known $severity }}{{ end }}
        {{- end }}
      {{- end }}
    {{- end }}
  {{- end }}
  {{- $found }}
{{- end }}
"##;

/// A mail in HTML: plain tables, which every mail program shows.
const MAIL: &str = r##"
{{- define "__tidewatch_mail_pairs" }}
{{ range . }}<tr><td style="padding: 2px 12px 2px 0; color: #666666; vertical-align: top;">{{ .Name }}</td><td style="padding: 2px 0; word-break: break-word;">{{ .Value }}</td></tr>
{{ end }}{{ end }}
{{- define "__tidewatch_mail_alerts" }}
{{ range . }}<table role="presentation" cellpadding="0" cellspacing="0" width="100%" style="margin: 0 0 16px 0; border: 1px solid #dddddd; border-radius: 4px;"><tr><td style="padding: 12px;">
<p style="margin: 0 0 6px 0; font-weight: bold;">{{ or .Annotations.summary .Labels.alertname "Alert" }}</p>
<table role="presentation" cellpadding="0" cellspacing="0">
<tr><td colspan="2" style="padding: 4px 0; font-weight: bold;">Labels</td></tr>
{{ template "__tidewatch_mail_pairs" .Labels.SortedPairs }}
{{ if .Annotations }}<tr><td colspan="2" style="padding: 8px 0 4px 0; font-weight: bold;">Annotations</td></tr>
{{ template "__tidewatch_mail_pairs" .Annotations.SortedPairs }}{{ end }}
</table>
<p style="margin: 8px 0 0 0;">Since {{ .StartsAt | date "2006-01-02 15:04:05 MST" }}{{ if not .EndsAt.IsZero }}, until {{ .EndsAt | date "2006-01-02 15:04:05 MST" }}{{ end }}</p>
<p style="margin: 8px 0 0 0;">{{ with .GeneratorURL }}<a href="{{ . }}">Source</a>{{ end }}{{ with .Annotations.runbook_url }} <a href="{{ . }}">Runbook</a>{{ end }}</p>
</td></tr></table>
{{ end }}{{ end }}
{{- define "email.default.html" }}<!DOCTYPE html>
<html>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{{ template "email.default.subject" . }}</title>
</head>
<body style="margin: 0; padding: 16px; font-family: Helvetica, Arial, sans-serif; font-size: 14px; color: #222222; background: #f6f6f6;">
<table role="presentation" cellpadding="0" cellspacing="0" width="100%" style="max-width: 720px; margin: 0 auto; background: #ffffff; border: 1px solid #dddddd;">
<tr><td style="padding: 16px; color: #ffffff; font-size: 16px; {{ if eq .Status "firing" }}background: #c62828;{{ else }}background: #2e7d32;{{ end }}">
{{ len .Alerts }} alert{{ if ne (len .Alerts) 1 }}s{{ end }} for {{ range .GroupLabels.SortedPairs }}{{ .Name }}={{ .Value }} {{ end }}
</td></tr>
<tr><td style="padding: 16px;">
<p style="margin: 0 0 16px 0;"><a href="{{ template "__alertmanagerURL" . }}">View in {{ template "__alertmanager" . }}</a></p>
{{ if .Alerts.Firing }}<h2 style="font-size: 16px;">[{{ len .Alerts.Firing }}] Firing</h2>
{{ template "__tidewatch_mail_alerts" .Alerts.Firing }}{{ end }}
{{ if .Alerts.Resolved }}<h2 style="font-size: 16px;">[{{ len .Alerts.Resolved }}] Resolved</h2>
{{ template "__tidewatch_mail_alerts" .Alerts.Resolved }}{{ end }}
<p style="margin: 0; color: #999999;"><a href="{{ .ExternalURL }}" style="color: #999999;">Sent by Tidewatch</a></p>
</td></tr></table>
</body>
</html>
{{ end }}
"##;

/// A template file that cannot be used.
#[derive(Debug)]
pub enum TemplatesError {
    /// A file or directory cannot be read, or is too large.
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A file is no template.
    Template {
        /// Which.
        path: PathBuf,
        /// Where and why.
        error: Box<TemplateError>,
    },
}

impl fmt::Display for TemplatesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TemplatesError::Read { path, why } => {
                write!(f, "templates: reading {}: {why}", path.display())
            }
            TemplatesError::Template { path, error } => {
                write!(f, "templates: {}: {error}", path.display())
            }
        }
    }
}

impl std::error::Error for TemplatesError {}

/// The default templates.
pub fn defaults() -> TemplateSet {
    let mut set = TemplateSet::new(alertmanager::FUNCTIONS);
    let mut text = String::from(BASE);
    for (name, same) in ALIASES {
        text.push_str(&define(name, &format!(r#"{{{{ template "{same}" . }}}}"#)));
    }
    for name in ANNOTATED {
        let body = r#"{{ .CommonAnnotations.Values.Join " " }}{{ template "__tidewatch_wide" . }}"#;
        text.push_str(&define(name, body));
    }
    for name in MARKDOWN {
        text.push_str(&define(name, r#"{{ template "__tidewatch_markdown" . }}"#));
    }
    for name in EMPTY {
        text.push_str(&define(name, ""));
    }
    for (name, text) in [("default.tmpl", text.as_str()), ("email.tmpl", MAIL)] {
        set.add(name, text).expect("BUG: the default templates are templates");
    }
    set
}

fn define(name: &str, body: &str) -> String {
    format!(r#"{{{{ define "{name}" }}}}{body}{{{{ end }}}}"#)
}

/// The default templates, and those of `files`, which may replace them.
///
/// # Errors
/// See [`TemplatesError`].
pub fn load(files: &[PathBuf]) -> Result<TemplateSet, TemplatesError> {
    let mut set = defaults();
    for path in files {
        let text = read(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let path = path.clone();
        set.add(&name, &text)
            .map_err(|error| TemplatesError::Template { path, error: Box::new(error) })?;
    }
    Ok(set)
}

fn read(path: &Path) -> Result<String, TemplatesError> {
    let failed = |why: String| TemplatesError::Read { path: path.to_owned(), why };
    let length = std::fs::metadata(path).map_err(|e| failed(e.to_string()))?.len();
    if length > FILE_BYTES_MAX {
        return Err(failed(format!("the file has more than {FILE_BYTES_MAX} bytes")));
    }
    std::fs::read_to_string(path).map_err(|e| failed(e.to_string()))
}
