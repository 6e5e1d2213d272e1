//! Hides secrets before the configuration is shown to anybody.

use regex::Regex;
use serde_json::Value;

/// What stands in place of a secret, as in Prometheus.
const MASK: &str = "<secret>";
/// A key that contains one of these holds a secret, unless it names a file.
const SECRET_KEYS: [&str; 7] =
    ["password", "secret", "token", "credentials", "authorization", "api_key", "access_key"];

/// The YAML of `text` with every secret masked: values of secret keys, whatever their form, and
/// passwords within URLs. Comments are gone, since they may hold secrets too.
pub(super) fn masked_yaml(text: &str) -> String {
    let Ok(mut value) = serde_saphyr::from_str::<Value>(text) else {
        return "# the configuration cannot be shown\n".to_owned();
    };
    let password = Regex::new("(://[^/@:\\s]*:)[^/@\\s]+@").expect("BUG: a constant pattern");
    mask(&mut value, &password);
    match value {
        Value::Null => String::new(),
        value => serde_saphyr::to_string(&value).unwrap_or_default(),
    }
}

/// As deep as the parser allows YAML to nest.
fn mask(value: &mut Value, password: &Regex) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if key == "alertmanager" {
                    crate::notify::config::mask::mask(value);
                }
                if key == "proxy_connect_header" {
                    crate::notify::config::mask::mask_values(value);
                }
                match is_secret(key) && !value.is_null() && !value.is_object() {
                    true => *value = Value::String(MASK.to_owned()),
                    false => mask(value, password),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| mask(item, password)),
        Value::String(text) if text.contains("://") => {
            *text = password.replace_all(text, format!("${{1}}{MASK}@")).into_owned();
        }
        _ => {}
    }
}

fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let names_file = key.ends_with("_file") || key.ends_with("_files") || key.ends_with("_ref");
    let inline_key = key == "key" || key == "secrets";
    !names_file && (inline_key || SECRET_KEYS.iter().any(|secret| key.contains(secret)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_survives_whatever_its_form() {
        let text = "remote_write:\n\
            - url: https://me:hunter1@example.org/write  # hunter2\n  \
              basic_auth: {username: me, password: 'hunter3'}\n  \
              authorization:\n    credentials: |\n      hunter4\n      hunter5\n  \
              headers: {X-Api-Token: hunter6}\n  \
              tls_config: {key_file: /etc/key.pem, key: hunter7}\n";
        let shown = masked_yaml(text);
        assert!(!shown.contains("hunter"), "{shown}");
        assert!(shown.contains("/etc/key.pem"), "{shown}");
        assert!(shown.contains("username: me"), "{shown}");
        assert!(shown.contains("://me:<secret>@example.org"), "{shown}");
    }

    #[test]
    fn alertmanagers_and_watched_instances_show_no_secret() {
        let text = "alerting:\n  alertmanagers:\n  - basic_auth: {password: hunter1}\n    \
              oauth2: {client_secret: hunter2}\n    bearer_token: hunter3\n    \
              proxy_url: 'http://u:hunter4@p'\n    proxy_connect_header: {X: [hunter5]}\n    \
              http_headers: {X: {secrets: [hunter6], values: [seen]}}\n    \
              sigv4: {access_key: hunter7, secret_key: hunter8}\n    \
              http_sd_configs: [{url: 'http://x', authorization: {credentials: hunter9}}]\n\
            airflow:\n  instances:\n  - {name: a, password: hunter10, token: hunter11, \
              proxy_connect_header: {X: [hunter12]}, tls_config: {key: hunter13}}\n";
        let shown = masked_yaml(text);
        assert!(!shown.contains("hunter"), "{shown}");
        assert!(shown.contains("seen"), "{shown}");
    }
}
