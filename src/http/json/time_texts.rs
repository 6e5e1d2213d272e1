//! How the times of a series' points are written, remembered for the next series.
//!
//! In: times, series by series. Out: the bytes before the value of a point. Series of one answer
//! mostly have their points at the same times: those of a range query always, raw ones when they
//! come from one sender. Looking a text up takes a third of the time of writing a number.

use super::number;

/// Room for one text: the longest is `[-9223372036854775.808,"`.
const TEXT_BYTES: usize = 32;
/// Most times remembered; the most steps that a range query may have.
const TIMES_MAX: usize = 11_000;

/// The texts, by the position of the point in its series.
#[derive(Debug, Default)]
pub struct TimeTexts {
    texts: Vec<TimeText>,
    /// Where a new text is put together.
    scratch: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct TimeText {
    ms: i64,
    bytes: [u8; TEXT_BYTES],
    len: u8,
}

impl TimeText {
    fn new(ms: i64, scratch: &mut Vec<u8>) -> TimeText {
        scratch.clear();
        scratch.push(b'[');
        number::push_timestamp(scratch, ms);
        scratch.extend_from_slice(b",\"");
        let len = scratch.len();
        let mut bytes = [0; TEXT_BYTES];
        bytes[..len].copy_from_slice(scratch);
        TimeText { ms, bytes, len: len as u8 }
    }
}

impl TimeTexts {
    /// Appends `[time,"` for the point at `index`.
    #[inline]
    pub fn push(&mut self, out: &mut Vec<u8>, index: usize, ms: i64) {
        let text = match self.texts.get(index) {
            Some(text) if text.ms == ms => *text,
            _ => self.write(index, ms),
        };
        // a copy of known length is two instructions
        out.extend_from_slice(&text.bytes);
        out.truncate(out.len() - TEXT_BYTES + usize::from(text.len));
    }

    fn write(&mut self, index: usize, ms: i64) -> TimeText {
        let text = TimeText::new(ms, &mut self.scratch);
        if let Some(place) = self.texts.get_mut(index) {
            *place = text;
        } else if index == self.texts.len() && index < TIMES_MAX {
            self.texts.push(text);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_alike_whatever_is_remembered() {
        let mut texts = TimeTexts::default();
        let series: [&[i64]; 5] = [
            &[1_795_304_708_792, 1_795_304_723_792],
            &[1_795_304_708_792, 1_795_304_724_000, 0],
            &[i64::MIN, i64::MAX, -1],
            &[],
            &[i64::MIN],
        ];
        for times in series {
            for (index, ms) in times.iter().enumerate() {
                let (mut out, mut expected) = (b"before".to_vec(), b"before[".to_vec());
                texts.push(&mut out, index, *ms);
                number::push_timestamp(&mut expected, *ms);
                expected.extend_from_slice(b",\"");
                assert_eq!(out, expected);
            }
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut texts = TimeTexts::default();
        for index in 0..TIMES_MAX + 9 {
            let mut out = Vec::new();
            texts.push(&mut out, index, index as i64 * 1000);
            assert_eq!(out, format!("[{index},\"").into_bytes());
        }
        assert_eq!(texts.texts.len(), TIMES_MAX);
    }
}
