//! The data directory: which files there are, the lock that keeps a second process out, and how a
//! database file is opened.
//!
//! ```text
//! lock                         held while a process has the directory open
//! control.redb                 small and precious: format version, metric metadata
//! journal/0000000001.redb      what was acknowledged and is not yet in a partition
//! partitions/2026-11-21.redb   one file a UTC day
//! ```

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use redb::{Database, StorageBackend};

use super::error::StorageError;
use super::window::Day;

/// Page cache of a partition in bytes. Packs have a cache of their own: a large cache here would
/// hold everything twice.
pub const PARTITION_CACHE_BYTES: usize = 4 << 20;
/// Page cache of a database file that is hardly ever read, in bytes.
pub const SMALL_CACHE_BYTES: usize = 1 << 20;

/// How often the lock is tried for, with [`LOCK_PAUSE`] between: a predecessor may be about to end,
/// and a child process that is being started holds copies of our open files for a moment.
const LOCK_TRIES: u32 = 50;
/// See [`LOCK_TRIES`].
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Opens the bytes of a database file, created when absent. The seam at which crash tests put their
/// own disk.
pub type OpenBackend = Arc<dyn Fn(&Path) -> io::Result<Box<dyn StorageBackend>> + Send + Sync>;

/// An open, locked data directory.
pub struct DataDir {
    root: PathBuf,
    open_backend: OpenBackend,
    /// Keeps the lock for as long as the directory is open.
    _lock: File,
}

impl DataDir {
    /// Opens the directory, created when absent, and locks it.
    ///
    /// # Errors
    /// It cannot be created or written, or another process has it open.
    pub fn open(root: &Path, open_backend: Option<OpenBackend>) -> Result<DataDir, StorageError> {
        for directory in [root.to_owned(), root.join("journal"), root.join("partitions")] {
            fs::create_dir_all(&directory)
                .map_err(|e| StorageError::io("creating directory", &directory, &e))?;
        }
        let path = root.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| StorageError::io("opening lock file", &path, &e))?;
        let mut tries = LOCK_TRIES;
        loop {
            tries -= 1;
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if tries > 0 => std::thread::sleep(LOCK_PAUSE),
                Err(TryLockError::WouldBlock) => return Err(StorageError::Locked(root.to_owned())),
                Err(TryLockError::Error(e)) => return Err(StorageError::io("locking", &path, &e)),
            }
        }
        let open_backend = open_backend.unwrap_or_else(|| Arc::new(open_file));
        Ok(DataDir { root: root.to_owned(), open_backend, _lock: lock })
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Path of the control file.
    pub fn control_path(&self) -> PathBuf {
        self.root.join("control.redb")
    }

    /// Path of the journal file with this sequence number.
    pub fn journal_path(&self, sequence: u64) -> PathBuf {
        self.root.join("journal").join(format!("{sequence:010}.redb"))
    }

    /// Path of the partition of a day.
    pub fn partition_path(&self, day: Day) -> PathBuf {
        self.root.join("partitions").join(format!("{}.redb", day.date()))
    }

    /// Sequence numbers of the journal files there are, ascending.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn journals(&self) -> Result<Vec<u64>, StorageError> {
        let mut sequences: Vec<u64> =
            self.stems("journal")?.iter().filter_map(|stem| stem.parse().ok()).collect();
        sequences.sort_unstable();
        Ok(sequences)
    }

    /// Days of the partitions there are, ascending.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn partitions(&self) -> Result<Vec<Day>, StorageError> {
        let mut days: Vec<Day> =
            self.stems("partitions")?.iter().filter_map(|stem| Day::parse(stem)).collect();
        days.sort_unstable();
        Ok(days)
    }

    /// Names without `.redb` of the database files in a subdirectory.
    fn stems(&self, directory: &str) -> Result<Vec<String>, StorageError> {
        let directory = self.root.join(directory);
        let fail = |e: io::Error| StorageError::io("listing", &directory, &e);
        let mut stems = Vec::new();
        for entry in fs::read_dir(&directory).map_err(fail)? {
            let name = entry.map_err(fail)?.file_name();
            if let Some(stem) = name.to_str().and_then(|name| name.strip_suffix(".redb")) {
                stems.push(stem.to_owned());
            }
        }
        Ok(stems)
    }

    /// Opens a database file, created when absent; a new file's name is on disk when this returns.
    /// `cache_bytes` is what its page cache may take.
    ///
    /// # Errors
    /// The file cannot be opened, or is damaged.
    pub fn open_database(&self, path: &Path, cache_bytes: usize) -> Result<Database, StorageError> {
        if !path.exists() {
            self.create_database(path)?;
        }
        self.open_existing(path, cache_bytes)
    }

    /// Creates an empty database under another name and renames it when it is complete: power lost
    /// while it is laid out must not leave a file behind that no start can open.
    fn create_database(&self, path: &Path) -> Result<(), StorageError> {
        let unfinished = path.with_extension("redb.new");
        if unfinished.exists() {
            fs::remove_file(&unfinished)
                .map_err(|e| StorageError::io("removing", &unfinished, &e))?;
        }
        drop(self.open_existing(&unfinished, SMALL_CACHE_BYTES)?);
        fs::rename(&unfinished, path)
            .map_err(|e| StorageError::io("renaming new database file", &unfinished, &e))?;
        self.sync_directory(path)
    }

    fn open_existing(&self, path: &Path, cache_bytes: usize) -> Result<Database, StorageError> {
        let backend = (self.open_backend)(path)
            .map_err(|e| StorageError::io("opening database file", path, &e))?;
        let mut builder = Database::builder();
        builder.set_cache_size(cache_bytes);
        // redb may panic on pages that are damaged in places its checksums do not cover.
        let open = AssertUnwindSafe(|| builder.create_with_backend(Backend(backend)));
        let opened = panic::catch_unwind(open)
            .map_err(|_| StorageError::corrupted(path, "its pages cannot be read"))?;
        opened.map_err(|error| match error {
            redb::DatabaseError::Storage(redb::StorageError::Io(error))
                if error.kind() == io::ErrorKind::InvalidData =>
            {
                StorageError::corrupted(path, format!("not a database file ({error})"))
            }
            other => StorageError::database("opening database file", path, other),
        })
    }

    /// Removes a database file.
    ///
    /// # Errors
    /// The operating system refused.
    pub fn remove(&self, path: &Path) -> Result<(), StorageError> {
        fs::remove_file(path).map_err(|e| StorageError::io("removing", path, &e))?;
        self.sync_directory(path)
    }

    fn sync_directory(&self, file: &Path) -> Result<(), StorageError> {
        let directory = file.parent().unwrap_or(&self.root);
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(|e| StorageError::io("syncing directory", directory, &e))
    }
}

