//! Footnotes: each text once, numbered in the order of their first use.

use super::text;

/// Footnotes of a document.
#[derive(Debug, Default)]
pub(super) struct Notes {
    texts: Vec<String>,
}

impl Notes {
    /// The number of a note with this text, from 1; 0 for an empty text, which has no note.
    pub(super) fn number(&mut self, note: &str) -> usize {
        let note = text::line(note);
        if note.is_empty() {
            return 0;
        }
        let known = self.texts.iter().position(|known| *known == note);
        known.map_or_else(
            || {
                self.texts.push(note);
                self.texts.len()
            },
            |place| place + 1,
        )
    }

    /// Every note with its number.
    pub(super) fn all(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.texts.iter().map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_note_has_one_number() {
        let mut notes = Notes::default();
        assert_eq!(
            ["a", "b", "a", " ", "b\n"].map(|n| notes.number(n)),
            [1, 2, 1, 0, 2]
        );
        assert_eq!(notes.all().collect::<Vec<_>>(), [(1, "a"), (2, "b")]);
    }
}
