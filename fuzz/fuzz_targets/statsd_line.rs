//! Any bytes through the StatsD parser and the aggregation: no panic, and the books balance.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidewatch::model::Timestamp;
use tidewatch::statsd::Aggregator;
use tidewatch::statsd::line::{Kind, Reason};
use tidewatch::statsd::listen::source::Origin;
use tidewatch::statsd::metrics::Counts;

fuzz_target!(|lines: &[u8]| {
    let mut aggregator = Aggregator::new(64);
    let mut counts = Counts::default();
    aggregator.take_lines(Origin::default(), lines, Timestamp(0), &mut counts);
    let applied: u64 = Kind::ALL.into_iter().map(|kind| counts.events_of(kind)).sum();
    let conflicts: u64 = Kind::ALL.into_iter().map(|kind| counts.conflicts_of(kind)).sum();
    let refused: u64 = Reason::ALL.into_iter().map(|reason| counts.refused_for(reason)).sum();
    let dropped = conflicts + counts.series_refused + counts.invalid_labels + counts.dropped;
    // Events and service checks can be dropped, too, and are no samples.
    assert!(counts.samples >= applied);
    assert!(counts.samples <= applied + dropped);
    let told = counts.samples + refused + counts.notices + counts.checks;
    assert!(told >= counts.lines);
    assert!(aggregator.len() <= 64);
    assert!(aggregator.stored() >= aggregator.len());
});
