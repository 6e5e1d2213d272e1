//! Blocks: the memory in which one shard keeps the samples of one window.
//!
//! In: bytes, added to one of many growing chains. Out: the bytes of a chain, in order. Never here:
//! what the bytes mean; freeing of a single chain.
//!
//! A window's chains grow together and end together, so their memory is one arena, given back whole:
//! as separate allocations they left a third of the memory in pieces that nothing else fitted into.

/// Bytes of a block: a cache line.
const BLOCK_BYTES: usize = 64;
/// The first bytes of a block are the number of the chain's next one.
const LINK_BYTES: usize = 4;
/// Bytes of a chain in one block.
const PAYLOAD_BYTES: usize = BLOCK_BYTES - LINK_BYTES;
/// Blocks that are allocated together: 16 KiB.
const SLAB_BLOCKS: usize = 256;

type Block = [u8; BLOCK_BYTES];

/// The arena.
#[derive(Debug, Default)]
pub struct Blocks {
    slabs: Vec<Box<[Block]>>,
    /// Blocks in use.
    len: u32,
}

/// A sequence of bytes in an arena.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chain {
    first: u32,
    last: u32,
    /// Bytes in all.
    len: u32,
}

impl Chain {
    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Bytes used of the last block; a chain without blocks counts as one whose last is full.
    fn used(&self) -> usize {
        match self.len() % PAYLOAD_BYTES {
            0 => PAYLOAD_BYTES,
            used => used,
        }
    }
}

impl Blocks {
    /// Memory held, in bytes.
    pub fn heap_bytes(&self) -> usize {
        self.slabs.len() * SLAB_BLOCKS * BLOCK_BYTES
    }

    /// Adds bytes to a chain of this arena.
    pub fn push(&mut self, chain: &mut Chain, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let mut used = chain.used();
            if used == PAYLOAD_BYTES {
                self.extend(chain);
                used = 0;
            }
            let (now, later) = bytes.split_at(bytes.len().min(PAYLOAD_BYTES - used));
            let start = LINK_BYTES + used;
            self.block_mut(chain.last)[start..start + now.len()].copy_from_slice(now);
            chain.len += now.len() as u32;
            bytes = later;
        }
    }

    /// As [`Blocks::push`], of one byte: most samples are no more.
    #[inline]
    pub fn push_byte(&mut self, chain: &mut Chain, byte: u8) {
        let mut used = chain.used();
        if used == PAYLOAD_BYTES {
            self.extend(chain);
            used = 0;
        }
        self.block_mut(chain.last)[LINK_BYTES + used] = byte;
        chain.len += 1;
    }

    /// As [`Blocks::push`], of the lowest `len` bytes of a word.
    #[inline]
    pub fn push_word(&mut self, chain: &mut Chain, word: u128, len: u32) {
        let (bytes, used) = (word.to_le_bytes(), chain.used());
        if used + bytes.len() > PAYLOAD_BYTES {
            return self.push(chain, &bytes[..len as usize]);
        }
        // what is too much is written over by what comes next
        self.block_mut(chain.last)[LINK_BYTES + used..][..bytes.len()].copy_from_slice(&bytes);
        chain.len += len;
    }

    /// Appends the bytes of a chain to `out`.
    pub fn read(&self, chain: &Chain, out: &mut Vec<u8>) {
        let mut left = chain.len();
        let mut number = chain.first;
        while left > 0 {
            let block = self.block(number);
            let (link, payload) = block.split_at(LINK_BYTES);
            let here = left.min(PAYLOAD_BYTES);
            out.extend_from_slice(&payload[..here]);
            left -= here;
            number = u32::from_le_bytes(link.try_into().expect("BUG: a link has four bytes"));
        }
    }

    /// The first bytes of a chain: 60, or all when there are fewer.
    pub fn first_bytes(&self, chain: &Chain) -> &[u8] {
        match chain.len() {
            0 => &[],
            len => &self.block(chain.first)[LINK_BYTES..][..len.min(PAYLOAD_BYTES)],
        }
    }

    /// Gives the chain a further block.
    fn extend(&mut self, chain: &mut Chain) {
        let new = self.len;
        if new as usize == self.slabs.len() * SLAB_BLOCKS {
            self.slabs.push(vec![[0; BLOCK_BYTES]; SLAB_BLOCKS].into_boxed_slice());
        }
        self.len += 1;
        if chain.len == 0 {
            chain.first = new;
        } else {
            self.block_mut(chain.last)[..LINK_BYTES].copy_from_slice(&new.to_le_bytes());
        }
        chain.last = new;
    }

    fn block(&self, number: u32) -> &Block {
        &self.slabs[number as usize / SLAB_BLOCKS][number as usize % SLAB_BLOCKS]
    }

    fn block_mut(&mut self, number: u32) -> &mut Block {
        &mut self.slabs[number as usize / SLAB_BLOCKS][number as usize % SLAB_BLOCKS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_that_grow_in_turn_keep_their_bytes() {
        let mut blocks = Blocks::default();
        let mut chains = vec![(Chain::default(), Vec::new()); 300];
        for round in 0..50u8 {
            for (i, (chain, expected)) in chains.iter_mut().enumerate() {
                let bytes = vec![round; (i + usize::from(round)) % 23];
                blocks.push(chain, &bytes);
                expected.extend_from_slice(&bytes);
            }
        }
        for (chain, expected) in &chains {
            let mut bytes = Vec::new();
            blocks.read(chain, &mut bytes);
            assert_eq!(&bytes, expected);
            assert_eq!(blocks.first_bytes(chain), &expected[..expected.len().min(PAYLOAD_BYTES)]);
            assert_eq!(chain.len(), expected.len());
        }
        assert!(blocks.heap_bytes() > chains.iter().map(|(chain, _)| chain.len()).sum());
    }

    #[test]
    fn bytes_words_and_slices_are_added_at_every_place_of_a_block() {
        let mut blocks = Blocks::default();
        let (mut chain, mut other, mut expected) = (Chain::default(), Chain::default(), Vec::new());
        for i in 0..400u32 {
            let word = (0..16).fold(0u128, |word, at| word << 8 | u128::from(i * 16 + at));
            let len = i % 17;
            blocks.push_word(&mut chain, word, len);
            expected.extend(&word.to_le_bytes()[..len as usize]);
            blocks.push_word(&mut other, u128::MAX, len);
            blocks.push_byte(&mut chain, i as u8);
            expected.push(i as u8);
            blocks.push(&mut chain, &expected[..i as usize % 23]);
            expected.extend_from_within(..i as usize % 23);
        }
        let mut bytes = Vec::new();
        blocks.read(&chain, &mut bytes);
        assert_eq!(bytes, expected);
    }
}
