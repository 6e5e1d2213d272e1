//! What alerting keeps in the control file: its rows, and its history in blocks.
//!
//! In: changed rows and new blocks, made together or not at all. Out: the same after a restart, and
//! the history by time. What they mean is not known here.

use redb::{ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};

use super::control::Control;
use super::error::StorageError;

/// (kind of row, key) -> row.
const ROWS: TableDefinition<'_, (u8, &[u8]), &[u8]> = TableDefinition::new("notify_rows");
/// (ms since the epoch, number within that ms) -> block.
const HISTORY: TableDefinition<'_, (i64, u32), &[u8]> = TableDefinition::new("notify_history");
/// Most blocks removed by one change: removing many at a time holds up alerts.
const REMOVED_BLOCKS_MAX: usize = 1_000;
/// Most blocks kept, whatever their age: at some kilobytes each this bounds the file.
pub const HISTORY_BLOCKS_MAX: u64 = 2_000_000;

/// A row: its kind, its key, and what it holds; `None` removes it.
pub type NotifyRow = (u8, Vec<u8>, Option<Vec<u8>>);

/// A block of the history: the time of its first line in ms, and its content.
pub type HistoryBlock = (i64, Vec<u8>);

impl Control {
    /// Every row of alerting: (kind, key, content), ascending.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn notify_rows(&self) -> Result<Vec<(u8, Vec<u8>, Vec<u8>)>, StorageError> {
        let fail = |error: redb::Error| self.error("reading control file", error);
        let transaction = self.database.begin_read().map_err(|e| fail(e.into()))?;
        let table = match transaction.open_table(ROWS) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(error) => return Err(fail(error.into())),
        };
        let mut rows = Vec::new();
        for entry in table.iter().map_err(|e| fail(e.into()))? {
            let (key, row) = entry.map_err(|e| fail(e.into()))?;
            let (kind, key) = key.value();
            rows.push((kind, key.to_vec(), row.value().to_vec()));
        }
        Ok(rows)
    }

    /// Changes rows and adds blocks, and removes some of the blocks before `keep_after` (ms) or
    /// beyond [`HISTORY_BLOCKS_MAX`]. All of it is on disk when this returns.
    ///
    /// # Errors
    /// The commit failed; nothing was changed.
    pub fn change_notify(
        &self,
        rows: &[NotifyRow],
        blocks: &[HistoryBlock],
        keep_after: i64,
    ) -> Result<(), StorageError> {
        self.commit(|transaction| {
            let mut table = transaction.open_table(ROWS)?;
            for (kind, key, row) in rows {
                match row {
                    Some(row) => drop(table.insert((*kind, key.as_slice()), row.as_slice())?),
                    None => drop(table.remove((*kind, key.as_slice()))?),
                }
            }
            let mut history = transaction.open_table(HISTORY)?;
            for (at, block) in blocks {
                let last = history.range((*at, 0)..=(*at, u32::MAX))?.next_back().transpose()?;
                let number = last.map_or(0, |(key, _)| key.value().1.saturating_add(1));
                history.insert((*at, number), block.as_slice())?;
            }
            let beyond = history.len()?.saturating_sub(HISTORY_BLOCKS_MAX);
            for removed in 0..REMOVED_BLOCKS_MAX {
                let first = history.first()?.map(|(key, _)| key.value());
                let old = |key: &(i64, u32)| key.0 < keep_after || (removed as u64) < beyond;
                let Some(key) = first.filter(old) else { break };
                history.remove(key)?;
            }
            Ok(())
        })
    }

    /// Hands over the blocks that begin at `from` up to and with `until` (ms), the newest first,
    /// until `each` says that it has enough.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn notify_history(
        &self,
        from: i64,
        until: i64,
        each: &mut dyn FnMut(i64, &[u8]) -> bool,
    ) -> Result<(), StorageError> {
        let fail = |error: redb::Error| self.error("reading control file", error);
        let transaction = self.database.begin_read().map_err(|e| fail(e.into()))?;
        let table = match transaction.open_table(HISTORY) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(()),
            Err(error) => return Err(fail(error.into())),
        };
        if from > until {
            return Ok(());
        }
        let range = table.range((from, 0)..=(until, u32::MAX)).map_err(|e| fail(e.into()))?;
        for entry in range.rev() {
            let (key, block) = entry.map_err(|e| fail(e.into()))?;
            if !each(key.value().0, block.value()) {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::data_dir::DataDir;
    use super::*;

    #[test]
    fn rows_and_history_survive_and_old_blocks_go() {
        let root = tempfile::tempdir().expect("temporary directory");
        {
            let dir = DataDir::open(root.path(), None).expect("opens");
            let control = Control::open(&dir).expect("opens");
            assert!(control.notify_rows().expect("read").is_empty());
            let row = |kind, key: &str, row: Option<&str>| {
                (kind, key.as_bytes().to_vec(), row.map(|row| row.as_bytes().to_vec()))
            };
            let rows = [row(1, "a", Some("1")), row(0, "b", Some("2")), row(1, "c", Some("3"))];
            let blocks = [(10, b"x".to_vec()), (10, b"y".to_vec()), (20, b"z".to_vec())];
            control.change_notify(&rows, &blocks, 0).expect("written");
            control
                .change_notify(&[row(1, "a", None)], &[(15, b"w".to_vec())], 0)
                .expect("written");
        }
        let dir = DataDir::open(root.path(), None).expect("opens");
        let control = Control::open(&dir).expect("opens");
        let expected = [(0, b"b".to_vec(), b"2".to_vec()), (1, b"c".to_vec(), b"3".to_vec())];
        assert_eq!(control.notify_rows().expect("read"), expected);
        let read = |from, until| {
            let mut all = Vec::new();
            let mut each = |_, block: &[u8]| {
                all.push(String::from_utf8_lossy(block).into_owned());
                all.len() < 3
            };
            control.notify_history(from, until, &mut each).expect("read");
            all.concat()
        };
        assert_eq!(
            (read(0, 100), read(10, 10), read(9, 0)),
            ("zwy".into(), "yx".into(), "".into())
        );
        control.change_notify(&[], &[], 15).expect("written");
        assert_eq!(read(0, 100), "zw");
    }
}
