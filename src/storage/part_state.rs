//! What other parts keep over a restart, in the control file: small values under a part's name.
//!
//! In: a part's name, keys and values as bytes. Out: the same after a restart. What they mean is the
//! part's business; it also keeps their number small.

use redb::{ReadableDatabase, TableDefinition};

use super::control::Control;
use super::error::StorageError;

/// (part, key) -> value.
const PART_STATE: TableDefinition<'_, (&str, &[u8]), &[u8]> = TableDefinition::new("part_state");

/// One change of a part's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// The key.
    pub key: Vec<u8>,
    /// Its value from now on; `None` removes it.
    pub value: Option<Vec<u8>>,
}

impl Control {
    /// All keys and values of a part, ascending by key.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn part_state(&self, part: &str) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StorageError> {
        let mut all = Vec::new();
        self.each_part_state(part, &[], &mut |key, value| all.push((key.into(), value.into())))?;
        Ok(all)
    }

    /// Hands over the keys and values of a part whose key begins with `prefix`, ascending by key.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn each_part_state(
        &self,
        part: &str,
        prefix: &[u8],
        each: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<(), StorageError> {
        let fail = |error: redb::Error| self.error("reading control file", error);
        let transaction = self.database.begin_read().map_err(|e| fail(e.into()))?;
        let table = match transaction.open_table(PART_STATE) {
            Ok(table) => table,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(()),
            Err(error) => return Err(fail(error.into())),
        };
        for entry in table.range((part, prefix)..).map_err(|e| fail(e.into()))? {
            let (key, value) = entry.map_err(|e| fail(e.into()))?;
            let (of, key) = key.value();
            if of != part || !key.starts_with(prefix) {
                break;
            }
            each(key, value.value());
        }
        Ok(())
    }

    /// Changes a part's state. It is on disk when this returns.
    ///
    /// # Errors
    /// The commit failed; nothing was changed.
    pub fn change_part_state(
        &self,
        part: &str,
        changes: &[StateChange],
    ) -> Result<(), StorageError> {
        self.commit(|transaction| {
            let mut table = transaction.open_table(PART_STATE)?;
            for change in changes {
                let key = (part, change.key.as_slice());
                match &change.value {
                    Some(value) => drop(table.insert(key, value.as_slice())?),
                    None => drop(table.remove(key)?),
                }
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::data_dir::DataDir;
    use super::*;

    fn put(key: &str, value: &str) -> StateChange {
        StateChange { key: key.into(), value: Some(value.into()) }
    }

    #[test]
    fn each_part_finds_its_own_again() {
        let root = tempfile::tempdir().expect("temporary directory");
        {
            let dir = DataDir::open(root.path(), None).expect("opens");
            let control = Control::open(&dir).expect("opens");
            assert_eq!(control.part_state("b").expect("read"), []);
            control.change_part_state("a", &[put("k", "a's")]).expect("written");
            control.change_part_state("c", &[put("k", "c's")]).expect("written");
            let changes = [put("k", "1"), put("", "2"), put("gone", "3")];
            control.change_part_state("b", &changes).expect("written");
            let gone = StateChange { key: "gone".into(), value: None };
            control.change_part_state("b", &[gone]).expect("written");
        }
        let dir = DataDir::open(root.path(), None).expect("opens");
        let control = Control::open(&dir).expect("opens");
        let expected = [(b"".to_vec(), b"2".to_vec()), (b"k".to_vec(), b"1".to_vec())];
        assert_eq!(control.part_state("b").expect("read"), expected);
        let mut found = Vec::new();
        let mut each = |key: &[u8], _: &[u8]| found.push(key.to_vec());
        control.each_part_state("b", b"k", &mut each).expect("read");
        assert_eq!(found, [b"k"]);
    }
}
