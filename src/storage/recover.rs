//! Recovery: the journals of an earlier run are read back into the head.
//!
//! In: journal files. Out: the head as it was when the last batch was acknowledged, less what is in
//! partitions already. Never here: repairs; a journal that does not decode stops the start with the
//! file's name, and nothing is changed.
//!
//! Three steps run at a time, each ahead of the next: a thread reads, records are decoded on all
//! cores, and series and samples are put into the head's shards on all cores.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use crossbeam::channel::{Sender, bounded};
use rayon::prelude::*;

use super::data_dir::DataDir;
use super::error::StorageError;
use super::head::series::NO_SERIES;
use super::head::{CreatedSeries, Head};
use super::journal::ClosedFile;
use super::journal::file::{BLOCK_BYTES_MAX, JournalFile};
use super::journal::record::{self, Record, SamplesRecord};
use super::partition::flushed_up_to;
use super::partitions::Partitions;
use super::window::Window;
use crate::model::limits::SERIES_MAX;
use crate::model::{Labels, SeriesEntry};

/// Bytes of records that are decoded and appended together; decoded they take about eight times
/// as much.
const BATCH_BYTES: usize = 1 << 20;
/// Batches read ahead of decoding.
const BATCHES_AHEAD: usize = 2;
/// Batches decoded ahead of appending.
const DECODED_AHEAD: usize = 1;
/// Declared series that one thread looks up at a time.
const DECLARED_TOGETHER: usize = 512;
/// Largest series number a journal may use: numbers are used again when their series end.
const SERIES_NUMBER_MAX: u32 = 4 * SERIES_MAX as u32;

/// How far recovery is; for a progress line.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecoveryProgress {
    /// Journal files read completely.
    pub files_done: usize,
    /// Journal files in all.
    pub files: usize,
    /// Samples put back so far.
    pub samples: u64,
}

/// What recovery found.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The files read, which still hold what is only in the head.
    pub files: Vec<ClosedFile>,
    /// Sequence number of the next journal file.
    pub next_sequence: u64,
    /// Samples put back.
    pub samples: u64,
}

/// Reads all journals into `head`.
///
/// # Errors
/// A journal or partition cannot be read or is damaged.
pub fn recover(
    dir: &DataDir,
    head: &Head,
    partitions: &Partitions,
    progress: &dyn Fn(RecoveryProgress),
) -> Result<Recovered, StorageError> {
    let sequences = dir.journals()?;
    let mut report = RecoveryProgress { files: sequences.len(), ..RecoveryProgress::default() };
    let mut recovered = Recovered {
        next_sequence: sequences.last().map_or(1, |last| last + 1),
        ..Recovered::default()
    };
    let flushed = FlushedWindows { partitions, known: Mutex::default() };
    let pool = rayon::ThreadPoolBuilder::new()
        .thread_name(|i| format!("tidewatch-recover-{i}"))
        .build()
        .map_err(|e| {
            StorageError::Io("starting threads to read", dir.root().to_owned(), e.to_string())
        })?;
    for sequence in sequences {
        let file = JournalFile::open(dir, sequence)?;
        let mut replay = Replay {
            head,
            flushed: &flushed,
            sequence,
            series: Vec::new(),
            windows: BTreeSet::new(),
            samples: 0,
        };
        let bytes = replay.file(&file, &pool)?;
        recovered.samples += replay.samples;
        let windows = replay.windows;
        drop(file);
        if windows.is_empty() {
            dir.remove(&dir.journal_path(sequence))?;
        } else {
            recovered.files.push(ClosedFile { sequence, windows, bytes });
        }
        report.files_done += 1;
        report.samples = recovered.samples;
        progress(report);
    }
    Ok(recovered)
}

/// Up to which journal file each window is in its partition.
struct FlushedWindows<'a> {
    partitions: &'a Partitions,
    known: Mutex<HashMap<Window, Option<u64>>>,
}

