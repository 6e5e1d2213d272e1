//! Any mapping file and any lines under it, Airflow's among them, through some flushes: no panic,
//! and bounded memory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidewatch::model::Timestamp;
use tidewatch::statsd::airflow::Airflow;
use tidewatch::statsd::listen::source::Origin;
use tidewatch::statsd::metrics::Counts;
use tidewatch::statsd::{Aggregator, Mapper, Resolver};

fuzz_target!(|input: &[u8]| {
    let split = input.iter().position(|byte| *byte == 0).unwrap_or(0);
    let (rules, lines) = input.split_at(split);
    let rules = String::from_utf8_lossy(rules);
    let path = std::path::Path::new("rules");
    let mapper = Mapper::parse(path, &rules).unwrap_or_default();
    let airflow = Some(Airflow::new(Vec::new(), "default", rules.len() % 2 == 0));
    let mut aggregator = Aggregator::new(256);
    aggregator.set_resolver(Resolver { mapper, airflow, ..Resolver::default() });
    let mut counts = Counts::default();
    for flush in 0..3 {
        let now = Timestamp(flush * 30_000);
        aggregator.take_lines(Origin::default(), lines, now, &mut counts);
        aggregator.settle(now, &mut counts);
        aggregator.points(now);
        aggregator.start_interval();
        assert!(aggregator.stored() <= 256);
    }
});
