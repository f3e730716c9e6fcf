//! Applies the hunks of one file to its content.

use crate::diff::{FilePatch, Hunk, LineKind, Text};

use super::locate::{Pattern, Wanted, locate};
use super::report::{HunkReport, HunkResult};

/// How many lines around its stated place a rejected hunk is compared with.
const WINDOW: usize = 256;
/// How many lines of a rejected hunk are compared and reported.
const SHOWN: usize = 64;

/// What became of a file's content.
#[derive(Debug)]
pub(super) struct Spliced {
    /// The content with every hunk that landed.
    pub(super) content: Vec<u8>,
    /// One entry per hunk.
    pub(super) hunks: Vec<HunkReport>,
}

/// Applies every hunk it can; those it cannot are reported and leave no trace.
pub(super) fn splice(
    content: &[u8],
    file: &FilePatch<'_>,
    reverse: bool,
    max_fuzz: usize,
) -> Spliced {
    let lines: Vec<&[u8]> = content.split_inclusive(|&b| b == b'\n').collect();
    // Line ends changed on the way: the file says whether they are its own.
    let strip_cr = file.crlf && !lines.first().is_some_and(|line| line.ends_with(b"\r\n"));
    let mut out = Output {
        bytes: Vec::with_capacity(content.len() + 256),
        lines: &lines,
        taken: 0,
    };
    let mut drift = 0i64;
    let mut growth = 0i64;
    let mut hunks = Vec::with_capacity(file.hunks.len());
    for (number, hunk) in file.hunks.iter().enumerate() {
        let oriented = Oriented::new(hunk, reverse, strip_cr);
        let pattern = &oriented.pattern;
        let place = (0..=max_fuzz.min(pattern.context()))
            .find_map(|fuzz| Some((locate(&lines, pattern, drift, out.taken, fuzz)?, fuzz)))
            .filter(|&(at, _)| oriented.first_change(at) >= out.taken);
        let result = match place {
            Some((at, fuzz)) => {
                out.splice(at, &oriented);
                if !pattern.lines.is_empty() {
                    drift = signed(at) + 1 - pattern.first;
                }
                let line = signed(at) + 1 + growth;
                growth += oriented.growth;
                HunkResult::Landed {
                    line: u64::try_from(line).unwrap_or(0),
                    offset: drift,
                    fuzz,
                }
            }
            None => rejected(&lines, hunk, &oriented, reverse, strip_cr, drift, out.taken),
        };
        hunks.push(HunkReport {
            number: number + 1,
            patch_line: hunk.line,
            result,
        });
    }
    out.copy_till(lines.len());
    Spliced {
        content: out.bytes,
        hunks,
    }
}

/// A hunk as it will be applied: reversed, with carriage returns stripped.
struct Oriented<'a> {
    pattern: Pattern<'a>,
    lines: Vec<(LineKind, Wanted<'a>)>,
    /// New lines less old lines.
    growth: i64,
}

impl<'a> Oriented<'a> {
    fn new(hunk: &Hunk<'a>, reverse: bool, strip_cr: bool) -> Self {
        let lines: Vec<_> = hunk
            .lines()
            .map(|line| {
                let kind = match (line.kind, reverse) {
                    (LineKind::Removed, true) => LineKind::Added,
                    (LineKind::Added, true) => LineKind::Removed,
                    (kind, _) => kind,
                };
                let text = match line.text.strip_suffix(b"\r") {
                    Some(text) if strip_cr => text,
                    _ => line.text,
                };
                (
                    kind,
                    Wanted {
                        text,
                        newline: line.newline,
                    },
                )
            })
            .collect();
        let context = |(kind, _): &&(LineKind, Wanted<'_>)| *kind == LineKind::Context;
        let (old, new) = if reverse {
            (hunk.new, hunk.old)
        } else {
            (hunk.old, hunk.new)
        };
        let pattern = Pattern {
            lines: lines
                .iter()
                .filter(|l| l.0 != LineKind::Added)
                .map(|l| l.1)
                .collect(),
            prefix: lines.iter().take_while(context).count(),
            suffix: lines.iter().rev().take_while(context).count(),
            first: clamp(old.start).saturating_add(i64::from(old.count == 0)),
        };
        Self {
            pattern,
            lines,
            growth: clamp(new.count) - clamp(old.count),
        }
    }

    /// The line of the file before which the hunk's first change lies, once it is placed.
    fn first_change(&self, at: usize) -> usize {
        at + self.pattern.prefix
    }
}

/// The new content as it grows: lines of the old file up to `taken` are dealt with.
struct Output<'l, 'f> {
    bytes: Vec<u8>,
    lines: &'l [&'f [u8]],
    taken: usize,
}