impl FlushedWindows<'_> {
    /// Whether the partition has what journal file `sequence` holds of `window`.
    fn contains(&self, window: Window, sequence: u64) -> Result<bool, StorageError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let up_to = match known.get(&window) {
            Some(up_to) => *up_to,
            None => {
                let partition = self.partitions.get(window.day())?;
                let up_to = partition.and_then(|p| flushed_up_to(&p.view(), window));
                known.insert(window, up_to);
                up_to
            }
        };
        Ok(up_to.is_some_and(|up_to| sequence <= up_to))
    }
}

/// Whole records, read but not decoded.
struct Batch {
    bytes: Vec<u8>,
    records: Vec<Range<usize>>,
}

impl Batch {
    fn new() -> Batch {
        // a block more than enough
        let bytes = Vec::with_capacity(BATCH_BYTES + 2 * BLOCK_BYTES_MAX);
        Batch { bytes, records: Vec::new() }
    }
}

/// What a batch holds, in the order of its records.
struct Decoded {
    /// Series' numbers, and where in `bytes` their packed labels are.
    declared: Vec<(u32, Range<usize>)>,
    samples: Vec<Samples>,
    bytes: Vec<u8>,
}

/// Samples of one record.
struct Samples {
    record: SamplesRecord,
    /// Their windows, when none of these is in a partition.
    windows: Option<Vec<Window>>,
}

/// A record of a batch.
enum DecodedRecord {
    /// A series' number, and where in the batch its packed labels are.
    Series(u32, Range<usize>),
    /// Samples.
    Samples(Samples),
    /// Samples whose windows are all in partitions.
    Flushed,
}

/// Cuts a file's blocks into batches.
fn read_batches(file: &JournalFile, batches: &Sender<Batch>) -> Result<u64, StorageError> {
    let corrupted = |what: &str| StorageError::corrupted(file.path(), what);
    let mut batch = Batch::new();
    let mut cut = 0;
    let mut total = 0;
    file.for_each_block(|block| {
        batch.bytes.extend_from_slice(block);
        total += block.len() as u64;
        while let Some(length) = record::length(&batch.bytes[cut..]).map_err(corrupted)? {
            batch.records.push(cut..cut + length);
            cut += length;
        }
        if cut >= BATCH_BYTES {
            let mut next = Batch::new();
            next.bytes.extend_from_slice(&batch.bytes[cut..]);
            batch.bytes.truncate(cut);
            cut = 0;
            // nobody takes it: the other side failed, and tells why
            let _ = batches.send(std::mem::replace(&mut batch, next));
        }
        Ok(())
    })?;
    if cut < batch.bytes.len() {
        return Err(corrupted("it ends inside a record"));
    }
    let _ = batches.send(batch); // as above
    Ok(total)
}

/// Decodes the records of a batch of journal file `sequence`.
fn decode(
    batch: Batch,
    flushed: &FlushedWindows<'_>,
    sequence: u64,
) -> Result<Decoded, ReplayError> {
    let Batch { bytes, records } = batch;
    let records: Result<Vec<_>, ReplayError> = records
        .into_par_iter()
        .map(|range| decode_record(&bytes, range, flushed, sequence))
        .collect();
    let (mut declared, mut samples) = (Vec::new(), Vec::new());
    for record in records? {
        match record {
            DecodedRecord::Series(number, packed) => declared.push((number, packed)),
            DecodedRecord::Samples(some) => samples.push(some),
            DecodedRecord::Flushed => {}
        }
    }
    Ok(Decoded { declared, samples, bytes })
}

fn decode_record(
    bytes: &[u8],
    range: Range<usize>,
    flushed: &FlushedWindows<'_>,
    sequence: u64,
) -> Result<DecodedRecord, ReplayError> {
    let record = &bytes[range.clone()];
    if let Some((number, packed)) = record::series(record).map_err(ReplayError::Corrupted)? {
        return Ok(DecodedRecord::Series(number, range.end - packed.len()..range.end));
    }
    let mut windows = record::windows(record).filter(|windows| !windows.is_empty());
    if let Some(all) = &windows {
        let flushed = |window: &Window| flushed.contains(*window, sequence);
        let flushed: Result<Vec<bool>, StorageError> = all.iter().map(flushed).collect();
        let flushed = flushed.map_err(ReplayError::Storage)?;
        if flushed.iter().all(|flushed| *flushed) {
            return Ok(DecodedRecord::Flushed);
        }
        windows = windows.filter(|_| flushed.iter().all(|flushed| !*flushed));
    }
    match record::decode(record).map_err(ReplayError::Corrupted)? {
        Some((Record::Samples(record), _)) => {
            Ok(DecodedRecord::Samples(Samples { record, windows }))
        }
        _ => Err(ReplayError::Corrupted("a record is cut short")),
    }
}

