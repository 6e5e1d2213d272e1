//! Symbols: every label name and value of a partition once, by number.

use std::collections::HashMap;

use crate::storage::chunk::CodecError;

/// Symbol blocks are filled up to this many bytes: just under a database page of 16 KiB.
const BLOCK_BYTES: usize = 16_000;

/// All symbols of a partition, in the order of their numbers.
#[derive(Debug, Default)]
pub struct Symbols {
    text: String,
    ends: Vec<u32>,
}

impl Symbols {
    /// Number of symbols.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The symbol with this number.
    pub fn get(&self, number: u32) -> Option<&str> {
        let end = *self.ends.get(number as usize)? as usize;
        let start = (number as usize).checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        self.text.get(start..end)
    }

    /// The number of each symbol.
    pub fn numbers(&self) -> HashMap<&str, u32, foldhash::fast::RandomState> {
        let entries = (0..self.len() as u32).filter_map(|number| Some((self.get(number)?, number)));
        entries.collect()
    }

    /// Appends a symbol.
    fn push(&mut self, symbol: &str) -> Result<(), CodecError> {
        self.text.push_str(symbol);
        let end = u32::try_from(self.text.len());
        self.ends.push(end.map_err(|_| CodecError::Corrupted("symbol table: larger than 4 GiB"))?);
        Ok(())
    }

    /// Appends the symbols of a block.
    ///
    /// # Errors
    /// The bytes are no symbol block.
    pub fn push_block(&mut self, mut block: &[u8]) -> Result<(), CodecError> {
        let bad = || CodecError::Corrupted("symbol block");
        while let Some((length, rest)) = block.split_first_chunk::<2>() {
            let length = usize::from(u16::from_le_bytes(*length));
            let (symbol, rest) = rest.split_at_checked(length).ok_or_else(bad)?;
            self.push(std::str::from_utf8(symbol).map_err(|_| bad())?)?;
            block = rest;
        }
        if block.is_empty() { Ok(()) } else { Err(bad()) }
    }
}

/// Blocks of the given symbols, as (number of the first symbol, bytes).
pub fn encode_blocks(first: u32, symbols: &[&str]) -> Vec<(u32, Vec<u8>)> {
    let mut blocks: Vec<(u32, Vec<u8>)> = Vec::new();
    for (i, symbol) in symbols.iter().enumerate() {
        let fits = |block: &Vec<u8>| block.len() + 2 + symbol.len() <= BLOCK_BYTES;
        if !blocks.last().is_some_and(|(_, block)| fits(block)) {
            blocks.push((first + i as u32, Vec::new()));
        }
        let (_, block) = blocks.last_mut().expect("BUG: a block was just pushed");
        let length = u16::try_from(symbol.len()).expect("BUG: labels are limited to 8 KiB");
        block.extend_from_slice(&length.to_le_bytes());
        block.extend_from_slice(symbol.as_bytes());
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_come_back_by_number_across_blocks() {
        let long = "x".repeat(7000);
        let texts = ["", "a", &long, &long, &long, "end"];
        let mut symbols = Symbols::default();
        let blocks = encode_blocks(0, &texts);
        assert!(blocks.len() > 1);
        for (first, block) in &blocks {
            assert_eq!(*first as usize, symbols.len());
            symbols.push_block(block).expect("valid");
        }
        for (number, text) in texts.iter().enumerate() {
            assert_eq!(symbols.get(number as u32), Some(*text));
        }
        assert_eq!(symbols.get(6), None);
        assert!(Symbols::default().push_block(&[5, 0, b'a']).is_err());
    }
}
