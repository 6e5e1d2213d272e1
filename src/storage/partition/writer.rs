//! Writing whole windows into a partition, in one commit.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

use redb::{Durability, ReadableTable, WriteTransaction};
use roaring::RoaringBitmap;

use super::rows::{self, SymbolPairs};
use super::symbols::encode_blocks;
use super::tables::{
    COLUMNS, EXEMPLARS, EXTENT_SIZE_MAX, EXTENT_SIZE_MIN, EXTENTS, FORMAT_VERSION, META, PACKS,
    POSTINGS, SERIES, SERIES_PER_ROW, SYMBOLS, WINDOWS, WindowInfo,
};
use super::{Partition, View};
use crate::model::{Exemplar, Interrupt, Labels, SeriesData};
use crate::storage::chunk;
use crate::storage::columns::ColumnsBuilder;
use crate::storage::error::StorageError;
use crate::storage::head::series::WindowCopy;
use crate::storage::head::{FrozenWindow, Head};
use crate::storage::pack::{FinishedPack, PackWriter};
use crate::storage::window::Window;

/// How many label sets are read at a time when ids are looked up: 64 rows.
const KNOWN_PART: usize = 64 * SERIES_PER_ROW as usize;

/// What a commit wrote; not yet visible to queries.
#[derive(Debug)]
pub struct Written {
    /// One entry a window.
    pub windows: Vec<WindowInfo>,
    /// (number in the head, id in this partition) of every series written.
    pub ids: Vec<(u32, u32)>,
}

impl Partition {
    /// Writes frozen windows of the head, all of this partition's day, and whatever series are new to it. They are on
    /// disk when this returns, and visible after [`Partition::publish`].
    ///
    /// # Errors
    /// The commit failed; the file is as it was before.
    pub fn write(
        &self,
        head: &Head,
        frozen: &[FrozenWindow],
        journal_sequence: u64,
    ) -> Result<Written, StorageError> {
        let fail = |error: redb::Error| self.error("writing partition", error);
        let database = self.database()?;
        let mut transaction = database.begin_write().map_err(|e| fail(e.into()))?;
        transaction.set_durability(Durability::Immediate).map_err(|e| fail(e.into()))?;
        transaction.set_quick_repair(true);
        let ids = self.assign_ids(&transaction, head, frozen)?;
        let view = self.view();
        let mut windows = Vec::new();
        for (window, mut series) in by_window(frozen, &ids) {
            series.sort_unstable_by_key(|(id, _)| *id);
            let generation = view.next_generation(window);
            let mut job =
                WindowJob { partition: self, head, transaction: &transaction, window, generation };
            let mut rest = Vec::new();
            windows.push(job.write(&series, journal_sequence, &mut rest)?);
            while !rest.is_empty() {
                job.generation += 1;
                windows.push(job.write_rest(journal_sequence, &mut rest)?);
            }
        }
        transaction.commit().map_err(|e| fail(e.into()))?;
        let mut ids: Vec<(u32, u32)> = ids.into_iter().collect();
        ids.sort_unstable();
        Ok(Written { windows, ids })
    }

    /// The id of every series in this partition; new ones are added to its index.
    fn assign_ids(
        &self,
        transaction: &WriteTransaction,
        head: &Head,
        frozen: &[FrozenWindow],
    ) -> Result<SeriesIds, StorageError> {
        let mut ids = SeriesIds::with_capacity_and_hasher(frozen.len(), Default::default());
        let mut unknown: Vec<(Labels, u32)> = Vec::new();
        for window in frozen {
            match window.partition_id {
                Some(id) => drop(ids.insert(window.series, id)),
                None => unknown.extend(head.labels(window.series).map(|l| (l, window.series))),
            }
        }
        if unknown.is_empty() {
            return Ok(ids);
        }
        unknown.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        unknown.dedup_by_key(|(_, series)| *series); // one for each of its windows
        self.find_known(&unknown, &mut ids)?;
        let fresh = unknown.iter().filter(|(_, series)| !ids.contains_key(series));
        let fresh: Vec<(&Labels, u32)> = fresh.map(|(labels, series)| (labels, *series)).collect();
        let new_ids = self.add_series(transaction, &fresh)?;
        ids.extend(fresh.iter().zip(new_ids).map(|((_, series), id)| (*series, id)));
        Ok(ids)
    }