impl Output<'_, '_> {
    fn copy_till(&mut self, line: usize) {
        for line in self.lines.get(self.taken..line).unwrap_or(&[]) {
            self.end_line();
            self.bytes.extend_from_slice(line);
        }
        self.taken = self.taken.max(line);
    }

    /// Ends a last line without newline when something follows it after all.
    fn end_line(&mut self) {
        if self.bytes.last().is_some_and(|&b| b != b'\n') {
            self.bytes.push(b'\n');
        }
    }

    /// Context is taken from the file, not from the hunk: under fuzz they differ.
    fn splice(&mut self, at: usize, hunk: &Oriented<'_>) {
        let mut next = at;
        for (kind, line) in &hunk.lines {
            match kind {
                LineKind::Context => next += 1,
                LineKind::Removed => {
                    self.copy_till(next);
                    next += 1;
                    self.taken = next;
                }
                LineKind::Added => {
                    self.copy_till(next);
                    self.end_line();
                    self.bytes.extend_from_slice(line.text);
                    if line.newline {
                        self.bytes.push(b'\n');
                    }
                }
            }
        }
    }
}

/// Says what a hunk expected, what stands at the likeliest place, and whether the hunk's result
/// is there already.
fn rejected(
    file: &[&[u8]],
    hunk: &Hunk<'_>,
    oriented: &Oriented<'_>,
    reverse: bool,
    strip_cr: bool,
    drift: i64,
    taken: usize,
) -> HunkResult {
    let wanted = &oriented.pattern.lines;
    let wanted = &wanted[..wanted.len().min(SHOWN)];
    let guess = usize::try_from(oriented.pattern.first + drift - 1)
        .unwrap_or(0)
        .min(file.len());
    let score = |at: usize| {
        wanted
            .iter()
            .zip(&file[at..])
            .filter(|(w, line)| w.is(line))
            .count()
    };
    let low = guess.saturating_sub(WINDOW);
    let high = guess.saturating_add(WINDOW).min(file.len());
    let at = (low..=high)
        .max_by_key(|&at| (score(at), std::cmp::Reverse(at.abs_diff(guess))))
        .unwrap_or(guess);
    let found = &file[at..file.len().min(at + wanted.len())];
    let differs = wanted
        .iter()
        .zip(found)
        .position(|(w, line)| !w.is(line))
        .unwrap_or(found.len());
    let other = Oriented::new(hunk, !reverse, strip_cr);
    let applied = if other.pattern.lines.is_empty() {
        None
    } else {
        locate(file, &other.pattern, drift, taken, 0)
    };
    HunkResult::Rejected {
        line: number(at),
        expected: wanted.iter().map(|w| Text::from(w.text)).collect(),
        found: found
            .iter()
            .map(|line| Text::from(line.strip_suffix(b"\n").unwrap_or(line)))
            .collect(),
        first_difference: differs,
        applied_at: applied.map(number),
    }
}

fn number(at: usize) -> u64 {
    u64::try_from(at).map_or(u64::MAX, |at| at.saturating_add(1))
}

fn signed(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX / 4)
}

/// Headers are read only if their numbers are below 2^62.
fn clamp(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX / 4)
}
