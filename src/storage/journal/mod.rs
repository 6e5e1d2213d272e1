//! The journal: what was acknowledged and is not yet in a partition.
//!
//! In: encoded batches with the numbers of the series they touch. Out: an acknowledgement for each
//! once it is on disk, and on start the batches again. Never here: what the samples mean; the head
//! is told about them elsewhere.
//!
//! One thread writes. While one commit runs the next batches gather, and all of them share the next
//! commit. A failed commit poisons the journal: nothing is acknowledged after it.
//!
//! Files are rotated when a flush begins. Every file declares each series before its first sample
//! there, so any file can be removed without the others.

pub mod file;
pub mod record;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, SendTimeoutError, Sender, bounded};

use self::file::JournalFile;
use super::data_dir::DataDir;
use super::error::StorageError;
use super::head::Head;
use super::window::Window;

/// Batches that may wait for the journal; beyond it senders are told to come back.
const QUEUE_BATCHES_MAX: usize = 1024;
/// How long a sender waits for a place in the queue before it is told to come back.
const QUEUE_WAIT: Duration = Duration::from_secs(5);
/// Batches are gathered into one commit up to this many bytes.
const COMMIT_BYTES_MAX: usize = 4 << 20;
/// Memory the thread keeps between commits; more is only needed when many series are new.
const KEPT_BYTES: usize = 256 << 10;

/// Told once whether a batch is on disk.
pub type Acknowledge = Box<dyn FnOnce(Result<(), StorageError>) + Send>;

/// One batch on its way to disk.
pub struct JournalBatch {
    /// Numbers of the series it touches, [`u32::MAX`] to be ignored.
    pub series: Vec<u32>,
    /// Windows its samples fall into.
    pub windows: Vec<Window>,
    /// The encoded samples record.
    pub record: Vec<u8>,
    /// Told when it is on disk.
    pub acknowledge: Acknowledge,
}

enum Message {
    Batch(JournalBatch),
    /// Begin the file with this sequence number; the old one is handed over.
    Rotate(u64, Sender<ClosedFile>),
}

/// A journal file that is no longer written.
#[derive(Clone, Debug)]
pub struct ClosedFile {
    /// Its sequence number.
    pub sequence: u64,
    /// The windows its samples fall into.
    pub windows: BTreeSet<Window>,
    /// Its size in bytes, roughly.
    pub bytes: u64,
}

/// Why a batch was not queued.
#[derive(Debug)]
pub enum QueueError {
    /// The queue is full.
    Full,
    /// The journal stopped.
    Stopped(StorageError),
}

/// Counters of the journal.
#[derive(Debug, Default)]
pub struct JournalMetrics {
    /// Commits done.
    pub commits: AtomicU64,
    /// Batches committed.
    pub batches: AtomicU64,
    /// Bytes committed.
    pub bytes: AtomicU64,
    /// Commits that failed.
    pub failures: AtomicU64,
}

/// Handle of the journal thread.
pub struct Journal {
    sender: Option<Sender<Message>>,
    thread: Option<JoinHandle<()>>,
    poison: Arc<OnceLock<StorageError>>,
    metrics: Arc<JournalMetrics>,
}

impl Journal {
    /// Starts the thread, which writes to a new file with this sequence number.
    ///
    /// # Errors
    /// The file cannot be created, or the thread cannot be started.
    pub fn start(
        dir: Arc<DataDir>,
        sequence: u64,
        head: Arc<Head>,
    ) -> Result<Journal, StorageError> {
        let file = JournalFile::open(&dir, sequence)?;
        let (sender, receiver) = bounded(QUEUE_BATCHES_MAX);
        let poison = Arc::new(OnceLock::new());
        let metrics = Arc::new(JournalMetrics::default());
        let path = file.path().to_owned();
        let writer = Writer {
            dir,
            head,
            file,
            declared: Vec::new(),
            windows: BTreeSet::new(),
            poison: Arc::clone(&poison),
            metrics: Arc::clone(&metrics),
        };
        let thread = std::thread::Builder::new()
            .name("tidewatch-journal".into())
            .spawn(move || writer.run(&receiver))
            .map_err(|e| StorageError::io("starting the journal thread of", &path, &e))?;
        Ok(Journal { sender: Some(sender), thread: Some(thread), poison, metrics })
    }

    /// The counters.
    pub fn metrics(&self) -> &Arc<JournalMetrics> {
        &self.metrics
    }

    /// Why nothing is acknowledged any more, if so.
    pub fn poisoned(&self) -> Option<StorageError> {
        self.poison.get().cloned()
    }

    /// Batches waiting.
    pub fn waiting(&self) -> usize {
        self.sender.as_ref().map_or(0, Sender::len)
    }

