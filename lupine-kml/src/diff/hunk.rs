//! A hunk: where it claims to belong, and its lines.

use nom::Parser;
use nom::bytes::complete::{tag, take_while1};
use nom::combinator::{map_opt, opt, rest};
use nom::sequence::preceded;

/// One hunk, its body still as it stands in the patch. Bodies are checked against the header's
/// counts when the patch is read, so [`Hunk::lines`] cannot fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hunk<'a> {
    /// Line of the `@@` in the patch, from 1.
    pub line: usize,
    /// The side before the change.
    pub old: Range,
    /// The side after the change.
    pub new: Range,
    /// What follows the second `@@`: the function or section, without the leading space.
    pub section: &'a [u8],
    pub(super) body: &'a [u8],
}

/// The lines of one side, as the header states them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// First line, from 1; if `count` is 0, the line after which the gap is (0: at the top).
    pub start: u64,
    /// Number of lines.
    pub count: u64,
}

/// What a hunk does with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    /// On both sides.
    Context,
    /// On the old side only.
    Removed,
    /// On the new side only.
    Added,
}

/// A line of a hunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// On which side it is.
    pub kind: LineKind,
    /// Its bytes without marker and newline; a carriage return before the newline stays.
    pub text: &'a [u8],
    /// False if `\ No newline at end of file` follows it.
    pub newline: bool,
}

impl<'a> Hunk<'a> {
    /// The lines in the order of the patch.
    pub fn lines(&self) -> Lines<'a> {
        Lines { rest: self.body }
    }

    /// The body's bytes, markers included.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }
}

/// Iterator over the lines of a hunk.
#[derive(Debug, Clone)]
pub struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, rest) = match memchr::memchr(b'\n', self.rest) {
            Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
            None => (self.rest, &[][..]),
        };
        self.rest = rest;
        let newline = rest.first() != Some(&b'\\');
        if !newline {
            let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
            self.rest = &rest[end..];
        }
        let (kind, text) = match line {
            [b'+', text @ ..] => (LineKind::Added, text),
            [b'-', text @ ..] => (LineKind::Removed, text),
            [b' ', text @ ..] => (LineKind::Context, text),
            // An empty context line whose space was eaten on the way, perhaps with a CR.
            text => (LineKind::Context, text),
        };
        Some(Line {
            kind,
            text,
            newline,
        })
    }
}

/// Reads `@@ -L[,N] +L[,N] @@[ SECTION]` without its newline; a missing count is 1.
pub(super) fn header(line: &[u8]) -> Option<(Range, Range, &[u8])> {
    let (_, (old, new, section)) = (
        preceded(tag("@@ -"), range),
        preceded(tag(" +"), range),
        preceded(tag(" @@"), rest),
    )
        .parse(line)
        .ok()?;
    let section: &[u8] = section;
    let section = section.strip_suffix(b"\r").unwrap_or(section);
    // A range that runs past the end of numbers is no range; the sums below rely on this.
    let fits = |r: Range| {
        r.start
            .checked_add(r.count)
            .is_some_and(|end| end < u64::MAX / 4)
    };
    (fits(old) && fits(new)).then(|| (old, new, section.strip_prefix(b" ").unwrap_or(section)))
}

fn range(input: &[u8]) -> nom::IResult<&[u8], Range> {
    let (input, start) = number(input)?;
    let (input, count) = opt(preceded(tag(","), number)).parse(input)?;
    Ok((
        input,
        Range {
            start,
            count: count.unwrap_or(1),
        },
    ))
}

fn number(input: &[u8]) -> nom::IResult<&[u8], u64> {
    map_opt(
        take_while1(|b: u8| b.is_ascii_digit()),
        |digits: &[u8]| {
            digits.iter().try_fold(0u64, |n, d| {
                n.checked_mul(10)?.checked_add(u64::from(d - b'0'))
            })
        },
    )
    .parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let (old, new, section) = header(b"@@ -1,7 +2 @@ int main(void)\r").unwrap();
        assert_eq!((old.start, old.count, new.start, new.count), (1, 7, 2, 1));
        assert_eq!(section, b"int main(void)");
        for bad in [
            &b"@@ -1,7 +2,3"[..],
            b"@@ 1,7 +2,3 @@",
            b"@@ -a +1 @@",
            b"@@ -18446744073709551615,2 +1 @@",
            b"@@ -99999999999999999999 +1 @@",
        ] {
            assert!(header(bad).is_none(), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn lines_without_newline() {
        let hunk = Hunk {
            line: 1,
            old: Range { start: 1, count: 2 },
            new: Range { start: 1, count: 2 },
            section: b"",
            body: b" a\r\n-b\n\\ No newline at end of file\n+c\n\\ Kein Zeilenumbruch",
        };
        let lines: Vec<_> = hunk.lines().map(|l| (l.kind, l.text, l.newline)).collect();
        assert_eq!(
            lines,
            [
                (LineKind::Context, &b"a\r"[..], true),
                (LineKind::Removed, b"b", false),
                (LineKind::Added, b"c", false)
            ]
        );
    }
}
