//! Recovery: the journals of an earlier run are read back into the head.
//!
//! In: journal files. Out: the head as it was when the last batch was acknowledged, less what is in
//! partitions already. Never here: repairs; a journal that does not decode stops the start with the
//! file's name, and nothing is changed.

use std::collections::{BTreeSet, HashMap};

use super::data_dir::DataDir;
use super::error::StorageError;
use super::head::Head;
use super::head::series::NO_SERIES;
use super::journal::ClosedFile;
use super::journal::file::JournalFile;
use super::journal::record::{self, Record, SamplesRecord};
use super::partition::flushed_up_to;
use super::partitions::Partitions;
use super::window::Window;

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
    let mut flushed = FlushedWindows { partitions, known: HashMap::new() };
    for sequence in sequences {
        let file = JournalFile::open(dir, sequence)?;
        let mut replay = Replay {
            head,
            flushed: &mut flushed,
            sequence,
            series: HashMap::default(),
            windows: BTreeSet::new(),
            samples: 0,
        };
        let bytes = replay.file(&file)?;
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
    known: HashMap<Window, Option<u64>>,
}

impl FlushedWindows<'_> {
    fn contains(&mut self, window: Window, sequence: u64) -> Result<bool, StorageError> {
        let up_to = match self.known.get(&window) {
            Some(up_to) => *up_to,
            None => {
                let partition = self.partitions.get(window.day())?;
                let up_to = partition.and_then(|p| flushed_up_to(&p.view(), window));
                self.known.insert(window, up_to);
                up_to
            }
        };
        Ok(up_to.is_some_and(|up_to| sequence <= up_to))
    }
}

/// Replays one file.
struct Replay<'a, 'b> {
    head: &'a Head,
    flushed: &'a mut FlushedWindows<'b>,
    sequence: u64,
    /// Series number in the file -> in the head.
    series: HashMap<u32, u32, foldhash::fast::RandomState>,
    windows: BTreeSet<Window>,
    samples: u64,
}

impl Replay<'_, '_> {
    fn file(&mut self, file: &JournalFile) -> Result<u64, StorageError> {
        let corrupted = |what: &str| StorageError::corrupted(file.path(), what);
        let mut stream: Vec<u8> = Vec::new();
        let mut bytes = 0;
        file.for_each_block(|block| {
            stream.extend_from_slice(block);
            bytes += block.len() as u64;
            let mut used = 0;
            while let Some((record, length)) = record::decode(&stream[used..]).map_err(corrupted)? {
                self.record(record)
                    .map_err(|error| error.unwrap_or_else(|| corrupted(UNDECLARED)))?;
                used += length;
            }
            stream.drain(..used);
            Ok(())
        })?;
        if stream.is_empty() { Ok(bytes) } else { Err(corrupted("it ends inside a record")) }
    }

    /// Applies a record; `None` as error when it names a series that was not declared.
    fn record(&mut self, record: Record) -> Result<(), Option<StorageError>> {
        match record {
            Record::Series(number, labels) => {
                let series = self.head.get_or_create(&labels, usize::MAX).ok_or(None)?;
                self.series.insert(number, series);
                Ok(())
            }
            Record::Samples(samples) => self.samples(samples),
        }
    }

    fn samples(&mut self, mut record: SamplesRecord) -> Result<(), Option<StorageError>> {
        self.translate(&mut record.series, |i| record.samples[i].timestamp.0)?;
        self.translate(&mut record.histogram_series, |i| record.histograms[i].timestamp)?;
        self.translate(&mut record.exemplar_series, |i| record.exemplars[i].timestamp.0)?;
        self.samples += (record.samples.len() + record.histograms.len()) as u64;
        self.head.append(&record.series, &record.samples);
        if !record.histograms.is_empty() {
            self.head.append_histograms(&record.histogram_series, &record.histograms);
        }
        if !record.exemplars.is_empty() {
            self.head.append_exemplars(&record.exemplar_series, &record.exemplars);
        }
        Ok(())
    }

    /// Replaces the file's series numbers by the head's; [`NO_SERIES`] for what a partition has.
    fn translate(
        &mut self,
        series: &mut [u32],
        timestamp: impl Fn(usize) -> i64,
    ) -> Result<(), Option<StorageError>> {
        let mut last: Option<(Window, bool)> = None;
        for (i, number) in series.iter_mut().enumerate() {
            let window = Window::of(timestamp(i));
            let flushed = match last {
                Some((same, flushed)) if same == window => flushed,
                _ => {
                    let flushed = self.flushed.contains(window, self.sequence).map_err(Some)?;
                    if !flushed {
                        self.windows.insert(window);
                    }
                    last = Some((window, flushed));
                    flushed
                }
            };
            *number = if flushed { NO_SERIES } else { *self.series.get(number).ok_or(None)? };
        }
        Ok(())
    }
}

const UNDECLARED: &str = "it holds samples of a series it does not declare";
