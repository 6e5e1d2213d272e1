use super::*;
use crate::model::{Labels, Timestamp};

fn expand(text: &str) -> Result<String, String> {
    let set = TemplateSet::new(functions::prometheus::FUNCTIONS);
    let labels = Labels::from_pairs([("instance", "a:9100"), ("job", "node")]).unwrap();
    let data = RuleData::new(&labels, 1.5, &Labels::empty(), "http://x/y/");
    let run = Run {
        data: &data.dot(),
        variables: &data.variables(),
        host: &AtTime(Timestamp(1_700_000_000_123)),
        escaping: Escaping::Text,
    };
    set.expand("t", text, &run).map_err(|e| e.to_string())
}

#[test]
fn the_usual_actions_work() {
    let cases = [
        ("{{ $labels.instance }} {{ .Value }}", "a:9100 1.5"),
        ("{{ $value | humanize }}{{/* c */}} {{- \" x\" -}}  !", "1.5 x!"),
        ("{{ range $k, $v := .Labels }}{{ $k }}={{ $v }};{{ end }}", "instance=a:9100;job=node;"),
        ("{{ if gt $value 1.0 }}hi{{ else if true }}a{{ else }}b{{ end }}", "hi"),
        ("{{ with $x := 3 }}{{ $x }}{{ . }}{{ end }}", "33"),
        ("{{ define \"t1\" }}[{{ .arg0 }}]{{ end }}{{ template \"t1\" (args 7) }}", "[7]"),
        (
            "{{ range 5 }}{{ if eq . 1 }}{{ continue }}{{ end }}{{ if eq . 3 }}{{ break }}{{ end }}{{ . }}{{ end }}",
            "02",
        ),
        ("{{ $labels.missing }}|{{ index $labels \"job\" }}", "|node"),
        ("{{ printf \"%5.1f|%s\" $value \"x\" }}", "  1.5|x"),
    ];
    for (text, expected) in cases {
        assert_eq!(expand(text), Ok(expected.to_owned()), "{text}");
    }
}

/// A value of a fixture: whole numbers and others, `$texts` for maps of texts, `$strings` for
/// lists of them.
fn from_json(json: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::Nil,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(n) => n.as_i64().map(Value::Int).unwrap_or(Value::Float(n.as_f64().unwrap())),
        Json::String(text) => Value::text(text.as_str()),
        Json::Array(items) => Value::list(&value::ANY_LIST, items.iter().map(from_json).collect()),
        Json::Object(map) => {
            if let Some(Json::Object(texts)) = map.get("$texts") {
                let texts = texts.iter().map(|(name, text)| (&**name, text.as_str().unwrap()));
                return Value::text_map(&value::TEXT_MAP, texts);
            }
            if let Some(Json::Array(texts)) = map.get("$strings") {
                return Value::texts(texts.iter().map(|text| text.as_str().unwrap()));
            }
            Value::map(map.iter().map(|(n, v)| (n.as_str().into(), from_json(v))).collect())
        }
    }
}

/// What Go's own `text/template` and `html/template` made of every case, or said of it.
const GO: &str = include_str!("../../tests/fixtures/template/go.json");

/// Where we differ, and why.
const DIFFERENCES: [(&str, &str); 4] = [
    ("{{1i}}", "no complex numbers"),
    ("{{len nil}}", "Go's error is one of its reflection"),
    (
        "{{if .b}}http://a/{{end}}{{.s}}",
        "Go refuses what depends on a branch; here the place is known",
    ),
    ("{{printf \"%#x\" .n}}", "zeros at the end of hexadecimal fractions"),
];

#[test]
fn results_and_errors_are_those_of_go() {
    let go: serde_json::Value = serde_json::from_str(GO).unwrap();
    let set = TemplateSet::new(&[]);
    let mut differences = Vec::new();
    for case in go["cases"].as_array().unwrap() {
        let text = case["template"].as_str().unwrap();
        let data = from_json(&go["data"][case["data"].as_str().unwrap_or("")]);
        let is_html = case["html"].as_bool().unwrap_or(false);
        let escaping = if is_html { Escaping::Html } else { Escaping::Text };
        let host = AtTime(Timestamp(0));
        let run = Run { data: &data, variables: &[], host: &host, escaping };
        let ours = set.expand("t", text, &run).map_err(|e| e.to_string());
        let want = match case["want"].as_str() {
            Some(want) => Ok(want.to_owned()),
            None => Err(case["error"].as_str().unwrap().to_owned()),
        };
        let is_known = DIFFERENCES.iter().any(|(part, _)| text.contains(part));
        if ours != want && !is_known {
            differences.push(format!("{text}\n  go:   {want:?}\n  ours: {ours:?}"));
        }
    }
    let count = differences.len();
    assert!(differences.is_empty(), "{count} differ:\n{}", differences.join("\n"));
}
