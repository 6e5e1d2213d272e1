//! What every kind is sent, held against files.

use regex::Regex;

use super::*;

/// Every kind, with every setting that shows in what is sent.
const ALL: &str = include_str!("all.yml");
const FILE: &str = "tests/fixtures/receivers/payloads.json";

/// What is different each time: the id of a mail and the line between its parts.
fn without_chance(text: &str) -> String {
    let chance = Regex::new("[0-9a-f]{30}").unwrap();
    chance.replace_all(text, "CHANCE").into_owned()
}

fn previews() -> serde_json::Value {
    let receivers = receivers();
    let mut all = serde_json::Map::new();
    for is_firing in [true, false] {
        for notification in notifications(ALL, is_firing) {
            let mut previews = receivers.preview(&notification).unwrap();
            let mails = previews.iter_mut().filter(|preview| preview.method == "SMTP");
            mails.for_each(|mail| mail.body = without_chance(&mail.body));
            let state = if is_firing { "firing" } else { "resolved" };
            let integration = &notification.integration;
            let name = format!("{}[{}] {state}", integration.kind(), integration.index);
            all.insert(name, serde_json::to_value(previews).unwrap());
        }
    }
    all.into()
}

#[test]
fn payloads_are_those_of_the_file() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    let ours = previews();
    if std::env::var_os("TIDEWATCH_BLESS").is_some() {
        std::fs::write(&path, serde_json::to_string_pretty(&ours).unwrap() + "\n").unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let known: serde_json::Value = serde_json::from_str(&text).unwrap();
    let (known, ours) = (known.as_object().unwrap(), ours.as_object().unwrap());
    let names = |map: &serde_json::Map<String, serde_json::Value>| -> Vec<String> {
        map.keys().cloned().collect()
    };
    assert_eq!(names(known), names(ours));
    for (name, expected) in known {
        assert_eq!(&ours[name], expected, "{name}");
    }
}

#[test]
fn no_secret_is_shown_and_bodies_are_json() {
    let text = previews().to_string();
    assert!(!text.contains("s3cr3t"), "{text}");
    for (name, previews) in previews().as_object().unwrap() {
        for preview in previews.as_array().unwrap() {
            let headers = preview["headers"].to_string();
            if headers.contains("application/json") && preview["method"] != "GET" {
                let body = preview["body"].as_str().unwrap();
                assert!(serde_json::from_str::<serde_json::Value>(body).is_ok(), "{name}: {body}");
            }
        }
    }
}