    /// Queues a batch.
    ///
    /// # Errors
    /// The queue stayed full, or the journal stopped; then the batch is not written.
    pub fn submit(&self, batch: JournalBatch) -> Result<(), QueueError> {
        if let Some(error) = self.poisoned() {
            return Err(QueueError::Stopped(error));
        }
        let sender = self.sender.as_ref().ok_or(QueueError::Stopped(StorageError::Closed))?;
        sender.send_timeout(Message::Batch(batch), QUEUE_WAIT).map_err(|error| match error {
            SendTimeoutError::Timeout(_) => QueueError::Full,
            SendTimeoutError::Disconnected(_) => QueueError::Stopped(StorageError::Closed),
        })
    }

    /// Asks for a new file with this sequence number: batches queued before go to the old file,
    /// those queued later to the new one. The answer comes when the old one is complete.
    ///
    /// # Errors
    /// The journal stopped.
    pub fn rotate(&self, sequence: u64) -> Result<Receiver<ClosedFile>, StorageError> {
        let (closed, answer) = bounded(1);
        let sender = self.sender.as_ref().ok_or(StorageError::Closed)?;
        sender.send(Message::Rotate(sequence, closed)).map_err(|_| StorageError::Closed)?;
        Ok(answer)
    }
}

impl Drop for Journal {
    /// Writes what is queued and stops the thread.
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic there has poisoned every waiting batch already
        }
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

/// What the journal thread owns.
struct Writer {
    dir: Arc<DataDir>,
    head: Arc<Head>,
    file: JournalFile,
    /// Which series the file declares already, by number.
    declared: Vec<bool>,
    windows: BTreeSet<Window>,
    poison: Arc<OnceLock<StorageError>>,
    metrics: Arc<JournalMetrics>,
}

impl Writer {
    fn run(mut self, receiver: &Receiver<Message>) {
        let mut stream = Vec::new();
        let mut waiting = Vec::new();
        while let Ok(first) = receiver.recv() {
            let mut next = Some(first);
            while let Some(message) = next.take() {
                match message {
                    Message::Batch(batch) => self.gather(batch, &mut stream, &mut waiting),
                    Message::Rotate(sequence, closed) => {
                        self.commit(&mut stream, &mut waiting);
                        self.rotate(sequence, &closed);
                    }
                }
                if stream.len() < COMMIT_BYTES_MAX {
                    next = receiver.try_recv().ok();
                }
            }
            self.commit(&mut stream, &mut waiting);
        }
    }

    /// Puts a batch, with the series it is the first to touch in this file, into the next commit.
    fn gather(
        &mut self,
        batch: JournalBatch,
        stream: &mut Vec<u8>,
        waiting: &mut Vec<Acknowledge>,
    ) {
        for number in &batch.series {
            let index = *number as usize;
            if *number == u32::MAX || self.declared.get(index) == Some(&true) {
                continue;
            }
            if self.declared.len() <= index {
                self.declared.resize(index + 1, false);
            }
            if let Some(labels) = self.head.labels(*number) {
                record::encode_series(*number, &labels, stream);
                self.declared[index] = true;
            }
        }
        self.windows.extend(batch.windows);
        stream.extend_from_slice(&batch.record);
        waiting.push(batch.acknowledge);
    }

    fn commit(&mut self, stream: &mut Vec<u8>, waiting: &mut Vec<Acknowledge>) {
        if waiting.is_empty() {
            return;
        }
        let result = match self.poison.get() {
            Some(error) => Err(error.clone()),
            None => self.file.append(stream),
        };
        match &result {
            Ok(()) => {
                self.metrics.commits.fetch_add(1, Ordering::Relaxed);
                self.metrics.batches.fetch_add(waiting.len() as u64, Ordering::Relaxed);
                self.metrics.bytes.fetch_add(stream.len() as u64, Ordering::Relaxed);
            }
            Err(error) => {
                self.metrics.failures.fetch_add(1, Ordering::Relaxed);
                self.poison(error);
            }
        }
        for acknowledge in waiting.drain(..) {
            acknowledge(result.clone());
        }
        stream.clear();
        stream.shrink_to(KEPT_BYTES);
    }

    fn rotate(&mut self, sequence: u64, closed: &Sender<ClosedFile>) {
        match JournalFile::open(&self.dir, sequence) {
            Ok(file) => {
                let old = std::mem::replace(&mut self.file, file);
                self.declared.clear();
                let windows = std::mem::take(&mut self.windows);
                let answer = ClosedFile { sequence: old.sequence(), windows, bytes: old.bytes() };
                drop(old);
                let _ = closed.send(answer); // nobody waits any more: the file stays, which is safe
            }
            Err(error) => self.poison(&error),
        }
    }

    fn poison(&self, error: &StorageError) {
        let poisoned = match error {
            StorageError::Poisoned(_) => error.clone(),
            other => StorageError::Poisoned(other.to_string()),
        };
        let _ = self.poison.set(poisoned); // the first reason is the one to tell
    }
}
