//! Values by number.

/// Values by number; numbers of removed ones are used again, so that memory follows what is there
/// and not its history.
#[derive(Debug)]
pub(super) struct Slab<T> {
    slots: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Slab<T> {
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// One more than the largest number.
    pub(super) fn bound(&self) -> usize {
        self.slots.len()
    }

    /// Whether all numbers are taken: those below `u32::MAX`.
    pub(super) fn is_full(&self) -> bool {
        self.free.is_empty() && self.slots.len() >= u32::MAX as usize
    }

    /// The value of a number.
    #[allow(
        clippy::expect_used,
        reason = "an id of another tree is the caller's error, documented as a panic"
    )]
    pub(super) fn get(&self, number: u32) -> &T {
        let slot = self.slots[number as usize].as_ref();
        slot.expect("the inode was removed from its tree")
    }

    #[allow(
        clippy::expect_used,
        reason = "an id of another tree is the caller's error, documented as a panic"
    )]
    pub(super) fn get_mut(&mut self, number: u32) -> &mut T {
        let slot = self.slots[number as usize].as_mut();
        slot.expect("the inode was removed from its tree")
    }

    /// Takes a value in; the slab must not be full.
    pub(super) fn insert(&mut self, value: T) -> u32 {
        debug_assert!(!self.is_full());
        if let Some(free) = self.free.pop() {
            self.slots[free as usize] = Some(value);
            return free;
        }
        self.slots.push(Some(value));
        (self.slots.len() - 1) as u32
    }

    pub(super) fn remove(&mut self, number: u32) -> Option<T> {
        let value = self.slots[number as usize].take();
        if value.is_some() {
            self.free.push(number);
        }
        value
    }
}
