use super::super::line::Reason;
use super::*;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn take(aggregator: &mut Aggregator, lines: &str) -> Counts {
    let mut counts = Counts::default();
    aggregator.take_lines(lines.as_bytes(), NOW, &mut counts);
    counts
}

fn shown(aggregator: &mut Aggregator) -> Vec<String> {
    let mut shown: Vec<String> = aggregator
        .values(NOW)
        .into_iter()
        .map(|(labels, value)| format!("{labels} {value}"))
        .collect();
    shown.sort();
    shown
}

fn state_after(lines: &str) -> Vec<String> {
    let mut aggregator = Aggregator::new(100);
    take(&mut aggregator, lines);
    shown(&mut aggregator)
}

#[test]
fn counters_add_up_and_gauges_follow_signs() {
    assert_eq!(
        state_after("a.b:1|c\r\na-b:2|c|@0.5\n\ng:10|g\ng:-3|g\ng:+0.5|g\nnew:-2|g"),
        [r#"{__name__="a_b"} 5"#, r#"{__name__="g"} 7.5"#, r#"{__name__="new"} -2"#,]
    );
}

#[test]
fn timers_become_summaries_in_seconds() {
    let lines: String = (1..=100).map(|i| format!("t:{}|ms\n", i * 1000)).collect();
    assert_eq!(
        state_after(&lines),
        [
            r#"{__name__="t", quantile="0.5"} 50"#,
            r#"{__name__="t", quantile="0.9"} 90"#,
            r#"{__name__="t", quantile="0.99"} 99"#,
            r#"{__name__="t_count"} 100"#,
            r#"{__name__="t_sum"} 5050"#,
        ]
    );
    let weighted = state_after("h:2|h|@0.1");
    assert_eq!(weighted[3..], [r#"{__name__="h_count"} 10"#, r#"{__name__="h_sum"} 20"#]);
}

#[test]
fn sets_count_distinct_members_per_interval() {
    let mut aggregator = Aggregator::new(10);
    take(&mut aggregator, "users:ann|s\nusers:bob|s\nusers:ann|s");
    assert_eq!(shown(&mut aggregator), [r#"{__name__="users"} 2"#]);
    aggregator.start_interval();
    assert_eq!(shown(&mut aggregator), [r#"{__name__="users"} 0"#]);
    let lines: String = (0..=SET_MEMBERS_MAX).map(|i| format!("users:{i}|s\n")).collect();
    assert_eq!(take(&mut aggregator, &lines).set_members_refused, 1);
}

#[test]
fn tags_become_labels_in_any_order() {
    let mut aggregator = Aggregator::new(10);
    let counts = take(
        &mut aggregator,
        "c:1|c|#env:dev,dag-id:x\nc:1|c|#dag-id:x,env:dev\nc:1|c\nc:1|c|#flag,env:a,env:b",
    );
    assert_eq!((counts.tags, counts.tag_errors), (3, 1));
    assert_eq!(
        shown(&mut aggregator),
        [
            r#"{__name__="c", dag_id="x", env="dev"} 2"#,
            r#"{__name__="c", env="b"} 1"#,
            r#"{__name__="c"} 1"#,
        ]
    );
}

#[test]
fn a_name_keeps_its_first_type() {
    let mut aggregator = Aggregator::new(10);
    let counts =
        take(&mut aggregator, "x:1|c\nx:1|g\nx:2|g|#a:b\nt:1|ms\nt_sum:1|c\ny_count:1|c\ny:1|h");
    assert_eq!(counts.conflicts_of(Kind::Gauge), 2);
    assert_eq!(counts.conflicts_of(Kind::Counter), 1);
    assert_eq!(counts.conflicts_of(Kind::Observer), 1);
    assert_eq!(aggregator.len(), 3);
    assert_eq!(take(&mut aggregator, "x:1|c").events_of(Kind::Counter), 1);
}

#[test]
fn series_past_the_limit_are_refused_and_known_ones_go_on() {
    let mut aggregator = Aggregator::new(2);
    let counts = take(&mut aggregator, "a:1|c\nb:1|c\nc:1|c\nd:1|g\na:1|c");
    assert_eq!(counts.series_refused, 2);
    assert_eq!(shown(&mut aggregator), [r#"{__name__="a"} 2"#, r#"{__name__="b"} 1"#]);
}

#[test]
fn labels_past_a_limit_are_refused() {
    let mut aggregator = Aggregator::new(2);
    let line = format!("a:1|c|#k:{}", "v".repeat(10_000));
    assert_eq!(take(&mut aggregator, &line).invalid_labels, 1);
    assert!(aggregator.is_empty());
}

#[test]
fn a_malformed_line_costs_that_line_only() {
    let mut aggregator = Aggregator::new(10);
    let counts = take(&mut aggregator, "a:1|c\ngarbage\nb:1|c\n\u{1}\u{2}:x|g\nd:-1|c\nc:1|c");
    assert_eq!((counts.lines, counts.samples, aggregator.len()), (6, 3, 3));
    assert_eq!(counts.refused_for(Reason::MalformedLine), 1);
    assert_eq!(counts.refused_for(Reason::MalformedValue), 1);
    assert_eq!(counts.refused_for(Reason::IllegalNegativeCounter), 1);
}

#[test]
fn types_are_declared_once() {
    let mut aggregator = Aggregator::new(10);
    take(&mut aggregator, "a:1|c\nb:1|ms\na:1|c|#x:y\nc:m|s");
    let types: Vec<_> = aggregator.undeclared().iter().map(|(n, t)| (n.as_str(), *t)).collect();
    let expected =
        [("a", MetricType::Counter), ("b", MetricType::Summary), ("c", MetricType::Gauge)];
    assert_eq!(types, expected);
    aggregator.declared();
    take(&mut aggregator, "a:1|c\nd:1|g");
    assert_eq!(aggregator.undeclared(), [("d".to_owned(), MetricType::Gauge)]);
}