/// Replays one file.
struct Replay<'a> {
    head: &'a Head,
    flushed: &'a FlushedWindows<'a>,
    sequence: u64,
    /// Series number in the file -> in the head.
    series: Vec<u32>,
    windows: BTreeSet<Window>,
    samples: u64,
}

impl Replay<'_> {
    /// Puts the file's content into the head; returns its size in bytes.
    fn file(&mut self, file: &JournalFile, pool: &rayon::ThreadPool) -> Result<u64, StorageError> {
        let in_file = |error| match error {
            ReplayError::Storage(error) => error,
            ReplayError::Corrupted(what) => StorageError::corrupted(file.path(), what),
        };
        let (sender, batches) = bounded(BATCHES_AHEAD);
        let (decoded_sender, decoded) = bounded(DECODED_AHEAD);
        let (flushed, sequence) = (self.flushed, self.sequence);
        std::thread::scope(|scope| {
            let reader = scope.spawn(move || read_batches(file, &sender));
            scope.spawn(move || {
                for batch in batches {
                    // nobody takes it: the other side failed, and tells why
                    if decoded_sender
                        .send(pool.install(|| decode(batch, flushed, sequence)))
                        .is_err()
                    {
                        break;
                    }
                }
            });
            let replayed = decoded
                .iter()
                .try_for_each(|decoded| pool.install(|| self.put(decoded?)).map_err(in_file));
            drop(decoded);
            let read = reader.join().unwrap_or(Err(StorageError::Closed));
            replayed.and(read)
        })
    }

    fn put(&mut self, decoded: Decoded) -> Result<(), ReplayError> {
        let Decoded { declared, samples, bytes } = decoded;
        let declared: Vec<(u32, &[u8])> =
            declared.into_iter().map(|(number, range)| (number, &bytes[range])).collect();
        let (head, created) = (self.head, self.declare(&declared)?);
        rayon::join(|| head.index_created(&created), || self.append(samples)).1
    }

    /// Notes the head's numbers of series, created where they are new. Those are to be indexed.
    fn declare(&mut self, declared: &[(u32, &[u8])]) -> Result<CreatedSeries, ReplayError> {
        if declared.iter().any(|(number, _)| *number > SERIES_NUMBER_MAX) {
            return Err(ReplayError::Corrupted("a series number is out of range"));
        }
        let found: Result<Vec<_>, _> =
            declared.par_chunks(DECLARED_TOGETHER).map(|some| self.find(some)).collect();
        let (found, new): (Vec<Vec<u32>>, Vec<Vec<Labels>>) = found?.into_iter().unzip();
        let done = self.head.get_or_create_unindexed(&new.concat());
        let mut created = done.numbers.iter().copied();
        for ((number, _), known) in declared.iter().zip(found.into_iter().flatten()) {
            let series = if known == NO_SERIES { created.next() } else { Some(known) };
            let series = series.filter(|series| *series != NO_SERIES);
            let index = *number as usize;
            if self.series.len() <= index {
                self.series.resize(index + 1, NO_SERIES);
            }
            self.series[index] = series.ok_or(ReplayError::Corrupted("it has too many series"))?;
        }
        Ok(done)
    }

    /// The head's number of each series, and the labels of those it does not have yet.
    fn find(&self, declared: &[(u32, &[u8])]) -> Result<(Vec<u32>, Vec<Labels>), ReplayError> {
        let entries: Vec<SeriesEntry<'_>> =
            declared.iter().map(|(_, packed)| SeriesEntry::of(packed)).collect();
        let mut found = Vec::with_capacity(entries.len());
        self.head.find(&entries, &mut found);
        let unknown = entries.iter().zip(&found).filter(|(_, number)| **number == NO_SERIES);
        let labels: Result<Vec<Labels>, _> =
            unknown.map(|(entry, _)| Labels::from_packed(entry.labels)).collect();
        Ok((found, labels.map_err(|_| ReplayError::Corrupted(record::INVALID_LABELS))?))
    }

    fn append(&mut self, mut all: Vec<Samples>) -> Result<(), ReplayError> {
        let translated: Result<Vec<Vec<Window>>, ReplayError> =
            all.par_iter_mut().map(|samples| self.translate(samples)).collect();
        self.windows.extend(translated?.into_iter().flatten());
        let records = || all.iter().map(|samples| &samples.record);
        let batches: Vec<_> =
            records().map(|record| (record.series.as_slice(), record.samples.as_slice())).collect();
        self.head.append_all(&batches);
        for record in records() {
            let floats = record.series.iter().filter(|series| **series != NO_SERIES).count();
            self.samples += (floats + record.histograms.len()) as u64;
            if !record.histograms.is_empty() {
                self.head.append_histograms(&record.histogram_series, &record.histograms);
            }
            if !record.exemplars.is_empty() {
                self.head.append_exemplars(&record.exemplar_series, &record.exemplars);
            }
        }
        Ok(())
    }

    /// Replaces the file's series numbers by the head's; returns the windows that are not flushed.
    fn translate(&self, samples: &mut Samples) -> Result<Vec<Window>, ReplayError> {
        let Samples { record, windows } = samples;
        self.translate_numbers(&mut record.series)?;
        self.translate_numbers(&mut record.histogram_series)?;
        self.translate_numbers(&mut record.exemplar_series)?;
        windows.take().map_or_else(|| self.skip_flushed(record), Ok)
    }

    fn translate_numbers(&self, series: &mut [u32]) -> Result<(), ReplayError> {
        for number in series {
            let known = self.series.get(*number as usize).filter(|known| **known != NO_SERIES);
            *number = *known.ok_or(ReplayError::Corrupted(UNDECLARED))?;
        }
        Ok(())
    }

    /// Takes the series from all that partitions have; returns the windows of the rest.
    fn skip_flushed(&self, record: &mut SamplesRecord) -> Result<Vec<Window>, ReplayError> {
        let mut windows = BTreeSet::new();
        let SamplesRecord { series, samples, .. } = record;
        self.skip(series, |i| samples[i].timestamp.0, &mut windows)?;
        let SamplesRecord { histogram_series, histograms, .. } = record;
        self.skip(histogram_series, |i| histograms[i].timestamp, &mut windows)?;
        let SamplesRecord { exemplar_series, exemplars, .. } = record;
        self.skip(exemplar_series, |i| exemplars[i].timestamp.0, &mut windows)?;
        Ok(windows.into_iter().collect())
    }

    /// Sets the series of what a partition has to [`NO_SERIES`].
    fn skip(
        &self,
        series: &mut [u32],
        timestamp: impl Fn(usize) -> i64,
        windows: &mut BTreeSet<Window>,
    ) -> Result<(), ReplayError> {
        let mut last: Option<(Window, bool)> = None;
        for (i, number) in series.iter_mut().enumerate() {
            let window = Window::of(timestamp(i));
            let known = last.filter(|(same, _)| *same == window).map(|(_, flushed)| Ok(flushed));
            let flushed = known.unwrap_or_else(|| self.flushed.contains(window, self.sequence));
            let flushed = flushed.map_err(ReplayError::Storage)?;
            last = Some((window, flushed));
            if flushed {
                *number = NO_SERIES;
            } else {
                windows.insert(window);
            }
        }
        Ok(())
    }
}

/// Why a file cannot be replayed.
enum ReplayError {
    /// What it holds is wrong.
    Corrupted(&'static str),
    /// Another file cannot be read.
    Storage(StorageError),
}

const UNDECLARED: &str = "it holds samples of a series it does not declare";
