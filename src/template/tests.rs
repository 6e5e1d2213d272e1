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

/// What `promtool test rules` printed for every annotation; an error without template and place.
const PROMETHEUS: &str = include_str!("../../tests/fixtures/template/prometheus.json");

/// Answers with the three series that the recorded rules had.
struct Recorded;

impl Host for Recorded {
    fn now(&self) -> Timestamp {
        Timestamp(120_000)
    }

    fn query(&self, query: &str) -> Result<Vec<QuerySample>, String> {
        let sample = |job: &str, inst: &str, value| QuerySample {
            labels: Labels::from_pairs([("__name__", "up"), ("inst", inst), ("job", job)]).unwrap(),
            value: SampleValue::Float(value),
        };
        Ok(match query {
            "up" => vec![sample("n", "2", 7.5), sample("n", "10", 1.0), sample("m", "1", 0.0)],
            "sum(up)" => {
                vec![QuerySample { labels: Labels::empty(), value: SampleValue::Float(8.5) }]
            }
            _ => Vec::new(),
        })
    }
}

#[test]
fn functions_give_what_prometheus_gives() {
    let cases: serde_json::Value = serde_json::from_str(PROMETHEUS).unwrap();
    let set = TemplateSet::new(functions::prometheus::FUNCTIONS);
    let labels = [("__name__", "up"), ("inst", "2"), ("job", "n")];
    let labels = Labels::from_pairs(labels).unwrap();
    let data = RuleData::new(&labels, 7.5, &Labels::empty(), "");
    let variables = data.variables();
    let dot = data.dot();
    let run = Run { data: &dot, variables: &variables, host: &Recorded, escaping: Escaping::Text };
    let mut differences = Vec::new();
    for case in cases.as_array().unwrap() {
        let text = case["template"].as_str().unwrap();
        let ours = set.expand("t", text, &run).map_err(|e| match e {
            TemplateError::Execute { part, reason, .. } => format!("at <{part}>: {reason}"),
            other => other.to_string(),
        });
        let want = match case["want"].as_str() {
            Some(want) => Ok(want.to_owned()),
            None => Err(case["error"].as_str().unwrap().to_owned()),
        };
        if ours != want {
            differences.push(format!("{text}\n  theirs: {want:?}\n  ours:   {ours:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn notification() -> NotificationData {
    let alert = |instance: &str, is_resolved| AlertData {
        is_resolved,
        labels: Labels::from_pairs([("alertname", "Down"), ("instance", instance)]).unwrap(),
        annotations: [("summary", "it is <down>")].into_iter().collect(),
        starts_at: Timestamp(1_700_000_000_120),
        ends_at: is_resolved.then_some(Timestamp(1_700_000_060_000)),
        generator_url: "http://p/graph?g0.expr=up+%3D%3D+0&g0.tab=1".into(),
        fingerprint: "00000000000000ff".into(),
    };
    NotificationData {
        receiver: "team\\-x".to_owned(),
        alerts: vec![alert("a:1", false), alert("b:1", true)],
        reason: "first notification".to_owned(),
        group_labels: [("alertname".to_owned(), "Down".to_owned())].into(),
        route_labels: Default::default(),
        external_url: "http://am:9093".to_owned(),
    }
}

/// What Alertmanager's functions and data make of it.
const NOTIFICATION: &[(&str, &str)] = &[
    ("{{ .Status }} {{ len .Alerts }} {{ len .Alerts.Firing }}", "firing 2 1"),
    ("{{ .CommonLabels }}|{{ .CommonLabels.SortedPairs }}", "alertname=Down|alertname=Down"),
    ("{{ (index .Alerts 0).Labels.SortedPairs.Values | join \" \" }}", "Down a:1"),
    ("{{ (index .Alerts 0).Labels.Names.Join \"/\" }}", "alertname/instance"),
    ("{{ ((index .Alerts 1).Labels.Remove (stringSlice \"alertname\")).Values }}", "[b:1]"),
    ("{{ (index .Alerts.Resolved 0).EndsAt }}", "2023-11-14 22:14:20 +0000 UTC"),
    ("{{ (index .Alerts 0).EndsAt }}", "0001-01-01 00:00:00 +0000 UTC"),
    ("{{ range .Alerts }}{{ .EndsAt.IsZero }} {{ end }}", "true false "),
    (
        "{{ (index .Alerts 0).StartsAt | tz \"Europe/Paris\" | date \"Mon, 02 Jan 2006 15:04 MST\" }}",
        "Tue, 14 Nov 2023 23:13 CET",
    ),
    (
        "{{ date \"2006-01-02T15:04:05.000Z07:00\" (index .Alerts 0).StartsAt }}",
        "2023-11-14T22:13:20.120Z",
    ),
    ("{{ since (index .Alerts 0).StartsAt }}", "1m39.88s"),
    ("{{ since (index .Alerts 0).StartsAt | humanizeDuration }}", "1m 39s"),
    (
        "{{ title \"1st HTTP don't foo_bar a-b x.y a:b aB 3rd a..b\" }}",
        "1St Http Don't Foo_bar A-B X.y A:b Ab 3Rd A..B",
    ),
    ("{{ reReplaceAll \"(a)(b)?\" \"$1x$2-${1}$$\" \"abac\" }}", "b-a$-a$c"),
    ("{{ trimSpace \"  a \" }}{{ urlUnescape \"a%20b+c\" }}", "aa b c"),
    ("{{ base64encode \"a?>\" }} {{ base64decode \"YT8-\" }}", "YT8- a?>"),
    ("{{ base64decode \"YT\\n8-\" }}", "a?>"),
    ("{{ dict \"a\" 1 | printf \"%#v\" }}", "map[string]interface {}{\"a\":1}"),
    ("{{ stringSlice \"a\" \"b\" | printf \"%#v\" }}", "[]string{\"a\", \"b\"}"),
    ("{{ list 1 \"b\" | printf \"%#v %v\" 2 }}", "2 [1 b]"),
    (
        "{{ toJson (dict \"a\" (list 1 \"<\" 1.5 nil) \"b\" true) }}",
        "{\"a\":[1,\"\\u003c\",1.5,null],\"b\":true}",
    ),
    (
        "{{ toJson .GroupLabels }} {{ toJson (index .Alerts 1).EndsAt }}",
        "{\"alertname\":\"Down\"} \"2023-11-14T22:14:20Z\"",
    ),
    ("{{ append (list 1) 2 3 }} {{ routeLabels \"x\" }}|", "[1 2 3] |"),
    ("{{ (toDate \"2006-01-02 15:04\" \"2024-02-29 07:08\").Unix }}", "1709190480"),
    ("{{ toDate \"2006\" \"x\" }}", "0001-01-01 00:00:00 +0000 UTC"),
    (
        "{{ .NotificationReason }} {{ .Receiver }} {{ .ExternalURL }}",
        "first notification team\\-x http://am:9093",
    ),
];

#[test]
fn notifications_are_shown_as_alertmanager_shows_them() {
    let set = TemplateSet::new(functions::alertmanager::FUNCTIONS);
    let data = notification().dot();
    let host = AtTime(Timestamp(1_700_000_100_000));
    let run = Run { data: &data, variables: &[], host: &host, escaping: Escaping::Text };
    for (text, expected) in NOTIFICATION {
        assert_eq!(set.expand("", text, &run), Ok((*expected).to_owned()), "{text}");
    }
    let error = set.expand("", "{{ tz \"Nowhere/X\" now }}", &run).unwrap_err().to_string();
    assert!(error.ends_with("error calling tz: unknown time zone Nowhere/X"), "{error}");
}

#[test]
fn defines_are_shared_and_can_be_replaced() {
    let mut set = TemplateSet::new(&[]);
    set.add(
        "a.tmpl",
        r#"{{ define "x" }}old{{ end }}{{ define "y" }}[{{ template "x" . }}]{{ end }}"#,
    )
    .unwrap();
    set.add("b.tmpl", r#"{{ define "x" }}new {{ . }}{{ end }}{{ define "y" }} {{ end }}"#).unwrap();
    let data = Value::Int(7);
    let host = AtTime(Timestamp(0));
    let run = Run { data: &data, variables: &[], host: &host, escaping: Escaping::Text };
    assert_eq!(set.execute_named("y", &run), Ok("[new 7]".to_owned()));
    assert_eq!(set.expand("", r#"{{ template "y" . }}!"#, &run), Ok("[new 7]!".to_owned()));
    let own = r#"{{ define "x" }}own{{ end }}{{ template "y" . }}"#;
    assert_eq!(set.expand("", own, &run), Ok("[own]".to_owned()));
    let error = set.execute_named("z", &run).unwrap_err();
    assert_eq!(error.to_string(), "template: no template \"z\" is defined");
    let error = set.add("c.tmpl", "\n{{ nosuch }}").unwrap_err();
    assert_eq!(error.to_string(), "template: c.tmpl:2: function \"nosuch\" not defined");
    assert_eq!(error.line(), Some(2));
}

#[test]
fn a_time_is_shown_by_every_verb() {
    let set = TemplateSet::new(functions::alertmanager::FUNCTIONS);
    let (data, host) = (Value::text("x"), AtTime(Timestamp(0)));
    let run = Run { data: &data, variables: &[], host: &host, escaping: Escaping::Text };
    let time = "1970-01-01 00:00:00 +0000 UTC";
    for (verb, expected) in [
        ("%v", time.to_owned()),
        ("%#v", time.to_owned()),
        ("%d", format!("%!d(time.Time={time})")),
        ("%#d", format!("%!d(time.Time={time})")),
    ] {
        let text = format!("{{{{ printf {verb:?} now }}}}");
        assert_eq!(set.expand("t", &text, &run).expect(verb), expected, "{verb}");
    }
    let listed = set.expand("t", "{{ list now | printf \"%#v\" }}", &run).expect("a list");
    assert!(listed.contains(time), "{listed}");
}

#[test]
fn every_limit_ends_an_execution() {
    let limits = Limits {
        source_bytes_max: 20_000,
        steps_max: 10_000,
        output_bytes_max: 5_000,
        work_bytes_max: 100_000,
    };
    let set = TemplateSet::with_limits(functions::alertmanager::FUNCTIONS, limits);
    let data = Value::text("x");
    let host = AtTime(Timestamp(0));
    let run = Run { data: &data, variables: &[], host: &host, escaping: Escaping::Text };
    let deep = format!("{}1{}", "{{if true}}".repeat(120), "{{end}}".repeat(120));
    let parens = format!("{{{{ {}1{} }}}}", "(".repeat(120), ")".repeat(120));
    let long = "x{{.}}".repeat(4000);
    let cases = [
        ("{{ range 1000000000 }}{{ end }}", "takes more than 10000 steps"),
        ("{{ range 1000 }}1234567890{{ end }}", "output is longer than 5000 bytes"),
        ("{{ printf \"%999999d\" 1 }}", "output is longer than 5000 bytes"),
        (
            "{{ $x := \"aaaaaaaaaaaaaaaa\" }}{{ range 40 }}{{ $x = print $x $x }}{{ end }}",
            "longer than 5000",
        ),
        (
            "{{ range 100 }}{{ $x := printf \"%4000d\" 1 }}{{ end }}",
            "functions handle more than 100000 bytes",
        ),
        (
            "{{ $x := list 1 }}{{ range 99 }}{{ $x = list $x $x }}{{ end }}",
            "levels of lists and maps",
        ),
        (
            "{{ define \"r\" }}{{ template \"r\" . }}{{ end }}{{ template \"r\" . }}",
            "exceeded maximum template depth",
        ),
        ("{{ reReplaceAll \"\" \"${0}aaaaaaaaaa\" (printf \"%999d\" 1) }}", "longer than 5000"),
        ("{{ match \"(a{1000}){1000}\" \"a\" }}", "regexp: expression too large"),
        (&deep, "levels of nesting"),
        (&parens, "max expression depth exceeded"),
        (&long, "text is longer than 20000 bytes"),
    ];
    for (text, expected) in cases {
        let error = set.expand("t", text, &run).unwrap_err().to_string();
        assert!(error.contains(expected), "{text:.60}: {error}");
    }
}

/// Pieces from which texts are put together, so that many of them are nearly templates.
const PIECES: &[&str] = &[
    "{{",
    "}}",
    "{{-",
    "-}}",
    "{{ ",
    " }}",
    "{{end}}",
    "{{else}}",
    "{{if .}}",
    "{{with $x := .}}",
    "{{range .}}",
    "{{range $i, $v := .Alerts}}",
    "{{define \"a\"}}",
    "{{template \"a\" .}}",
    "{{block \"b\" .}}",
    "{{break}}",
    "{{/*",
    "*/}}",
    ".",
    ".Alerts",
    ".Status",
    "$x",
    "$",
    "|",
    "(",
    ")",
    " ",
    "\n",
    "1",
    "-1.5e9",
    "0x",
    "'a'",
    "\"s\"",
    "`r`",
    "nil",
    "true",
    ":=",
    "=",
    ",",
    "printf",
    "\"%v%*d%[1]q\"",
    "index",
    "len",
    "slice",
    "eq",
    "and",
    "toJson",
    "list",
    "dict",
    "date",
    "tz",
    "now",
    "match",
    "reReplaceAll",
    "<a href=",
    "<p title='",
    ">",
    "<script>",
    "</script>",
    "<style>",
    "<!--",
    "-->",
    "\"",
    "&",
    "\u{e9}",
    "\u{4e16}",
];

proptest::proptest! {
    #[test]
    fn no_text_panics(pieces in proptest::collection::vec(0..PIECES.len(), 0..40), is_html: bool) {
        let text: String = pieces.iter().map(|i| PIECES[*i]).collect();
        let limits = Limits {
            source_bytes_max: 1 << 16,
            steps_max: 10_000,
            output_bytes_max: 1 << 16,
            work_bytes_max: 1 << 20,
        };
        let set = TemplateSet::with_limits(functions::alertmanager::FUNCTIONS, limits);
        let data = notification().dot();
        let host = AtTime(Timestamp(0));
        let escaping = if is_html { Escaping::Html } else { Escaping::Text };
        let run = Run { data: &data, variables: &[], host: &host, escaping };
        let _ = set.expand("t", &text, &run);
    }
}
