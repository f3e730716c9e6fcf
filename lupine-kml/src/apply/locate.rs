//! Where in a file a hunk belongs: the search of GNU patch.
//!
//! A hunk is tried where its header says, moved by the offset at which the hunk before it landed,
//! then ever farther from there, forwards first at equal distance. It cannot begin before the
//! last line that an earlier hunk changed, but may share context lines with it. A hunk with less
//! context after than before it can only end at the end of the file; one with less before than
//! after that claims the first line, only begin at the start. Fuzz `n` ignores the outer lines of
//! the longer context, up to `n`, and of the shorter one as many as leave both equal.

/// A line to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted<'a> {
    /// Bytes without the newline.
    pub(super) text: &'a [u8],
    /// Whether a newline ends it.
    pub(super) newline: bool,
}

impl Wanted<'_> {
    /// Compares with a line of a file, its newline included.
    pub(super) fn is(&self, line: &[u8]) -> bool {
        line.len() == self.text.len() + usize::from(self.newline)
            && line.starts_with(self.text)
            && (!self.newline || line.last() == Some(&b'\n'))
    }
}

/// The side of a hunk that a file must hold.
#[derive(Debug)]
pub(super) struct Pattern<'a> {
    /// Context and removed lines, in order.
    pub(super) lines: Vec<Wanted<'a>>,
    /// Context lines before the first change.
    pub(super) prefix: usize,
    /// Context lines after the last change.
    pub(super) suffix: usize,
    /// The line, from 1, that the header claims; the line after the gap if `lines` is empty.
    pub(super) first: i64,
}

impl Pattern<'_> {
    /// The largest fuzz that means anything: the longer of the two contexts.
    pub(super) fn context(&self) -> usize {
        self.prefix.max(self.suffix)
    }
}

/// Finds the line, from 0, where the pattern's first line lies (or would lie, were it not ignored
/// by fuzz). `drift` is the offset of the hunk before, `frozen` the number of lines that earlier
/// hunks have consumed.
pub(super) fn locate(
    file: &[&[u8]],
    pattern: &Pattern<'_>,
    drift: i64,
    frozen: usize,
    fuzz: usize,
) -> Option<usize> {
    let guess = pattern.first + drift - 1;
    let length = pattern.lines.len();
    if length == 0 {
        // Nothing to compare: the place itself must exist.
        return usize::try_from(guess).ok().filter(|&at| at <= file.len());
    }
    let context = pattern.context();
    let ignored_before = (fuzz + pattern.prefix).checked_sub(context);
    let ignored_after = (fuzz + pattern.suffix).checked_sub(context);
    let matches = |at: usize, before: usize, after: usize| {
        let wanted = pattern
            .lines
            .get(before..length.saturating_sub(after))
            .unwrap_or(&[]);
        let found = file.get(at + before..at + before + wanted.len());
        found.is_some_and(|found| wanted.iter().zip(found).all(|(w, line)| w.is(line)))
    };
    if ignored_before.is_none() && pattern.first <= 1 {
        let after = ignored_after.unwrap_or(0);
        return (frozen <= pattern.prefix && matches(0, 0, after)).then_some(0);
    }
    let before = ignored_before.unwrap_or(0);
    let Some(after) = ignored_after else {
        let at = file.len().checked_sub(length)?;
        return (at >= frozen && matches(at, before, 0)).then_some(at);
    };
    let last = (file.len() + after).checked_sub(length)?;
    if last < frozen {
        return None;
    }
    let start = usize::try_from(guess).unwrap_or(0).clamp(frozen, last);
    if matches(start, before, after) {
        return Some(start);
    }
    let wanted = pattern
        .lines
        .get(before..length.saturating_sub(after))
        .unwrap_or(&[]);
    nearest(file, wanted, frozen + before, last + before, start + before).map(|at| at - before)
}