    /// Adds the ids of those series that the partition has already. Its label sets are read in
    /// parts: all of them would be as much memory as the head.
    fn find_known(
        &self,
        wanted: &[(Labels, u32)],
        ids: &mut SeriesIds,
    ) -> Result<(), StorageError> {
        use crate::storage::index::Postings;
        if self.view().windows.is_empty() {
            return Ok(());
        }
        let wanted: HashMap<u128, u32> =
            wanted.iter().map(|(labels, series)| (fingerprint(labels), *series)).collect();
        let reader = self.reader()?;
        let all = reader.all()?;
        let mut left = all.iter();
        loop {
            let part: RoaringBitmap = left.by_ref().take(KNOWN_PART).collect();
            if part.is_empty() {
                return Ok(());
            }
            for (id, labels) in reader.labels(&part, Interrupt::never())? {
                ids.extend(wanted.get(&fingerprint(&labels)).map(|series| (*series, id)));
            }
        }
    }

    /// Adds new series (ascending by labels) to symbols, series rows and postings.
    fn add_series(
        &self,
        transaction: &WriteTransaction,
        series: &[(&Labels, u32)],
    ) -> Result<Vec<u32>, StorageError> {
        if series.is_empty() {
            return Ok(Vec::new());
        }
        let fail = |error: redb::Error| self.error("adding series to partition", error);
        let mut meta = transaction.open_table(META).map_err(|e| fail(e.into()))?;
        meta.insert("format", FORMAT_VERSION).map_err(|e| fail(e.into()))?;
        drop(meta);
        let ids = self.take_ids(transaction, series).map_err(fail)?;
        let symbols = self.add_symbols(transaction, series)?;
        self.add_rows(transaction, series, &ids, &symbols)?;
        drop(symbols);
        let mut postings: BTreeMap<(&str, &str), RoaringBitmap> = BTreeMap::new();
        for ((labels, _), id) in series.iter().zip(&ids) {
            postings.entry(("", "")).or_default().insert(*id);
            for pair in labels.iter() {
                postings.entry(pair).or_default().insert(*id);
            }
        }
        self.add_postings(transaction, postings)?;
        Ok(ids)
    }

    /// Ids from each metric's extent, so that one metric's series are neighbours.
    fn take_ids(
        &self,
        transaction: &WriteTransaction,
        series: &[(&Labels, u32)],
    ) -> Result<Vec<u32>, redb::Error> {
        let mut meta = transaction.open_table(META)?;
        let mut extents = transaction.open_table(EXTENTS)?;
        let mut next_extent = meta.get("next_series")?.map_or(0, |v| v.value()) as u32;
        let mut ids = Vec::with_capacity(series.len());
        let same_metric =
            |a: &(&Labels, u32), b: &(&Labels, u32)| a.0.metric_name() == b.0.metric_name();
        for metric in series.chunk_by(same_metric) {
            let name = metric[0].0.metric_name();
            let (mut next, mut end, mut size) =
                extents.get(name)?.map_or((0, 0, EXTENT_SIZE_MIN / 2), |v| v.value());
            for taken in 0..metric.len() {
                if next == end {
                    let missing = (metric.len() - taken) as u32;
                    size = (size * 2).min(EXTENT_SIZE_MAX).max(missing.div_ceil(16) * 16);
                    next = next_extent;
                    end = next + size;
                    next_extent = end;
                }
                ids.push(next);
                next += 1;
            }
            extents.insert(name, (next, end, size.min(EXTENT_SIZE_MAX)))?;
        }
        meta.insert("next_series", u64::from(next_extent))?;
        Ok(ids)
    }

