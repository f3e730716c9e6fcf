//! The random numbers of the GNU C library, which `randconfig` is reproducible by.

/// `srand` and `rand` of glibc: an additive feedback generator of 31 words.
pub(crate) struct Random {
    words: [u32; 31],
    at: usize,
}

impl Random {
    pub(crate) fn new(seed: u32) -> Self {
        let mut words = [0_u32; 31];
        let mut word = i64::from(if seed == 0 { 1 } else { seed } as i32);
        words[0] = word as u32;
        for slot in &mut words[1..] {
            // Park and Miller's generator, in the form that does not overflow 32 bits.
            let (high, low) = (word / 127_773, word % 127_773);
            word = 16_807 * low - 2_836 * high;
            if word < 0 {
                word += 2_147_483_647;
            }
            *slot = word as u32;
        }
        let mut random = Self { words, at: 0 };
        for _ in 0..310 {
            random.next();
        }
        random
    }

    /// The next number, below 2^31.
    pub(crate) fn next(&mut self) -> u32 {
        let front = (self.at + 3) % 31;
        self.words[front] = self.words[front].wrapping_add(self.words[self.at]);
        self.at = (self.at + 1) % 31;
        self.words[front] >> 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_glibc() {
        let mut random = Random::new(1);
        let first: Vec<u32> = (0..3).map(|_| random.next()).collect();
        assert_eq!(first, [1_804_289_383, 846_930_886, 1_681_692_777]);
    }
}
