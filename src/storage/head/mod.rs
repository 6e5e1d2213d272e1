//! The head: every live series, found by its labels, with the samples that are not yet on disk.
//!
//! In: label sets and samples of a batch. Out: series numbers, snapshots for queries, whole windows
//! for the flush. Never here: durability (the journal has that), files, decoding of requests.
//!
//! Series are numbered in order of appearance, and shards take neighbouring ones together, so the
//! series of one sender lie side by side. Locks: a shard's lock is taken before that of the lookup
//! table, and no other pair is ever held together.

pub mod blocks;
pub mod buffer;
mod in_range;
pub mod series;
mod shard;
mod slots;

use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::ops::RangeBounds;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hashbrown::HashTable;
use rayon::prelude::*;
use roaring::RoaringBitmap;

pub use self::in_range::InRange;
use self::series::{
    EXEMPLAR_BYTES, HISTOGRAM_BYTES, HeadSeries, NO_SERIES, WindowCopies, WindowCopy, WindowData,
};
use self::shard::{Appended, ByShard, Run, SHARDS, Shard, number_of, shard_of, slot_of};
use super::error::StorageError;
use super::index::{LabelIndex, resolve};
use super::window::{Day, Window, WindowCut};
use crate::model::source::HistogramPoint;
use crate::model::{Exemplar, Labels, Sample, Selector, SeriesEntry};

/// All live series.
#[derive(Debug)]
pub struct Head {
    shards: Vec<RwLock<Shard>>,
    lookup: RwLock<HashTable<LookupEntry>>,
    index: RwLock<LabelIndex>,
    /// Held while a series is created or removed.
    numbers: Mutex<Numbers>,
    hasher: foldhash::fast::RandomState,
    heap_bytes: AtomicI64,
    max_time: AtomicI64,
}

#[derive(Clone, Copy, Debug)]
struct LookupEntry {
    hash: u32,
    series: u32,
}

#[derive(Debug, Default)]
struct Numbers {
    next: u32,
    free: Vec<u32>,
    live: usize,
}

/// What an append did.
#[derive(Clone, Copy, Debug, Default)]
pub struct AppendStats {
    /// Samples that replaced one with the same timestamp and another value.
    pub replaced: u64,
}

/// What [`Head::get_or_create`] found and made.
#[derive(Clone, Debug, Default)]
pub struct CreatedSeries {
    /// Number of each wanted series; [`NO_SERIES`] when there are too many series already.
    pub numbers: Vec<u32>,
    /// The new ones, each once.
    pub created: Vec<(u32, Labels)>,
}

/// One frozen window of one series.
#[derive(Clone, Copy, Debug)]
pub struct FrozenWindow {
    /// Number of the series in the head.
    pub series: u32,
    /// Which window.
    pub window: Window,
    /// The series' id in the partition of the window's day, when it has one.
    pub partition_id: Option<u32>,
}

/// One series of a snapshot.
#[derive(Clone, Debug)]
pub struct SeriesSnapshot {
    /// Number of the series in the head.
    pub series: u32,
    /// Its labels.
    pub labels: Labels,
    /// Its windows that overlap the wanted time.
    pub windows: WindowCopies,
    /// The day in whose partition it was last found, and its id there.
    pub stored: Option<(Day, u32)>,
}

impl Default for Head {
    fn default() -> Head {
        Head::new()
    }
}

impl Head {
    /// An empty head.
    pub fn new() -> Head {
        Head {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            lookup: RwLock::default(),
            index: RwLock::default(),
            numbers: Mutex::default(),
            hasher: foldhash::fast::RandomState::default(),
            heap_bytes: AtomicI64::new(0),
            max_time: AtomicI64::new(i64::MIN),
        }
    }

    /// Number of live series.
    pub fn len(&self) -> usize {
        lock(&self.numbers).live
    }

