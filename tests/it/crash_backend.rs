//! Power loss at every write and every sync of the store's database files.
//!
//! The store runs on a disk of our own, which keeps two images of each file: what was written, and
//! what was synced. The disk "loses power" at the n-th operation: from then on every operation
//! fails. What is left for the next start is the synced image, or, as real disks do, the synced
//! image plus any part of what was written since. Every acknowledged sample must be there, and the
//! store must open, for every n.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use redb::StorageBackend;
use tidewatch::ingest::{Ingest, WriteMode};
use tidewatch::model::{Labels, ManualClock, Sample, Selector, SeriesData, Timestamp, WriteBatch};
use tidewatch::storage::data_dir::OpenBackend;
use tidewatch::storage::{Store, StoreOptions};

const MIDNIGHT: i64 = 1_795_219_200_000;
const WINDOW_MS: i64 = 30 * 60 * 1000;

/// What of the writes since the last sync a power loss leaves behind.
#[derive(Clone, Copy, Debug)]
enum Leaves {
    Nothing,
    Everything,
    EverySecondWrite,
}

/// One file: its synced image, and the writes since.
#[derive(Debug, Default)]
struct Image {
    current: Vec<u8>,
    synced: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(u64, Vec<u8>),
    Length(u64),
}

impl Change {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Change::Length(length) => image.resize(*length as usize, 0),
            Change::Write(offset, data) => {
                let end = *offset as usize + data.len();
                image.resize(image.len().max(end), 0);
                image[*offset as usize..end].copy_from_slice(data);
            }
        }
    }
}

#[derive(Debug)]
struct Disk {
    files: HashMap<PathBuf, Image>,
    operations: u64,
    fails_at: u64,
}

impl Disk {
    fn step(&mut self) -> io::Result<()> {
        self.operations += 1;
        if self.operations >= self.fails_at { Err(io::Error::other("power lost")) } else { Ok(()) }
    }

    /// Writes what survived to the real files.
    fn restore(&self, leaves: Leaves) {
        for (path, image) in &self.files {
            if !path.exists() {
                continue; // removed by the store
            }
            let mut left = image.synced.clone();
            for (i, change) in image.unsynced.iter().enumerate() {
                let survives = match leaves {
                    Leaves::Nothing => false,
                    Leaves::Everything => true,
                    Leaves::EverySecondWrite => i % 2 == 0 || matches!(change, Change::Length(_)),
                };
                if survives {
                    change.apply(&mut left);
                }
            }
            fs::write(path, left).expect("restored");
        }
    }
}

#[derive(Debug)]
struct CrashBackend {
    disk: Arc<Mutex<Disk>>,
    path: PathBuf,
}

impl CrashBackend {
    fn with<T>(&self, change: Option<Change>, f: impl FnOnce(&mut Image) -> T) -> io::Result<T> {
        let mut disk = self.disk.lock().expect("not poisoned");
        if change.is_some() {
            disk.step()?;
        } else if disk.operations >= disk.fails_at {
            return Err(io::Error::other("power lost"));
        }
        let image = disk.files.get_mut(&self.path).expect("opened");
        if let Some(change) = change {
            change.apply(&mut image.current);
            image.unsynced.push(change);
        }
        Ok(f(image))
    }
}

impl StorageBackend for CrashBackend {
    fn len(&self) -> io::Result<u64> {
        self.with(None, |image| image.current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.with(None, |image| {
            out.copy_from_slice(&image.current[offset as usize..offset as usize + out.len()]);
        })
    }

    /// A partition's real file gets a hole, too: there the store looks whether it has one to cut off.
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(Some(Change::Length(len)), |_| ())?;
        if self.path.parent().is_some_and(|dir| dir.ends_with("partitions")) && is_named(&self.path)
        {
            fs::OpenOptions::new().write(true).open(&self.path)?.set_len(len + (1 << 20))?;
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut disk = self.disk.lock().expect("not poisoned");
        disk.step()?;
        let image = disk.files.get_mut(&self.path).expect("opened");
        image.synced = image.current.clone();
        image.unsynced.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.with(Some(Change::Write(offset, data.to_vec())), |_| ())
    }

    /// Puts the content where a rename takes it along. redb syncs before it closes.
    fn close(&self) -> io::Result<()> {
        let mut disk = self.disk.lock().expect("not poisoned");
        if disk.operations >= disk.fails_at {
            return Err(io::Error::other("power lost"));
        }
        let image = disk.files.remove(&self.path).expect("opened");
        assert!(image.unsynced.is_empty(), "{} closed before a sync", self.path.display());
        if self.path.exists() {
            fs::write(&self.path, image.synced)?;
        }
        Ok(())
    }
}

/// Whether it is complete and has got its name.
fn is_named(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "redb")
}

