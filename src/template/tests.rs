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
