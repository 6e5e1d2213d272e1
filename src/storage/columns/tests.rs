use super::*;

fn grid(first: i64, step: i64, count: i64) -> Vec<i64> {
    (0..count).map(|i| first + i * step).collect()
}

fn jittered(seed: i64, count: i64) -> Vec<i64> {
    (0..count).map(|i| i * 15_000 + ((i + 1) * (seed + 7919) * 104_729) % 4093).collect()
}

fn open(blocks: &[Vec<u8>]) -> Result<Columns, CodecError> {
    Columns::open(blocks.iter().cloned().map(Bytes::from))
}

#[test]
fn equal_columns_get_one_index() {
    let mut builder = ColumnsBuilder::new();
    let (a, b) = (grid(5, 15_000, 120), grid(6, 15_000, 120));
    assert_eq!([&a, &b, &a, &a, &b].map(|c| builder.push(c)), [0, 1, 0, 0, 1]);
    assert_eq!(builder.push(&[]), 2);
    assert_eq!(builder.len(), 3);
    let columns = open(&builder.finish()).unwrap();
    let mut out = Vec::new();
    columns.decode(1, &mut out).unwrap();
    columns.decode(2, &mut out).unwrap();
    assert_eq!(out, b);
    assert_eq!(columns.count(0), Some(120));
    assert_eq!(columns.count(3), None);
    assert!(columns.decode(3, &mut out).is_err());
}

#[test]
fn many_columns_fill_blocks_just_under_the_target() {
    let mut builder = ColumnsBuilder::new();
    for seed in 0..2000 {
        assert_eq!(builder.push(&jittered(seed, 120)), seed as u32);
    }
    let blocks = builder.finish();
    assert!(blocks.len() > 3);
    for block in &blocks[..blocks.len() - 1] {
        let range = BLOCK_TARGET_BYTES - 300..=BLOCK_TARGET_BYTES;
        assert!(range.contains(&block.len()), "{}", block.len());
    }
    let columns = open(&blocks).unwrap();
    assert_eq!(columns.len(), 2000);
    for seed in 0..2000 {
        let mut out = Vec::new();
        columns.decode(seed as u32, &mut out).unwrap();
        assert_eq!(out, jittered(seed, 120));
    }
    assert!(open(&blocks[1..]).is_err(), "a missing block must be noticed");
}

#[test]
fn a_column_larger_than_a_block_has_its_own() {
    let mut builder = ColumnsBuilder::new();
    let noisy: Vec<i64> = (0..30_000i64).map(|i| i * 100_000 + (i * i * 7919) % 99_991).collect();
    let indexes =
        [builder.push(&grid(0, 1, 9)), builder.push(&noisy), builder.push(&grid(3, 1, 9))];
    assert_eq!(indexes, [0, 1, 2]);
    let blocks = builder.finish();
    assert_eq!(blocks.len(), 3);
    assert!(blocks[1].len() > BLOCK_TARGET_BYTES);
    let mut out = Vec::new();
    open(&blocks).unwrap().decode(1, &mut out).unwrap();
    assert_eq!(out, noisy);
}

#[test]
fn prefixes_and_flips_are_errors() {
    let mut builder = ColumnsBuilder::new();
    for seed in 0..3 {
        builder.push(&jittered(seed, 20));
    }
    let block = builder.finish().remove(0);
    for end in 0..block.len() {
        assert!(open(&[block[..end].to_vec()]).is_err(), "prefix of {end} bytes");
        let mut damaged = block.clone();
        damaged[end] ^= 1 << (end % 8);
        assert!(open(&[damaged]).is_err(), "flip in byte {end}");
    }
}