    /// Numbers of all symbols of the given series; new ones are added.
    fn add_symbols<'a>(
        &self,
        transaction: &WriteTransaction,
        series: &[(&'a Labels, u32)],
    ) -> Result<SymbolNumbers<'a>, StorageError> {
        let fail = |error: redb::Error| self.error("adding symbols to partition", error);
        let mut numbers: HashMap<&str, u32, _> = HashMap::default();
        let mut fresh: Vec<&str> = Vec::new();
        let known_symbols =
            if self.view().windows.is_empty() { None } else { Some(self.reader()?.symbols()?) };
        let known = known_symbols.as_ref().map(|symbols| symbols.numbers()).unwrap_or_default();
        let first = known.len() as u32;
        for text in series.iter().flat_map(|(labels, _)| labels.iter()).flat_map(|(n, v)| [n, v]) {
            numbers.entry(text).or_insert_with(|| {
                known.get(text).copied().unwrap_or_else(|| {
                    fresh.push(text);
                    first + fresh.len() as u32 - 1
                })
            });
        }
        let mut table = transaction.open_table(SYMBOLS).map_err(|e| fail(e.into()))?;
        for (number, block) in encode_blocks(first, &fresh) {
            table.insert(number, block.as_slice()).map_err(|e| fail(e.into()))?;
        }
        drop(table);
        let mut meta = transaction.open_table(META).map_err(|e| fail(e.into()))?;
        let count = u64::from(first) + fresh.len() as u64;
        meta.insert("next_symbol", count).map_err(|e| fail(e.into()))?;
        Ok(numbers)
    }

    fn add_rows(
        &self,
        transaction: &WriteTransaction,
        series: &[(&Labels, u32)],
        ids: &[u32],
        symbols: &SymbolNumbers<'_>,
    ) -> Result<(), StorageError> {
        let fail = |error: redb::Error| self.error("adding series to partition", error);
        let mut table = transaction.open_table(SERIES).map_err(|e| fail(e.into()))?;
        let mut left = series.iter();
        // Neighbours have neighbouring ids; a row that is met again is read again.
        for of_row in ids.chunk_by(|a, b| a / SERIES_PER_ROW == b / SERIES_PER_ROW) {
            let row = of_row[0] / SERIES_PER_ROW;
            let pairs = |labels: &Labels| -> SymbolPairs {
                labels.iter().map(|(name, value)| (symbols[name], symbols[value])).collect()
            };
            let position = |id: &u32| (id % SERIES_PER_ROW) as u8;
            let of_row = of_row.iter().zip(left.by_ref());
            let mut series: Vec<(u8, SymbolPairs)> =
                of_row.map(|(id, (labels, _))| (position(id), pairs(labels))).collect();
            if let Some(before) = table.get(row).map_err(|e| fail(e.into()))? {
                let before = rows::decode(before.value());
                series.extend(before.map_err(|e| StorageError::corrupted(&self.path, e))?);
                series.sort_unstable_by_key(|(position, _)| *position);
            }
            table.insert(row, rows::encode(&series).as_slice()).map_err(|e| fail(e.into()))?;
        }
        Ok(())
    }

    fn add_postings(
        &self,
        transaction: &WriteTransaction,
        postings: BTreeMap<(&str, &str), RoaringBitmap>,
    ) -> Result<(), StorageError> {
        let fail = |error: redb::Error| self.error("adding postings to partition", error);
        let mut table = transaction.open_table(POSTINGS).map_err(|e| fail(e.into()))?;
        let mut bytes = Vec::new();
        for (pair, mut posting) in postings {
            if let Some(before) = table.get(pair).map_err(|e| fail(e.into()))? {
                posting |= RoaringBitmap::deserialize_from(before.value())
                    .map_err(|e| StorageError::corrupted(&self.path, e))?;
            }
            posting.optimize();
            bytes.clear();
            posting.serialize_into(&mut bytes).expect("BUG: writing to memory cannot fail");
            table.insert(pair, bytes.as_slice()).map_err(|e| fail(e.into()))?;
        }
        Ok(())
    }
}

/// Text -> number.
type SymbolNumbers<'a> = HashMap<&'a str, u32, foldhash::fast::RandomState>;