fn crash_disk(fails_at: u64) -> (Arc<Mutex<Disk>>, OpenBackend) {
    let disk = Disk { files: HashMap::new(), operations: 0, fails_at };
    let disk = Arc::new(Mutex::new(disk));
    let handle = Arc::clone(&disk);
    let open: OpenBackend = Arc::new(move |path: &Path| {
        // the file's name is on disk when it was created; its content is ours
        let found = if path.exists() { fs::read(path)? } else { Vec::new() };
        if !path.exists() {
            fs::write(path, [])?;
        }
        let image = Image { current: found.clone(), synced: found, unsynced: Vec::new() };
        handle.lock().expect("not poisoned").files.insert(path.to_owned(), image);
        Ok(Box::new(CrashBackend { disk: Arc::clone(&handle), path: path.to_owned() }))
    });
    (disk, open)
}

fn open(dir: &Path, backend: Option<OpenBackend>) -> Result<Arc<Store>, String> {
    let clock = Arc::new(ManualClock::new(Timestamp(MIDNIGHT + 86_400_000)));
    let options = StoreOptions {
        disk_free_bytes_min: 0,
        open_backend: backend,
        ..StoreOptions::new(dir, clock)
    };
    Store::open(options, &|_| {}).map(Arc::new).map_err(|error| error.to_string())
}

type Content = BTreeMap<(String, i64), u64>;

/// Writes several batches with flushes between them; returns what was acknowledged before the power
/// was lost.
fn workload(store: &Arc<Store>) -> Content {
    let ingest = Ingest::new(Arc::clone(store));
    let mut acknowledged = Content::new();
    for round in 0..6i64 {
        let sets: Vec<Labels> = (0..3)
            .map(|host| {
                let host = format!("h{}", host + round / 3);
                Labels::from_pairs([("__name__", "up"), ("host", host.as_str())]).expect("valid")
            })
            .collect();
        let mut batch = WriteBatch::default();
        for (i, set) in sets.iter().enumerate() {
            let timestamp = MIDNIGHT + round * WINDOW_MS / 2 + i as i64;
            batch.push_sample(set, Sample::new(Timestamp(timestamp), (round * 10) as f64 + 0.5));
        }
        let written = ingest.submit(&batch, WriteMode::Partial).and_then(|batch| batch.wait());
        let Ok(outcome) = written else { break };
        assert_eq!(outcome.samples, 3);
        for (set, sample) in sets.iter().zip(&batch.samples) {
            acknowledged.insert((set.to_string(), sample.timestamp.0), sample.value.to_bits());
        }
        if round % 2 == 1 && store.flush().is_err() {
            break;
        }
    }
    acknowledged
}

fn content(store: &Store) -> Content {
    let selector = Selector::new(&[], Timestamp::MIN, Timestamp::MAX);
    let set = store.source().select(&selector).expect("selected");
    let mut content = Content::new();
    let mut data = SeriesData::default();
    for index in 0..set.len() {
        set.read(index, &mut data).expect("read");
        for (timestamp, value) in data.timestamps.iter().zip(&data.values) {
            content.insert((set.labels(index).to_string(), *timestamp), value.to_bits());
        }
    }
    content
}

/// A directory in memory where there is one: the disk that loses its power is ours, and the syncs of
/// the real one would only take time.
fn quick_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("temporary directory")
}

/// Runs the workload with power lost at operation `fails_at`; returns the operations done.
fn lose_power(fails_at: u64, leaves: Leaves) -> u64 {
    let dir = quick_dir();
    let (disk, backend) = crash_disk(fails_at);
    let acknowledged = match open(dir.path(), Some(backend)) {
        Ok(store) => workload(&store),
        Err(_) => Content::new(),
    };
    let disk = disk.lock().expect("not poisoned");
    disk.restore(leaves);
    let store = open(dir.path(), None)
        .unwrap_or_else(|error| panic!("power lost at {fails_at}, {leaves:?}: {error}"));
    let found = content(&store);
    for (sample, value) in &acknowledged {
        let there = found.get(sample);
        assert_eq!(there, Some(value), "power lost at {fails_at}, {leaves:?}: {sample:?}");
    }
    // the store goes on working on what was left
    let more = workload(&store);
    assert_eq!(more.len(), 18, "power lost at {fails_at}, {leaves:?}");
    disk.operations
}

#[test]
fn acknowledged_samples_survive_power_loss_at_every_write_and_sync() {
    let all = lose_power(u64::MAX, Leaves::Everything);
    assert!(all > 100, "the workload does {all} operations");
    for leaves in [Leaves::Nothing, Leaves::Everything, Leaves::EverySecondWrite] {
        for fails_at in 1..=all {
            lose_power(fails_at, leaves);
        }
    }
}