impl fmt::Debug for DataDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataDir").field("root", &self.root).finish_non_exhaustive()
    }
}

fn open_file(path: &Path) -> io::Result<Box<dyn StorageBackend>> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    let backend = redb::backends::FileBackend::new(file)
        .map_err(|error| io::Error::other(error.to_string()))?;
    Ok(Box::new(backend))
}

/// Lets a boxed backend stand where redb wants a concrete one.
#[derive(Debug)]
struct Backend(Box<dyn StorageBackend>);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_opener_is_kept_out() {
        let root = tempfile::tempdir().expect("temporary directory");
        let first = DataDir::open(root.path(), None).expect("opens");
        let second = DataDir::open(root.path(), None).expect_err("locked");
        assert!(second.to_string().contains("in use by another process"), "{second}");
        drop(first);
        DataDir::open(root.path(), None).expect("opens again");
    }

    #[test]
    fn a_predecessor_that_is_about_to_end_is_waited_for() {
        let root = tempfile::tempdir().expect("temporary directory");
        let first = DataDir::open(root.path(), None).expect("opens");
        let ending = std::thread::spawn(move || {
            std::thread::sleep(5 * LOCK_PAUSE);
            drop(first);
        });
        DataDir::open(root.path(), None).expect("opens once the first is gone");
        ending.join().expect("no panic");
    }

    #[test]
    fn files_are_listed_and_strangers_ignored() {
        let root = tempfile::tempdir().expect("temporary directory");
        let dir = DataDir::open(root.path(), None).expect("opens");
        for name in [
            "journal/0000000012.redb",
            "journal/0000000003.redb",
            "journal/x.redb",
            "partitions/2026-11-21.redb",
            "partitions/2026-99-21.redb",
            "partitions/notes",
        ] {
            fs::write(root.path().join(name), "").expect("written");
        }
        assert_eq!(dir.journals().expect("listed"), [3, 12]);
        assert_eq!(dir.partitions().expect("listed"), [Day::parse("2026-11-21").expect("a date")]);
    }

    #[test]
    fn a_file_that_is_no_database_is_named() {
        let root = tempfile::tempdir().expect("temporary directory");
        let dir = DataDir::open(root.path(), None).expect("opens");
        let path = dir.journal_path(1);
        fs::write(&path, vec![7; 8192]).expect("written");
        let error =
            dir.open_database(&path, SMALL_CACHE_BYTES).expect_err("not a database").to_string();
        assert!(error.contains("0000000001.redb"), "{error}");
    }
}
