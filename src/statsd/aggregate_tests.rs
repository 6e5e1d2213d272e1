use super::*;
use crate::model::MetricType;
use crate::statsd::mapping::Mapper;
use crate::statsd::series::{Point, PointValue, SET_MEMBERS_MAX};

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn take(aggregator: &mut Aggregator, lines: &str) -> Counts {
    let mut counts = Counts::default();
    aggregator.take_lines(Origin::default(), lines.as_bytes(), NOW, &mut counts);
    counts
}

fn shown(aggregator: &mut Aggregator) -> Vec<String> {
    shown_at(aggregator, NOW)
}

fn shown_at(aggregator: &mut Aggregator, now: Timestamp) -> Vec<String> {
    let show = |point: &Point<'_>| {
        let value = match &point.value {
            PointValue::Float(value) if crate::model::is_stale_nan(*value) => "stale".to_owned(),
            PointValue::Float(value) => value.to_string(),
            PointValue::Histogram(histogram) => format!("sum={}", histogram.sum()),
        };
        match point.timestamp == now {
            true => format!("{} {value}", point.labels),
            false => format!("{} {value} @{}", point.labels, point.timestamp.as_millis()),
        }
    };
    let mut shown: Vec<String> = aggregator.points(now).iter().map(show).collect();
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
    let types: Vec<_> =
        aggregator.undeclared().iter().map(|(n, m)| (n.as_str(), m.metric_type)).collect();
    let expected =
        [("a", MetricType::Counter), ("b", MetricType::Summary), ("c", MetricType::Gauge)];
    assert_eq!(types, expected);
    take(&mut aggregator, "a:1|c\nd:1|g");
    aggregator.declared(3);
    assert_eq!(aggregator.undeclared().len(), 1);
    assert_eq!(aggregator.undeclared()[0].0, "d");
}

fn mapped(rules: &str, series_max: usize) -> Aggregator {
    let mapper = Mapper::parse(std::path::Path::new("m.yml"), rules).expect("valid rules");
    let mut aggregator = Aggregator::new(series_max);
    aggregator.set_resolver(Resolver { mapper, ..Resolver::default() });
    aggregator
}

#[test]
fn rules_name_scale_and_drop() {
    let mut aggregator = mapped(
        "mappings:\n\
         - {match: 'a.*', name: 'm', labels: {part: $1, tag: rule}, scale: 2}\n\
         - {match: 'h.*', name: 'm', labels: {part: $1, tag: rule}, honor_labels: true}\n\
         - {match: 'd.*', name: 'd', action: drop}\n\
         - {match: '^(e).*', match_type: regex, name: '$2'}\n",
        100,
    );
    let counts = take(
        &mut aggregator,
        "a.x:3|c|#tag:sent\nh.y:1|c|#tag:sent\nd.x:1|c\nd.x:2|c\ne:1|c\nother:1|c\na.x:-1|c",
    );
    assert_eq!(
        shown(&mut aggregator),
        [
            r#"{__name__="m", part="x", tag="rule"} 6"#,
            r#"{__name__="m", part="y", tag="sent"} 1"#,
            r#"{__name__="other"} 1"#,
        ]
    );
    assert_eq!((counts.dropped, counts.unmapped), (2, 1));
    assert_eq!(counts.refused_for(Reason::EmptyMetricName), 1);
    assert_eq!(counts.refused_for(Reason::IllegalNegativeCounter), 1);
    assert_eq!(aggregator.rule_hits(), [1, 1, 2, 0]);
}

#[test]
fn histograms_have_buckets_or_are_native() {
    let mut aggregator = mapped(
        "mappings:\n\
         - {match: b, name: b, observer_type: histogram, histogram_options: {buckets: [0.5, 1]}}\n\
         - {match: n, name: n, observer_type: histogram, \
            histogram_options: {native_histogram_bucket_factor: 2}}\n",
        100,
    );
    take(&mut aggregator, "b:500|ms\nb:2000|ms|@0.5\nn:4|h\nn:8|d");
    assert_eq!(
        shown(&mut aggregator),
        [
            r#"{__name__="b_bucket", le="+Inf"} 3"#,
            r#"{__name__="b_bucket", le="0.5"} 1"#,
            r#"{__name__="b_bucket", le="1.0"} 1"#,
            r#"{__name__="b_count"} 3"#,
            r#"{__name__="b_sum"} 4.5"#,
            r#"{__name__="n"} sum=12"#,
        ]
    );
    assert_eq!((aggregator.len(), aggregator.stored()), (2, 6));
}