/// Number in the head -> id in the partition.
type SeriesIds = HashMap<u32, u32, foldhash::fast::RandomState>;

/// The frozen windows of the series, with their ids, by window.
fn by_window(
    frozen: &[FrozenWindow],
    ids: &SeriesIds,
) -> BTreeMap<Window, Vec<(u32, FrozenWindow)>> {
    let mut windows: BTreeMap<Window, Vec<(u32, FrozenWindow)>> = BTreeMap::new();
    for frozen in frozen {
        let id = ids.get(&frozen.series).expect("BUG: every series was given an id");
        windows.entry(frozen.window).or_default().push((*id, *frozen));
    }
    windows
}

/// Writes one window of a flush.
struct WindowJob<'a> {
    partition: &'a Partition,
    head: &'a Head,
    transaction: &'a WriteTransaction,
    window: Window,
    generation: u32,
}

/// One generation of a window while it is put together.
struct Output {
    info: WindowInfo,
    columns: ColumnsBuilder,
    packs: PackWriter,
}

impl Output {
    fn new(job: &WindowJob<'_>, journal_sequence: u64) -> Output {
        let info = WindowInfo {
            window: job.window,
            generation: job.generation,
            journal_sequence,
            samples: 0,
            min_time: i64::MAX,
            max_time: i64::MIN,
            column_blocks: 0,
            has_exemplars: false,
            packs: Vec::new(),
        };
        Output { info, columns: ColumnsBuilder::default(), packs: PackWriter::default() }
    }
}