    /// Newest timestamp appended (ms); [`i64::MIN`] when none was.
    pub fn max_time(&self) -> i64 {
        self.max_time.load(Ordering::Relaxed)
    }

    /// Memory held by samples that are not yet on disk, in bytes.
    pub fn heap_bytes(&self) -> u64 {
        self.heap_bytes.load(Ordering::Relaxed).try_into().unwrap_or(0)
    }

    /// The index of label pairs.
    pub fn index(&self) -> RwLockReadGuard<'_, LabelIndex> {
        read(&self.index)
    }

    /// Number of each entry's series, [`NO_SERIES`] for those not known yet. Only bytes equal to
    /// those of a live series are found, so a found entry's labels are valid.
    pub fn find(&self, entries: &[SeriesEntry<'_>], found: &mut Vec<u32>) {
        let shards: Vec<RwLockReadGuard<'_, Shard>> = self.shards.iter().map(read).collect();
        let mut previous: Option<&HeadSeries> = None;
        for entry in entries {
            let predicted = previous.map_or(NO_SERIES, |p| p.next.load(Ordering::Relaxed));
            let number = match get(&shards, predicted) {
                Some(series) if series.labels.as_packed() == entry.labels => predicted,
                _ => {
                    let number = self.find_hashed(&shards, entry.labels);
                    if let (Some(previous), true) = (previous, number != NO_SERIES) {
                        previous.next.store(number, Ordering::Relaxed);
                    }
                    number
                }
            };
            previous = get(&shards, number).or(previous);
            found.push(number);
        }
    }

    fn find_hashed(&self, shards: &[RwLockReadGuard<'_, Shard>], packed: &[u8]) -> u32 {
        let hash = self.hash(packed);
        let same = |entry: &LookupEntry| {
            entry.hash == hash
                && get(shards, entry.series).is_some_and(|s| s.labels.as_packed() == packed)
        };
        read(&self.lookup).find(spread(hash), same).map_or(NO_SERIES, |entry| entry.series)
    }

    fn hash(&self, packed: &[u8]) -> u32 {
        (self.hasher.hash_one(packed) >> 32) as u32
    }

    /// Numbers of the series with these label sets, created where they do not exist yet.
    ///
    /// New series are found by their labels a moment before they are in the index.
    pub fn get_or_create(&self, wanted: &[Labels], series_max: usize) -> CreatedSeries {
        let mut numbers = lock(&self.numbers);
        let done = self.create(&mut numbers, wanted, series_max);
        self.index_created(&done);
        done
    }

    /// As [`Head::get_or_create`] without a limit, but nothing selects the new series before
    /// [`Head::index_created`]; for recovery, which does other work meanwhile.
    pub fn get_or_create_unindexed(&self, wanted: &[Labels]) -> CreatedSeries {
        self.create(&mut lock(&self.numbers), wanted, usize::MAX)
    }

    /// Puts new series into the index of label pairs.
    pub fn index_created(&self, done: &CreatedSeries) {
        write(&self.index).insert(&done.created);
    }

    fn create(&self, numbers: &mut Numbers, wanted: &[Labels], series_max: usize) -> CreatedSeries {
        let mut done = CreatedSeries::default();
        let mut shards: Vec<_> = self.shards.iter().map(write).collect();
        let mut lookup = write(&self.lookup);
        for labels in wanted {
            let hash = self.hash(labels.as_packed());
            let same = |entry: &LookupEntry| {
                let (shard, slot) = (shard_of(entry.series), slot_of(entry.series));
                let known = shards[shard].get(slot).filter(|_| entry.hash == hash);
                known.is_some_and(|series| series.labels == *labels)
            };
            let series = match lookup.find(spread(hash), same) {
                Some(entry) => entry.series,
                None if numbers.live >= series_max.min(NO_SERIES as usize) => NO_SERIES,
                None => {
                    let series = numbers.take();
                    let fresh = HeadSeries::new(labels.clone());
                    shards[shard_of(series)].series.put(slot_of(series), fresh);
                    let entry = LookupEntry { hash, series };
                    lookup.insert_unique(spread(hash), entry, |entry| spread(entry.hash));
                    done.created.push((series, labels.clone()));
                    series
                }
            };
            done.numbers.push(series);
        }
        done
    }

    /// Labels of a live series.
    pub fn labels(&self, series: u32) -> Option<Labels> {
        let shard = read(&self.shards[shard_of(series)]);
        Some(shard.get(slot_of(series))?.labels.clone())
    }

    /// Appends float samples; `series[i]` is the series of `samples[i]`, [`NO_SERIES`] to skip it.
    pub fn append(&self, series: &[u32], samples: &[Sample]) -> AppendStats {
        assert_eq!(series.len(), samples.len(), "BUG: every sample has a series");
        let mut done = Appended::default();
        self.for_each_shard(series, |shard, runs| {
            done.append_all(shard, runs, series, samples);
        });
        self.note(done)
    }

    /// Appends the float samples of many batches, in their order, on all threads of the present
    /// rayon pool: each shard is filled by one of them.
    pub fn append_all(&self, batches: &[(&[u32], &[Sample])]) {
        let orders: Vec<ByShard> = batches.par_iter().map(|batch| ByShard::of(batch.0)).collect();
        self.shards.par_iter().enumerate().for_each(|(number, lock)| {
            let mut done = Appended::default();
            let mut shard = write(lock);
            for ((series, samples), order) in batches.iter().zip(&orders) {
                done.append_all(&mut shard, order.runs(number), series, samples);
            }
            drop(shard);
            self.note(done);
        });
    }

    fn note(&self, done: Appended) -> AppendStats {
        self.max_time.fetch_max(done.newest, Ordering::Relaxed);
        self.heap_bytes.fetch_add(done.grown, Ordering::Relaxed);
        AppendStats { replaced: done.replaced }
    }

    /// Appends histogram samples; as [`Head::append`].
    pub fn append_histograms(&self, series: &[u32], points: &[HistogramPoint]) {
        let mut newest = i64::MIN;
        self.for_each_by_shard(series, |shard, slot, i| {
            let Some(live) = shard.series.get_mut(slot) else { return };
            let data = live.window_mut(Window::of(points[i].timestamp));
            data.rare.get_or_insert_default().histograms.push(points[i].clone());
            newest = newest.max(points[i].timestamp);
        });
        self.max_time.fetch_max(newest, Ordering::Relaxed);
        self.heap_bytes.fetch_add((points.len() * HISTOGRAM_BYTES) as i64, Ordering::Relaxed);
    }

    /// Appends exemplars; as [`Head::append`]. An exact repetition of the last one is dropped.
    pub fn append_exemplars(&self, series: &[u32], exemplars: &[Exemplar]) {
        self.for_each_by_shard(series, |shard, slot, i| {
            let Some(live) = shard.series.get_mut(slot) else { return };
            let data = live.window_mut(Window::of(exemplars[i].timestamp.0));
            let kept = &mut data.rare.get_or_insert_default().exemplars;
            if kept.last() != Some(&exemplars[i]) {
                kept.push(exemplars[i].clone());
            }
        });
        self.heap_bytes.fetch_add((exemplars.len() * EXEMPLAR_BYTES) as i64, Ordering::Relaxed);
    }

    /// Calls `each(shard, slot, index)` for every index of `series` that names one, shard by shard.
    fn for_each_by_shard(&self, series: &[u32], mut each: impl FnMut(&mut Shard, usize, usize)) {
        self.for_each_shard(series, |shard, runs| {
            for i in runs.iter().flat_map(|run| run.indexes()) {
                each(shard, slot_of(series[i]), i);
            }
        });
    }

    /// Calls `each` once with every shard that has some of `series`, and where those are, so that each
    /// shard's lock is taken once.
    fn for_each_shard(&self, series: &[u32], mut each: impl FnMut(&mut Shard, &[Run])) {
        let order = ByShard::of(series);
        for (number, lock) in self.shards.iter().enumerate() {
            let runs = order.runs(number);
            if !runs.is_empty() {
                each(&mut write(lock), runs);
            }
        }
    }

    /// What `make` makes of copies of the series that match and of their windows that overlap
    /// `start..=end` (ms). These are many: nothing is allocated that is not kept.
    ///
    /// # Errors
    /// The search is interrupted.
    pub fn snapshot<T>(
        &self,
        selector: &Selector<'_>,
        mut make: impl FnMut(SeriesSnapshot) -> T,
    ) -> Result<Vec<T>, StorageError> {
        let (start, end) = (selector.start.0, selector.end.0);
        let numbers = self.matching(selector)?;
        let shards: Vec<_> = self.shards.iter().map(read).collect();
        let snapshot = |series: u32| {
            let shard = &shards[shard_of(series)];
            let live = shard.get(slot_of(series))?;
            let wanted = live.windows().filter(|(data, _)| data.window.overlaps(start, end));
            let copy =
                |(data, frozen): (&WindowData, _)| data.copy(shard.blocks(data.window, frozen));
            let windows = wanted.map(copy).collect();
            let (labels, stored) = (live.labels.clone(), live.stored());
            Some(SeriesSnapshot { series, labels, windows, stored })
        };
        let mut made = Vec::with_capacity(usize::try_from(numbers.len()).unwrap_or(0));
        for (index, series) in numbers.iter().enumerate() {
            selector.interrupt.check_at(index)?;
            made.extend(snapshot(series).map(&mut make));
        }
        Ok(made)
    }

    /// Numbers of the series that match.
    ///
    /// # Errors
    /// The search is interrupted.
    pub fn matching(&self, selector: &Selector<'_>) -> Result<RoaringBitmap, StorageError> {
        resolve(&*read(&self.index), selector.matchers, selector.interrupt)
    }

    /// Memory held by the float samples of the windows of a range, in bytes.
    pub fn window_bytes(&self, range: impl RangeBounds<Window>) -> u64 {
        let bytes = |shard: &RwLock<Shard>| {
            let windows = &read(shard).windows;
            let counted = windows.iter().filter(|blocks| range.contains(&blocks.window));
            counted.map(|blocks| blocks.blocks.heap_bytes() as u64).sum::<u64>()
        };
        self.shards.iter().map(bytes).sum()
    }

    /// The windows that hold samples, each once.
    pub fn open_windows(&self) -> BTreeSet<Window> {
        let mut windows = BTreeSet::new();
        for shard in &self.shards {
            for live in read(shard).series.iter().flatten() {
                windows.extend(live.windows().map(|(data, _)| data.window));
            }
        }
        windows
    }

    /// Freezes the windows of the cut, and removes the series whose last sample is flushed and
    /// older. The caller keeps appends and queries out.
    pub fn freeze(&self, cut: WindowCut) {
        let mut idle = Vec::new();
        for (shard_number, shard) in self.shards.iter().enumerate() {
            let mut shard = write(shard);
            for blocks in &mut shard.windows {
                blocks.frozen |= cut.contains(blocks.window);
            }
            for (slot, entry) in shard.series.iter_mut().enumerate() {
                let Some(live) = entry else { continue };
                if live.is_idle(cut.up_to) {
                    idle.push((number_of(shard_number, slot), live.labels.clone()));
                    *entry = None;
                } else {
                    live.freeze(cut);
                }
            }
        }
        self.forget(&idle);
    }

    /// The days that have frozen windows.
    pub fn frozen_days(&self) -> BTreeSet<Day> {
        let mut days = BTreeSet::new();
        for shard in &self.shards {
            for live in read(shard).series.iter().flatten() {
                days.extend(live.frozen().map(|data| data.window.day()));
            }
        }
        days
    }

    /// The frozen windows of a day, in no particular order.
    pub fn frozen(&self, day: Day) -> Vec<FrozenWindow> {
        let mut frozen = Vec::with_capacity(self.len());
        for (shard_number, shard) in self.shards.iter().enumerate() {
            for (slot, live) in read(shard).series.iter().enumerate() {
                let Some(live) = live else { continue };
                let known = (live.partition_day == day.0).then_some(live.partition_id);
                let series = number_of(shard_number, slot);
                let wanted = live.frozen().filter(|data| data.window.day() == day);
                frozen.extend(wanted.map(|data| FrozenWindow {
                    series,
                    window: data.window,
                    partition_id: known,
                }));
            }
        }
        frozen
    }

    /// Copies the samples of a frozen window; whether it is there.
    pub fn copy_frozen(&self, frozen: FrozenWindow, copy: &mut WindowCopy) -> bool {
        let shard = read(&self.shards[shard_of(frozen.series)]);
        let live = shard.get(slot_of(frozen.series));
        let found = live.and_then(|live| live.frozen().find(|d| d.window == frozen.window));
        if let Some(data) = found {
            data.copy_into(shard.blocks(frozen.window, true), copy);
        }
        found.is_some()
    }

    /// Drops the frozen windows of a day: they are in its partition now.
    pub fn drop_frozen(&self, day: Day) {
        let mut bytes = 0;
        for shard in &self.shards {
            let mut shard = write(shard);
            let rare = shard.series.iter_mut().flatten().map(|live| live.drop_frozen(day));
            bytes += rare.sum::<usize>();
            for done in shard.windows.extract_if(.., |w| w.frozen && w.window.day() == day) {
                bytes += done.blocks.heap_bytes();
            }
        }
        self.heap_bytes.fetch_sub(bytes as i64, Ordering::Relaxed);
    }

    /// Removes series, whose slots are already empty, from the lookup table and the index.
    fn forget(&self, idle: &[(u32, Labels)]) {
        let mut numbers = lock(&self.numbers);
        let mut lookup = write(&self.lookup);
        let mut index = write(&self.index);
        for (series, labels) in idle {
            let hash = self.hash(labels.as_packed());
            if let Ok(entry) = lookup.find_entry(spread(hash), |entry| entry.series == *series) {
                entry.remove();
            }
            index.remove(*series, labels);
            numbers.free.push(*series);
            numbers.live -= 1;
        }
    }

    /// Remembers the ids that series got in the partition of `day`.
    pub fn set_partition_ids(&self, day: i32, ids: &[(u32, u32)]) {
        for (series, id) in ids {
            let mut shard = write(&self.shards[shard_of(*series)]);
            if let Some(live) = shard.series.get_mut(slot_of(*series)) {
                live.partition_day = day;
                live.partition_id = *id;
            }
        }
    }
}

impl Numbers {
    fn take(&mut self) -> u32 {
        self.live += 1;
        self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        })
    }
}

