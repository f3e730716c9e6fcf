//! Bounded storage for a program's output: its beginning and its end.

use std::collections::VecDeque;

/// Keeps the first and the last bytes of a stream, and counts what lies between.
#[derive(Debug)]
pub(super) struct Capture {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    head_room: usize,
    tail_room: usize,
    dropped: u64,
}

impl Capture {
    /// Keeps at most `limit` bytes, half of them from the end.
    pub(super) fn new(limit: usize) -> Self {
        Self::with_rooms(limit - limit / 2, limit / 2)
    }

    /// Keeps only the last `limit` bytes.
    pub(super) fn last(limit: usize) -> Self {
        Self::with_rooms(0, limit)
    }

    fn with_rooms(head_room: usize, tail_room: usize) -> Self {
        Self {
            head: Vec::new(),
            tail: VecDeque::new(),
            head_room,
            tail_room,
            dropped: 0,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let room = self.head_room - self.head.len();
        let (first, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(first);
        self.tail.extend(rest);
        let excess = self.tail.len().saturating_sub(self.tail_room);
        self.tail.drain(..excess);
        self.dropped += excess as u64;
    }

    /// How many bytes were not kept.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// What was kept; where bytes are missing, a line between the parts says how many.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        let mut bytes = self.head;
        if self.dropped > 0 && self.head_room > 0 {
            bytes.extend_from_slice(
                format!("\n[{} bytes of output left out]\n", self.dropped).as_bytes(),
            );
        }
        bytes.extend(self.tail);
        bytes
    }

    /// The end of what was kept, as text for a message, without a first partial line.
    pub(super) fn tail_text(&self) -> String {
        let mut bytes: Vec<u8> = self.head.iter().chain(&self.tail).copied().collect();
        if self.dropped > 0
            && let Some(at) = bytes.iter().position(|&b| b == b'\n')
            && at + 1 < bytes.len()
        {
            bytes.drain(..=at);
        }
        String::from_utf8_lossy(&bytes).trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_middle_is_left_out_and_counted() {
        let mut capture = Capture::new(8);
        capture.push(b"abcdef");
        capture.push(b"ghijkl");
        assert_eq!(capture.dropped(), 4);
        assert_eq!(
            capture.into_bytes(),
            b"abcd\n[4 bytes of output left out]\nijkl"
        );
    }

    #[test]
    fn a_tail_begins_with_a_whole_line() {
        let mut capture = Capture::last(8);
        capture.push(b"first\nsecond\nx\n");
        assert_eq!(capture.tail_text(), "x");
    }

    proptest! {
        #[test]
        fn output_within_the_limit_is_kept_whole(pieces: Vec<Vec<u8>>) {
            let whole = pieces.concat();
            let mut capture = Capture::new(whole.len());
            for piece in &pieces {
                capture.push(piece);
            }
            prop_assert_eq!(capture.dropped(), 0);
            prop_assert_eq!(capture.into_bytes(), whole);
        }

        #[test]
        fn memory_stays_within_the_limit(pieces: Vec<Vec<u8>>, limit in 0usize..64) {
            let mut capture = Capture::new(limit);
            for piece in &pieces {
                capture.push(piece);
            }
            prop_assert!(capture.head.len() + capture.tail.len() <= limit);
            let kept = (capture.head.len() + capture.tail.len()) as u64;
            prop_assert_eq!(kept + capture.dropped(), pieces.concat().len() as u64);
        }
    }
}