impl WindowJob<'_> {
    /// Writes the series (ascending by id). What of a series is too much for one chunk is left in
    /// `rest`, for the next generation.
    fn write(
        &self,
        series: &[(u32, FrozenWindow)],
        journal_sequence: u64,
        rest: &mut Vec<(u32, SeriesData)>,
    ) -> Result<WindowInfo, StorageError> {
        let mut output = Output::new(self, journal_sequence);
        let (mut copy, mut data) = (WindowCopy::default(), SeriesData::default());
        for (id, frozen) in series {
            assert!(self.head.copy_frozen(*frozen, &mut copy), "BUG: frozen until it is written");
            copy.read(&mut data);
            let exemplars = copy.rare.as_ref().map_or(&[][..], |rare| &rare.exemplars);
            output.info.has_exemplars |= self.write_exemplars(*id, exemplars)?;
            self.push(*id, &mut data, &mut output, rest)?;
        }
        self.finish(output)
    }

    /// Writes what an earlier generation had no room for, and leaves in `rest` what is still too
    /// much.
    fn write_rest(
        &self,
        journal_sequence: u64,
        rest: &mut Vec<(u32, SeriesData)>,
    ) -> Result<WindowInfo, StorageError> {
        let mut output = Output::new(self, journal_sequence);
        for (id, mut data) in std::mem::take(rest) {
            self.push(id, &mut data, &mut output, rest)?;
        }
        self.finish(output)
    }

    /// Adds one series, of its histograms as many as one chunk takes.
    fn push(
        &self,
        id: u32,
        data: &mut SeriesData,
        output: &mut Output,
        rest: &mut Vec<(u32, SeriesData)>,
    ) -> Result<(), StorageError> {
        if data.is_empty() {
            return Ok(());
        }
        let floats = !data.timestamps.is_empty();
        let column = floats.then(|| output.columns.push(&data.timestamps));
        let mut later = Vec::new();
        let finished = loop {
            match output.packs.push(id, column, data) {
                Err(chunk::CodecError::LimitExceeded { .. }) if data.histograms.len() > 1 => {
                    let mut half = data.histograms.split_off(data.histograms.len() / 2);
                    half.append(&mut later);
                    later = half;
                }
                result => break self.encoded(result)?,
            }
        };
        if !later.is_empty() {
            rest.push((id, SeriesData { histograms: later, ..SeriesData::default() }));
        }
        extend(&mut output.info, data);
        self.write_packs(finished, &mut output.info)
    }

    fn finish(&self, mut output: Output) -> Result<WindowInfo, StorageError> {
        self.write_packs(output.packs.finish(), &mut output.info)?;
        self.write_columns(output.columns.finish(), &mut output.info)?;
        self.write_info(&output.info)?;
        Ok(output.info)
    }

    fn encoded<T>(&self, result: Result<T, chunk::CodecError>) -> Result<T, StorageError> {
        result.map_err(|e| StorageError::corrupted(&self.partition.path, e))
    }

    fn fail(&self, error: impl Into<redb::Error>) -> StorageError {
        self.partition.error("writing partition", error)
    }

    fn key(&self, last: u32) -> (i64, u32, u32) {
        (self.window.number(), self.generation, last)
    }

    fn write_packs(
        &self,
        packs: impl IntoIterator<Item = FinishedPack>,
        info: &mut WindowInfo,
    ) -> Result<(), StorageError> {
        for pack in packs {
            let mut table = self.transaction.open_table(PACKS).map_err(|e| self.fail(e))?;
            table
                .insert(self.key(pack.first_series_id), pack.bytes.as_slice())
                .map_err(|e| self.fail(e))?;
            info.packs.push((pack.first_series_id, pack.last_series_id));
        }
        Ok(())
    }

    fn write_columns(
        &self,
        blocks: Vec<Vec<u8>>,
        info: &mut WindowInfo,
    ) -> Result<(), StorageError> {
        let mut table = self.transaction.open_table(COLUMNS).map_err(|e| self.fail(e))?;
        info.column_blocks = blocks.len() as u32;
        for (number, block) in blocks.iter().enumerate() {
            table.insert(self.key(number as u32), block.as_slice()).map_err(|e| self.fail(e))?;
        }
        Ok(())
    }

    fn write_exemplars(&self, id: u32, exemplars: &[Exemplar]) -> Result<bool, StorageError> {
        if exemplars.is_empty() {
            return Ok(false);
        }
        let mut bytes = Vec::new();
        let kept = chunk::exemplars::last_fitting(exemplars);
        self.encoded(chunk::exemplars::encode(kept, &mut bytes))?;
        let mut table = self.transaction.open_table(EXEMPLARS).map_err(|e| self.fail(e))?;
        table.insert(self.key(id), bytes.as_slice()).map_err(|e| self.fail(e))?;
        Ok(true)
    }

    fn write_info(&self, info: &WindowInfo) -> Result<(), StorageError> {
        let mut table = self.transaction.open_table(WINDOWS).map_err(|e| self.fail(e))?;
        table
            .insert((self.window.number(), self.generation), info.encode().as_slice())
            .map_err(|e| self.fail(e))?;
        Ok(())
    }
}

fn extend(info: &mut WindowInfo, data: &SeriesData) {
    info.samples += data.len() as u64;
    let floats = (data.timestamps.first().copied(), data.timestamps.last().copied());
    let histograms = (
        data.histograms.first().map(|point| point.timestamp),
        data.histograms.last().map(|point| point.timestamp),
    );
    for (first, last) in [floats, histograms] {
        info.min_time = info.min_time.min(first.unwrap_or(i64::MAX));
        info.max_time = info.max_time.max(last.unwrap_or(i64::MIN));
    }
}

/// 128 bits that stand for a label set, within one process: seeded at random, so nobody can make
/// two sets collide.
fn fingerprint(labels: &Labels) -> u128 {
    static SEEDS: std::sync::OnceLock<[foldhash::quality::RandomState; 2]> =
        std::sync::OnceLock::new();
    let [low, high] = SEEDS.get_or_init(Default::default);
    let packed = labels.as_packed();
    u128::from(low.hash_one(packed)) | u128::from(high.hash_one(packed)) << 64
}

/// The journal file up to which everything of `window` is in the view.
pub fn flushed_up_to(view: &View, window: Window) -> Option<u64> {
    let same = view.windows.iter().filter(|info| info.window == window);
    same.map(|info| info.journal_sequence).max()
}