#[inline]
fn get<'a>(shards: &'a [RwLockReadGuard<'_, Shard>], series: u32) -> Option<&'a HeadSeries> {
    shards[shard_of(series)].get(slot_of(series))
}

/// The lookup table keeps 32 bits of a hash; this makes 64 of them again.
const fn spread(hash: u32) -> u64 {
    (hash as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

// A panic while one of these locks is held is a bug of ours; the data behind them is valid between
// any two statements that can panic, so the next user may go on.

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

fn lock<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{SeriesData, Timestamp};
    use crate::storage::window::WINDOW_MS;

    fn labels(host: &str) -> Labels {
        Labels::from_pairs([("__name__", "up"), ("host", host)]).expect("valid")
    }

    fn find(head: &Head, sets: &[Labels]) -> Vec<u32> {
        let entries: Vec<SeriesEntry<'_>> =
            sets.iter().map(|labels| SeriesEntry::of(labels.as_packed())).collect();
        let mut found = Vec::new();
        head.find(&entries, &mut found);
        found
    }

    fn create(head: &Head, labels: &Labels, series_max: usize) -> u32 {
        head.get_or_create(std::slice::from_ref(labels), series_max).numbers[0]
    }

    #[test]
    fn series_are_found_again_by_prediction_and_by_hash() {
        let head = Head::new();
        let sets: Vec<Labels> = (0..50).map(|i| labels(&i.to_string())).collect();
        assert_eq!(find(&head, &sets), [NO_SERIES; 50]);
        for (i, set) in sets.iter().enumerate() {
            assert_eq!(create(&head, set, 100), i as u32);
        }
        let expected: Vec<u32> = (0..50).collect();
        for _ in 0..3 {
            assert_eq!(find(&head, &sets), expected);
        }
        let reversed: Vec<Labels> = sets.iter().rev().cloned().collect();
        assert_eq!(find(&head, &reversed), (0..50).rev().collect::<Vec<_>>());
        assert_eq!(create(&head, &sets[7], 100), 7);
        let twice = [labels("new"), sets[7].clone(), labels("new")];
        let done = head.get_or_create(&twice, 100);
        assert_eq!((done.numbers, done.created.len()), (vec![50, 7, 50], 1));
    }

    #[test]
    fn the_series_limit_holds() {
        let head = Head::new();
        let done = head.get_or_create(&["a", "b", "c", "a"].map(labels), 2);
        assert_eq!((done.numbers, done.created.len()), (vec![0, 1, NO_SERIES, 0], 2));
    }

    #[test]
    fn windows_are_frozen_and_idle_series_forgotten() {
        let head = Head::new();
        let a = create(&head, &labels("a"), 10);
        let b = create(&head, &labels("b"), 10);
        let sample = |t: i64| Sample::new(Timestamp(t), t as f64);
        head.append(&[a, b, a], &[sample(5), sample(6), sample(WINDOW_MS + 1)]);
        head.freeze(WindowCut::up_to(Window::of(0)));
        let day = Window::of(0).day();
        let mut frozen = head.frozen(day);
        frozen.sort_by_key(|frozen| frozen.series);
        assert_eq!(frozen.iter().map(|f| f.series).collect::<Vec<_>>(), [a, b]);
        assert_eq!(head.frozen_days().into_iter().collect::<Vec<_>>(), [day]);

        head.append(&[b], &[sample(7)]); // too late for the flush, but not lost
        let mut data = SeriesData::default();
        let mut copy = WindowCopy::default();
        assert!(head.copy_frozen(frozen[1], &mut copy));
        copy.read(&mut data);
        assert_eq!((data.timestamps, data.values), (vec![6], vec![6.0]));
        let parts = |head: &Head| -> Vec<usize> {
            let snapshot = head
                .snapshot(&Selector::new(&[], Timestamp::MIN, Timestamp::MAX), |series| {
                    series.windows.len()
                });
            snapshot.expect("not interrupted")
        };
        assert_eq!(parts(&head), [2, 2]);
        head.drop_frozen(day);
        assert_eq!(parts(&head), [1, 1]);
        assert!(!head.copy_frozen(frozen[1], &mut copy));
        assert_eq!(head.heap_bytes(), 2 * 16384, "one shard each for the samples that came later");

        head.freeze(WindowCut::up_to(Window::of(0)));
        head.drop_frozen(day);
        head.freeze(WindowCut::up_to(Window::of(0)));
        assert_eq!(head.len(), 2, "b may still be alive");
        head.freeze(WindowCut::up_to(Window::of(WINDOW_MS)));
        assert_eq!(head.len(), 1);
        assert_eq!(find(&head, &[labels("b")]), [NO_SERIES]);
        assert_eq!(create(&head, &labels("c"), 10), b);
    }
}