#[test]
fn signs_of_gauges_follow_the_client_unless_told_otherwise() {
    let lines = "g:5|g\ng:-3|g\nd:5|g|#a:b\nd:-3|g|#a:b";
    assert_eq!(state_after(lines), [r#"{__name__="d", a="b"} -3"#, r#"{__name__="g"} 2"#]);
    for (signed_gauges, d, g) in [
        (crate::statsd::resolve::SignedGauges::Relative, "2", "2"),
        (crate::statsd::resolve::SignedGauges::Absolute, "-3", "-3"),
    ] {
        let mut aggregator = Aggregator::new(10);
        aggregator.set_resolver(Resolver { signed_gauges, ..Resolver::default() });
        take(&mut aggregator, lines);
        let expected =
            [format!(r#"{{__name__="d", a="b"}} {d}"#), format!(r#"{{__name__="g"}} {g}"#)];
        assert_eq!(shown(&mut aggregator), expected);
    }
}

#[test]
fn series_end_after_their_lifetime_and_return_without_a_reset() {
    let mut aggregator = mapped("defaults: {ttl: 1m}\n", 100);
    take(&mut aggregator, "a:5|c\nb:1|g");
    let at = |ms: i64| Timestamp(NOW.as_millis() + ms);
    assert_eq!(shown_at(&mut aggregator, at(60_000)).len(), 2);
    assert_eq!(
        shown_at(&mut aggregator, at(60_001)),
        [r#"{__name__="a"} stale"#, r#"{__name__="b"} stale"#]
    );
    assert_eq!(shown_at(&mut aggregator, at(70_000)), Vec::<String>::new());
    let mut counts = Counts::default();
    aggregator.take_lines(Origin::default(), b"a:1|c", at(80_000), &mut counts);
    assert_eq!(shown_at(&mut aggregator, at(80_000)), [r#"{__name__="a"} 6"#]);
}

#[test]
fn sleeping_series_make_room_when_it_is_crowded() {
    let mut aggregator = mapped("defaults: {ttl: 1m}\n", 200);
    let lines: String = (0..200).map(|i| format!("old{i}:1|c\n")).collect();
    assert_eq!(take(&mut aggregator, &lines).series_refused, 0);
    assert_eq!(take(&mut aggregator, "new:1|c").series_refused, 1);
    aggregator.points(Timestamp(NOW.as_millis() + 70_000));
    aggregator.start_interval();
    assert_eq!((aggregator.len(), aggregator.stored()), (0, 0));
    assert_eq!(take(&mut aggregator, "new:1|c").series_refused, 0);
    assert_eq!(shown(&mut aggregator), [r#"{__name__="new"} 1"#]);
}

#[test]
fn gauges_of_the_past_are_stored_then_and_do_not_become_the_present() {
    let mut aggregator = Aggregator::new(10);
    let now = NOW.as_millis() / 1000;
    let lines = format!(
        "g:1|g|T{}\ng:2|g|T{}\nnew:7|g|T{now}\nc:4|c|T{}\nfar:1|g|T{}",
        now - 3600,
        now - 7200,
        now - 3600,
        now + 3600,
    );
    let counts = take(&mut aggregator, &lines);
    assert_eq!(counts.refused_for(Reason::MalformedTimestamp), 1);
    assert_eq!(
        shown(&mut aggregator),
        [
            r#"{__name__="c"} 4"#.to_owned(),
            format!(r#"{{__name__="g"}} 1 @{}"#, (now - 3600) * 1000),
            format!(r#"{{__name__="g"}} 2 @{}"#, (now - 7200) * 1000),
            r#"{__name__="new"} 7"#.to_owned(),
            r#"{__name__="new"} 7"#.to_owned(),
        ]
    );
    aggregator.start_interval();
    assert_eq!(shown(&mut aggregator), [r#"{__name__="c"} 4"#, r#"{__name__="new"} 7"#]);
}

#[test]
fn events_and_checks_are_kept() {
    let mut aggregator = Aggregator::new(10);
    let counts = take(
        &mut aggregator,
        "_e{1,4}:a|text|t:error|#env:t\n_e{1,4}:b|text|t:error|#env:t\n_sc|db|2|h:box|#env:t|m:x",
    );
    assert_eq!((counts.notices, counts.checks, counts.samples), (2, 1, 0));
    assert_eq!(
        shown(&mut aggregator),
        [
            r#"{__name__="dogstatsd_events_total", alert_type="error", env="t", priority="normal"} 2"#,
            r#"{__name__="dogstatsd_service_check_status", check="db", env="t", host="box"} 2"#,
        ]
    );
    assert_eq!(aggregator.samples().notices().count(), 2);
}

#[test]
fn new_rules_replace_what_they_contradict() {
    let mut aggregator = Aggregator::new(100);
    take(&mut aggregator, "t:1|h\nc:3|c");
    let rules = "defaults: {observer_type: histogram, buckets: [1]}\n";
    let mapper = Mapper::parse(std::path::Path::new("m.yml"), rules).expect("valid rules");
    aggregator.set_resolver(Resolver { mapper, ..Resolver::default() });
    let counts = take(&mut aggregator, "t:1|h\nc:1|c");
    assert_eq!(counts.conflicts_of(Kind::Observer), 0);
    let all = shown(&mut aggregator);
    assert!(all.contains(&r#"{__name__="t_bucket", le="1.0"} 1"#.to_owned()), "{all:?}");
    assert!(all.contains(&r#"{__name__="c"} 4"#.to_owned()), "{all:?}");
}

#[test]
fn endless_names_and_spellings_take_bounded_memory() {
    let mut aggregator = mapped("mappings: [{match: 'd.*', name: d, action: drop}]\n", 50);
    let lines: String =
        (0..10_000).map(|i| format!("n{i}:1|c\nd.{i}:1|c\nn0:1|c|#b:{}\n", i % 3)).collect();
    let counts = take(&mut aggregator, &lines);
    assert!(counts.series_refused > 9_000);
    assert_eq!(counts.dropped, 10_000);
    assert!(aggregator.len() <= 50);
    assert!(aggregator.by_spelling.len() <= 50 * SPELLINGS_PER_SERIES);
}

proptest::proptest! {
    #[test]
    fn any_lines_leave_the_books_balanced(
        lines in proptest::collection::vec(
            "(airflow\\.(ti\\.finish|dag|pool\\.open_slots|task\\.duration)[a-z.]{0,8}|_e\\{1,1\\}|_sc|[a-c,;#=\\[\\]]{1,4})[:|][0-9:a|-]{0,5}\\|(c|g|ms|h|s)(\\|[@#T][0-9a:.,]{0,4})?",
            1..30,
        ),
    ) {
        let mut aggregator = Aggregator::new(40);
        let airflow = Some(crate::statsd::airflow::Airflow::new(Vec::new(), "default", false));
        aggregator.set_resolver(Resolver { airflow, ..Resolver::default() });
        let mut all = Counts::default();
        for flush in 0..3i64 {
            let now = NOW.saturating_add(flush * 40_000);
            let text = lines.join("\n");
            aggregator.take_lines(Origin::default(), text.as_bytes(), now, &mut all);
            aggregator.settle(now, &mut all);
            aggregator.points(now);
            aggregator.start_interval();
        }
        let applied: u64 = Kind::ALL.into_iter().map(|kind| all.events_of(kind)).sum();
        let conflicts: u64 = Kind::ALL.into_iter().map(|kind| all.conflicts_of(kind)).sum();
        let left_out = conflicts + all.series_refused + all.invalid_labels + all.duplicates;
        proptest::prop_assert!(all.samples >= applied);
        proptest::prop_assert!(all.samples <= applied + left_out);
        proptest::prop_assert!(aggregator.stored() <= 40);
    }
}