/// The occurrence of `wanted` that begins within `low..=high` and nearest to `start`, forwards
/// first. One pass (Knuth, Morris and Pratt), so that a file of equal lines costs no square.
fn nearest(
    file: &[&[u8]],
    wanted: &[Wanted<'_>],
    low: usize,
    high: usize,
    start: usize,
) -> Option<usize> {
    let (Some(head), true) = (wanted.first(), low <= high) else {
        return None;
    };
    if wanted.len() == 1 {
        let hit = |at: &usize| file.get(*at).is_some_and(|line| head.is(line));
        let forward = (start..=high).find(hit);
        let backward = (low..start).rev().find(hit);
        return closer(forward, backward, start);
    }
    let mut table = vec![0usize; wanted.len()];
    let mut matched = 0;
    for i in 1..wanted.len() {
        while matched > 0 && wanted[i] != wanted[matched] {
            matched = table[matched - 1];
        }
        matched += usize::from(wanted[i] == wanted[matched]);
        table[i] = matched;
    }
    let (mut forward, mut backward) = (None, None);
    matched = 0;
    let end = (high + wanted.len()).min(file.len());
    for (at, line) in file.iter().enumerate().take(end).skip(low) {
        while matched > 0 && !wanted[matched].is(line) {
            matched = table[matched - 1];
        }
        matched += usize::from(wanted[matched].is(line));
        if matched == wanted.len() {
            let begin = at + 1 - wanted.len();
            if begin >= start {
                forward = Some(begin);
                break;
            }
            backward = Some(begin);
            matched = table[matched - 1];
        }
    }
    closer(forward, backward, start)
}

fn closer(forward: Option<usize>, backward: Option<usize>, start: usize) -> Option<usize> {
    match (forward, backward) {
        (Some(f), Some(b)) if f - start <= start - b => Some(f),
        (_, Some(b)) => Some(b),
        (f, None) => f,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(
        file: &str,
        lines: &str,
        first: i64,
        drift: i64,
        frozen: usize,
        context: (usize, usize),
        fuzz: usize,
    ) -> Option<usize> {
        let file: Vec<&[u8]> = file.as_bytes().split_inclusive(|&b| b == b'\n').collect();
        let lines = lines
            .lines()
            .map(|l| Wanted {
                text: l.as_bytes(),
                newline: true,
            })
            .collect();
        locate(
            &file,
            &Pattern {
                lines,
                prefix: context.0,
                suffix: context.1,
                first,
            },
            drift,
            frozen,
            fuzz,
        )
    }

    #[test]
    fn forwards_first_then_backwards() {
        let file = "x\na\nx\nb\nx\n";
        assert_eq!(find(file, "x\n", 4, 0, 0, (0, 0), 0), Some(4));
        assert_eq!(find(file, "x\n", 2, 0, 0, (0, 0), 0), Some(2));
        assert_eq!(find(file, "x\n", 4, 0, 5, (0, 0), 0), None);
        assert_eq!(find(file, "x\na\n", 5, 0, 0, (0, 0), 0), Some(0));
        assert_eq!(find(file, "x\nb\n", 1, 0, 0, (0, 0), 0), Some(2));
    }

    #[test]
    fn short_context_anchors() {
        let file = "a\nb\nc\nb\nc\n";
        // One line before, none after: only the end will do.
        assert_eq!(find(file, "b\nc\n", 2, 0, 0, (1, 0), 0), Some(3));
        assert_eq!(find(file, "a\nb\n", 1, 0, 0, (1, 0), 0), None);
        assert_eq!(find(file, "a\nb\n", 1, 0, 0, (1, 0), 1), Some(0));
        // None before, one after, claiming line 1: only the start.
        assert_eq!(find(file, "b\nc\n", 1, 0, 0, (0, 1), 0), None);
        assert_eq!(find(file, "b\nc\n", 1, 0, 0, (0, 1), 1), Some(1));
        assert_eq!(find(file, "b\nc\n", 2, 0, 0, (0, 1), 0), Some(1));
    }

    #[test]
    fn fuzz_may_reach_past_the_end_but_not_the_start() {
        assert_eq!(find("a\nb\n", "a\nb\nz\n", 1, 0, 0, (1, 1), 1), Some(0));
        assert_eq!(find("b\nz\n", "a\nb\nz\n", 1, 0, 0, (1, 1), 1), None);
    }

    proptest::proptest! {
        #[test]
        fn one_pass_finds_what_trying_everywhere_finds(
            file in proptest::collection::vec(0u8..3, 0..40),
            wanted in proptest::collection::vec(0u8..3, 1..5),
            (low, high, start) in (0usize..40, 0usize..40, 0usize..40),
        ) {
            let text: Vec<[u8; 2]> = file.iter().map(|b| [b'a' + b, b'\n']).collect();
            let file: Vec<&[u8]> = text.iter().map(|l| &l[..]).collect();
            let bytes: Vec<[u8; 1]> = wanted.iter().map(|b| [b'a' + b]).collect();
            let wanted: Vec<_> = bytes.iter().map(|b| Wanted { text: b, newline: true }).collect();
            let start = start.clamp(low, high.max(low));
            let mut slow = None;
            'distance: for d in 0..50usize {
                for at in [start.checked_add(d), start.checked_sub(d)].into_iter().flatten() {
                    let hit = (low..=high).contains(&at)
                        && file.get(at..at + wanted.len()).is_some_and(|f| wanted.iter().zip(f).all(|(w, l)| w.is(l)));
                    if hit {
                        slow = Some(at);
                        break 'distance;
                    }
                }
            }
            proptest::prop_assert_eq!(nearest(&file, &wanted, low, high, start), slow);
        }
    }
}
