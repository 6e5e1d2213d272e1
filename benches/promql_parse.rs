//! Query text to checked syntax tree, for the questions dashboards and alerts ask. A query is
//! parsed once for the many samples it reads: this need not be fast, only never be noticed.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidewatch::promql::{Features, parse};

/// From the shortest to the longest that people write.
const QUERIES: &[(&str, &str)] = &[
    ("name", "up"),
    ("selector", r#"node_cpu_seconds_total{job="node",instance=~"host-.*",mode!="idle"}"#),
    ("rate", r#"sum by (job, instance) (rate(http_requests_total{job="api",code=~"5.."}[5m]))"#),
    (
        "quantile",
        r#"histogram_quantile(0.99, sum by (le, namespace) (rate(request_duration_seconds_bucket{namespace="prod"}[5m]))) > 0.5"#,
    ),
    (
        "alert",
        r#"
# Free space runs out within a day.
(
  node_filesystem_avail_bytes{fstype!="",mountpoint!~"/run.*"}
    / on (instance, device) group_left (cluster) node_filesystem_size_bytes * 100 < 40
and
  predict_linear(node_filesystem_avail_bytes{fstype!=""}[6h:5m] offset 5m, 24 * 60 * 60) < 0
and
  node_filesystem_readonly{fstype!=""} == 0
) unless on (instance) max_over_time(maintenance[1h30m] @ end()) == bool 1
"#,
    ),
];

fn queries(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("promql_parse");
    for (name, text) in QUERIES {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(*name, |bencher| {
            bencher.iter(|| {
                parse(black_box(text), &Features::default()).expect("the query is correct")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, queries);
criterion_main!(benches);
