//! Which live series have samples in a time range.
//!
//! In: matchers and a range. Out: numbers of series. Never here: copies of samples. A series has
//! samples in the range when the time from the first to the last one it has in a window overlaps it.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use super::series::HeadSeries;
use super::shard::{Shard, shard_of, slot_of};
use super::{Head, read};
use crate::model::Selector;
use crate::storage::error::StorageError;
use crate::storage::window::Day;

/// The live series that match and have samples in the range, here in the head.
#[derive(Clone, Debug, Default)]
pub struct InRange {
    /// Their numbers in the head.
    pub series: RoaringBitmap,
    /// The ids they are known to have in partitions.
    pub stored: BTreeMap<Day, RoaringBitmap>,
}

impl Head {
    /// The series that match and have samples in the range that are not yet on disk.
    ///
    /// # Errors
    /// The search is interrupted.
    pub fn in_range(&self, selector: &Selector<'_>) -> Result<InRange, StorageError> {
        let numbers = self.matching(selector)?;
        let shards: Vec<_> = self.shards.iter().map(read).collect();
        let mut found = InRange::default();
        for (index, number) in numbers.iter().enumerate() {
            selector.interrupt.check_at(index)?;
            let shard = &shards[shard_of(number)];
            let Some(live) = shard.get(slot_of(number)) else { continue };
            if overlaps(shard, live, selector) {
                found.series.insert(number);
                if let Some((day, id)) = live.stored() {
                    found.stored.entry(day).or_default().insert(id);
                }
            }
        }
        Ok(found)
    }
}

fn overlaps(shard: &Shard, live: &HeadSeries, selector: &Selector<'_>) -> bool {
    let (start, end) = (selector.start.0, selector.end.0);
    live.windows().any(|(data, frozen)| {
        data.window.overlaps(start, end)
            && data.overlaps(shard.blocks(data.window, frozen), start, end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::histogram::{Histogram, IntHistogram};
    use crate::model::source::HistogramPoint;
    use crate::model::{Exemplar, Labels, Sample, Timestamp};
    use crate::storage::window::{WINDOW_MS, Window, WindowCut};

    /// A head with a series for each of these lists of timestamps, appended in their order.
    fn head(series: &[&[i64]]) -> Head {
        let head = Head::new();
        for (name, times) in series.iter().enumerate() {
            let number = create(&head, &name.to_string());
            let sample = |t: &i64| Sample::new(Timestamp(*t), 1.5);
            let samples: Vec<Sample> = times.iter().map(sample).collect();
            head.append(&vec![number; samples.len()], &samples);
        }
        head
    }

    fn create(head: &Head, name: &str) -> u32 {
        let labels = Labels::from_pairs([("__name__", name)]).expect("valid");
        head.get_or_create(&[labels], 100).numbers[0]
    }

    fn found(head: &Head, start: i64, end: i64) -> Vec<u32> {
        let selector = Selector::new(&[], Timestamp(start), Timestamp(end));
        head.in_range(&selector).expect("not interrupted").series.into_iter().collect()
    }

    #[test]
    fn what_begins_after_the_range_or_ended_before_it_is_not_found() {
        let head = head(&[
            &[100, 200],
            &[300, 400],
            &[500, 450, 550], // disordered
            &[350, 150, 500, 100],
            &[WINDOW_MS + 5, 100, WINDOW_MS + 9], // of two windows
        ]);
        assert_eq!(found(&head, 0, 99), [] as [u32; 0]);
        assert_eq!(found(&head, 0, 150), [0, 3, 4]);
        assert_eq!(found(&head, 201, 299), [3]);
        assert_eq!(found(&head, 401, 449), [3]);
        assert_eq!(found(&head, 401, 450), [2, 3]);
        assert_eq!(found(&head, 551, WINDOW_MS + 4), [] as [u32; 0]);
        assert_eq!(found(&head, 551, WINDOW_MS + 7), [4]);
        assert_eq!(found(&head, i64::MIN, i64::MAX), [0, 1, 2, 3, 4]);
        assert_eq!(found(&head, 150, 140), [] as [u32; 0]);
    }

    #[test]
    fn histograms_count_and_exemplars_do_not() {
        let head = Head::new();
        let (with, without) = (create(&head, "histograms"), create(&head, "exemplars"));
        let point = |timestamp| HistogramPoint {
            timestamp,
            start_timestamp: 0,
            histogram: Histogram::Int(IntHistogram::default()),
        };
        head.append_histograms(&[with, with], &[point(300), point(200)]);
        let labels = Labels::empty();
        let exemplar = Exemplar { labels, value: 1.0, timestamp: Timestamp(250) };
        head.append_exemplars(&[without], &[exemplar]);
        assert_eq!(found(&head, 0, 199), [] as [u32; 0]);
        assert_eq!(found(&head, 210, 220), [with]);
        assert_eq!(found(&head, 301, 400), [] as [u32; 0]);
    }

    #[test]
    fn frozen_windows_count_until_they_are_dropped_and_ids_are_told() {
        let head = head(&[&[100], &[200]]);
        head.freeze(WindowCut::up_to(Window::of(0)));
        head.append(&[1], &[Sample::new(Timestamp(300), 1.0)]); // beside the frozen ones
        head.set_partition_ids(0, &[(0, 70), (1, 71)]);
        assert_eq!(found(&head, 100, 150), [0]);
        assert_eq!(found(&head, 200, 200), [1]);
        head.drop_frozen(Day(0));
        assert_eq!(found(&head, 0, 299), [] as [u32; 0]);
        let selector = Selector::new(&[], Timestamp(0), Timestamp(400));
        let found = head.in_range(&selector).expect("not interrupted");
        assert_eq!(found.stored[&Day(0)].iter().collect::<Vec<_>>(), [71]);
    }
}
