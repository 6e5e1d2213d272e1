//! Hides secrets of an `alertmanager.yml` before it is shown to anybody.

use regex::Regex;
use serde_json::Value;

use crate::secret::MASK;

/// Keys that hold a secret wherever they stand.
const SECRET_KEYS: [&str; 17] = [
    "password",
    "secret",
    "secrets",
    "credentials",
    "bearer_token",
    "api_key",
    "user_key",
    "token",
    "token_id",
    "bot_token",
    "app_token",
    "alert_source_token",
    "access_key",
    "secret_key",
    "key",
    "service_key",
    "webhook_url",
];
/// Keys of `global` that end so hold a secret.
const SECRET_ENDS: [&str; 8] = [
    "_password",
    "_secret",
    "_token",
    "_token_id",
    "_api_key",
    "slack_api_url",
    "_webhook_url",
    "_credentials",
];
/// Keys that hold a secret only in the list that is named.
const SECRET_IN: [(&str, &str); 2] =
    [("slack_configs", "api_url"), ("pagerduty_configs", "routing_key")];

/// The YAML of `text` with every secret masked; comments are gone, since they may hold secrets too.
pub fn masked_yaml(text: &str) -> String {
    let Ok(mut value) = serde_saphyr::from_str::<Value>(text) else {
        return "# the configuration cannot be shown\n".to_owned();
    };
    mask(&mut value);
    match value {
        Value::Null => String::new(),
        value => serde_saphyr::to_string(&value).unwrap_or_default(),
    }
}

/// The same for the section `name` of a larger file; empty when there is none.
pub fn masked_section(text: &str, name: &str) -> String {
    let file = serde_saphyr::from_str::<Value>(text).unwrap_or_default();
    let Some(section) = file.get(name) else { return String::new() };
    let mut section = section.clone();
    mask(&mut section);
    serde_saphyr::to_string(&section).unwrap_or_default()
}

/// Masks every secret within an `alertmanager.yml` that was read into `value`.
pub fn mask(value: &mut Value) {
    let password = Regex::new("(://[^/@:\\s]*:)[^/@\\s]+@").expect("BUG: a constant pattern");
    mask_below("", value, &password);
}

/// As deep as the parser allows YAML to nest.
fn mask_below(list: &str, value: &mut Value, password: &Regex) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let holds_value = !value.is_null() && !value.is_object();
                if key == "url" && matches!(list, "webhook_configs" | "incidentio_configs") {
                    mask_path(value);
                } else if key == "proxy_connect_header" {
                    mask_values(value);
                } else if holds_value && is_secret(list, key) {
                    *value = Value::String(MASK.to_owned());
                } else if key.ends_with("_configs") {
                    mask_below(key, value, password);
                } else {
                    mask_below(list, value, password);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| mask_below(list, item, password)),
        Value::String(text) if text.contains("://") => {
            *text = password.replace_all(text, format!("${{1}}{MASK}@")).into_owned();
        }
        _ => {}
    }
}

/// Masks the values of headers.
pub fn mask_values(headers: &mut Value) {
    for value in headers.as_object_mut().into_iter().flat_map(serde_json::Map::values_mut) {
        *value = Value::String(MASK.to_owned());
    }
}

/// Masks all of a URL but where it leads: clients of the API read it as a URL.
fn mask_path(url: &mut Value) {
    let parsed = url.as_str().and_then(|text| url::Url::parse(text).ok());
    let shown = parsed.and_then(|parsed| {
        let port = parsed.port().map_or_else(String::new, |port| format!(":{port}"));
        Some(format!("{}://{}{port}/{MASK}", parsed.scheme(), parsed.host_str()?))
    });
    *url = Value::String(shown.unwrap_or_else(|| MASK.to_owned()));
}

fn is_secret(list: &str, key: &str) -> bool {
    SECRET_KEYS.contains(&key)
        || SECRET_ENDS.iter().any(|end| key.ends_with(end))
        || SECRET_IN.contains(&(list, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_survives() {
        let text = "global:\n  slack_api_url: https://hooks/hunter1  # hunter2\n  \
            smtp_auth_password: hunter3\n  opsgenie_api_key: hunter4\n  \
            opsgenie_api_url: https://api.example.com/\n  \
            http_config: {proxy_url: 'http://me:hunter5@proxy', \
              authorization: {type: X, credentials: hunter6}, tls_config: {key: hunter7}, \
              http_headers: {X: {secrets: [hunter8]}}}\n\
            receivers:\n- name: a\n  pagerduty_configs: [{routing_key: hunter9}]\n  \
              webhook_configs: [{url: 'http://x/hunter10', url_file: /etc/url}]\n  \
              slack_configs: [{api_url: 'http://hunter11'}]\n  \
              victorops_configs: [{routing_key: team}]\n  \
              telegram_configs: [{bot_token: hunter12, chat_id: 5}]\n  \
              sns_configs: [{sigv4: {access_key: hunter13, secret_key: hunter14}}]\n";
        let shown = masked_yaml(text);
        assert!(!shown.contains("hunter"), "{shown}");
        for kept in ["https://api.example.com/", "/etc/url", "team", "chat_id: 5", "http://me:"] {
            assert!(shown.contains(kept), "{kept} in {shown}");
        }
    }
}
