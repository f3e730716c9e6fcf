//! Reads a patch: finds the diffs between mail headers, commit messages and signatures.

use std::borrow::Cow;

use super::Patch;
use super::error::{HeaderProblem, ParseError};
use super::file_patch::{Action, FilePatch, Mode};
use super::hunk::{self, Hunk};
use super::path::{Name, unquote};
use super::text::Text;

/// Reads every diff of `input`; see [`Patch::parse`].
pub(super) fn patch(input: &[u8]) -> Result<Patch<'_>, ParseError> {
    let mut reader = Reader {
        input,
        at: 0,
        line: 1,
        index: None,
        text: false,
        files: Vec::new(),
    };
    while reader.step()? {}
    if reader.files.is_empty() {
        return Err(ParseError::NoDiff {
            lines: reader.line - 1,
        });
    }
    Ok(Patch {
        files: reader.files,
    })
}

struct Reader<'a> {
    input: &'a [u8],
    /// Offset of the next line.
    at: usize,
    /// Its number, from 1.
    line: usize,
    /// The name of the last `Index:` line.
    index: Option<Name<'a>>,
    /// Whether text other than blank lines stood since the last diff.
    text: bool,
    files: Vec<FilePatch<'a>>,
}

/// Names and marks of a file's headers, before they are an [`Action`].
#[derive(Default)]
struct Headers<'a> {
    line: usize,
    /// From the `diff --git` line: the name on both sides.
    git: Option<(Name<'a>, Name<'a>)>,
    is_git: bool,
    old: Option<Side<'a>>,
    new: Option<Side<'a>>,
    created: bool,
    deleted: bool,
    rename: (Option<Name<'a>>, Option<Name<'a>>),
    copy: (Option<Name<'a>>, Option<Name<'a>>),
    old_mode: Option<Mode>,
    new_mode: Option<Mode>,
}

/// One of the `---` and `+++` lines.
enum Side<'a> {
    /// `/dev/null`.
    Null,
    /// A name whose time stamp is the epoch: how `diff -N` marks a file that is not there.
    Epoch(Name<'a>),
    Name(Name<'a>),
}

impl<'a> Reader<'a> {
    /// The line at `at` without its newline, and where the next begins.
    fn line_at(&self, at: usize) -> Option<(&'a [u8], usize)> {
        let rest = self.input.get(at..).filter(|rest| !rest.is_empty())?;
        Some(match memchr::memchr(b'\n', rest) {
            Some(end) => (&rest[..end], at + end + 1),
            None => (rest, self.input.len()),
        })
    }

    fn peek(&self) -> Option<&'a [u8]> {
        self.line_at(self.at).map(|(line, _)| line)
    }

    fn advance(&mut self) {
        if let Some((_, next)) = self.line_at(self.at) {
            self.at = next;
            self.line += 1;
        }
    }

    /// Deals with one line outside a diff, or one whole file. False at the end.
    fn step(&mut self) -> Result<bool, ParseError> {
        let Some((line, next)) = self.line_at(self.at) else {
            return Ok(false);
        };
        match line.first() {
            Some(b'd') if line.starts_with(b"diff --git ") => self.git_diff(line)?,
            Some(b'd')
                if line.starts_with(b"diff --cc ") || line.starts_with(b"diff --combined ") =>
            {
                return Err(ParseError::CombinedDiff { line: self.line });
            }
            Some(b'-') if line.starts_with(b"--- ") && self.is_unified_header(next) => {
                let headers = Headers {
                    line: self.line,
                    ..Headers::default()
                };
                self.sides_and_hunks(headers)?;
            }
            Some(b'@') if line.starts_with(b"@@ -") && hunk::header(line).is_some() => {
                return Err(ParseError::HunkWithoutFile { line: self.line });
            }
            Some(b'@') if line.starts_with(b"@@@ -") => {
                return Err(ParseError::CombinedDiff { line: self.line });
            }
            Some(b'*') if self.is_context_header(line, next) => {
                return Err(ParseError::ContextDiff { line: self.line });
            }
            Some(b'B') if is_binary_marker(line) => {
                return Err(ParseError::Binary {
                    line: self.line,
                    name: binary_name(line),
                });
            }
            Some(b'I') if line.starts_with(b"Index: ") => {
                self.index = Some(self.name(&line[7..])?);
                self.text = true;
                self.advance();
            }
            _ => {
                self.text |= !line.trim_ascii().is_empty();
                self.advance();
            }
        }
        Ok(true)
    }

    /// After a `--- ` line: `+++ ` and `@@ -` follow.
    fn is_unified_header(&self, next: usize) -> bool {
        self.line_at(next).is_some_and(|(plus, next)| {
            plus.starts_with(b"+++ ")
                && self
                    .line_at(next)
                    .is_some_and(|(hunk, _)| hunk.starts_with(b"@@ -"))
        })
    }

    fn is_context_header(&self, line: &[u8], next: usize) -> bool {
        line.starts_with(b"*** ")
            && self.line_at(next).is_some_and(|(minus, next)| {
                minus.starts_with(b"--- ")
                    && self
                        .line_at(next)
                        .is_some_and(|(stars, _)| stars.starts_with(b"***************"))
            })
    }

    /// A `diff --git` line, its extended headers, and what follows.
    fn git_diff(&mut self, line: &'a [u8]) -> Result<(), ParseError> {
        let mut headers = Headers {
            line: self.line,
            is_git: true,
            git: git_names(trim_cr(&line[b"diff --git ".len()..])),
            ..Headers::default()
        };
        self.advance();
        while let Some((line, next)) = self.line_at(self.at) {
            if line.starts_with(b"--- ") {
                if self
                    .line_at(next)
                    .is_some_and(|(plus, _)| plus.starts_with(b"+++ "))
                {
                    break;
                }
                return self.finish(headers, Vec::new(), false);
            }
            if line == b"GIT binary patch"
                || line == b"GIT binary patch\r"
                || is_binary_marker(line)
            {
                let name = headers.git.as_ref().map(|(_, new)| Text::from(&*new.bytes));
                return Err(ParseError::Binary {
                    line: self.line,
                    name,
                });
            }
            let Some((key, value)) = split_header(trim_cr(line)) else {
                return self.finish(headers, Vec::new(), false);
            };
            match key {
                Key::OldMode => headers.old_mode = Some(self.mode(value)?),
                Key::NewMode => headers.new_mode = Some(self.mode(value)?),
                Key::NewFile => {
                    headers.created = true;
                    headers.new_mode = Some(self.mode(value)?);
                }
                Key::Deleted => {
                    headers.deleted = true;
                    headers.old_mode = Some(self.mode(value)?);
                }
                Key::RenameFrom => headers.rename.0 = Some(self.bare_name(value)?),
                Key::RenameTo => headers.rename.1 = Some(self.bare_name(value)?),
                Key::CopyFrom => headers.copy.0 = Some(self.bare_name(value)?),
                Key::CopyTo => headers.copy.1 = Some(self.bare_name(value)?),
                Key::Index => {
                    if let Some(space) = memchr::memrchr(b' ', value) {
                        let mode = self.mode(&value[space + 1..])?;
                        headers.old_mode = Some(mode);
                        headers.new_mode = Some(mode);
                    }
                }
                Key::Similarity => {}
            }
            self.advance();
        }
        if self.peek().is_none() {
            return self.finish(headers, Vec::new(), false);
        }
        self.sides_and_hunks(headers)
    }

    fn mode(&self, value: &[u8]) -> Result<Mode, ParseError> {
        Mode::parse(value).ok_or_else(|| ParseError::Mode {
            line: self.line,
            text: value.into(),
        })
    }

    /// The `---` and `+++` lines and all hunks that follow.
    fn sides_and_hunks(&mut self, mut headers: Headers<'a>) -> Result<(), ParseError> {
        for _ in 0..2 {
            let Some(line) = self.peek() else { break };
            let side = self.side(&line[4..])?;
            if line[0] == b'-' {
                headers.old = Some(side);
            } else {
                headers.new = Some(side);
            }
            self.advance();
        }
        let mut hunks = Vec::new();
        let mut crlf = false;
        while let Some(line) = self.peek().filter(|line| line.starts_with(b"@@ -")) {
            crlf |= line.ends_with(b"\r");
            hunks.push(self.hunk(line)?);
        }
        self.finish(headers, hunks, crlf)
    }

    fn hunk(&mut self, line: &'a [u8]) -> Result<Hunk<'a>, ParseError> {
        let start = self.line;
        let (old, new, section) = hunk::header(line).ok_or_else(|| ParseError::HunkHeader {
            line: start,
            text: line.into(),
        })?;
        self.advance();
        let body = self.at;
        let (mut old_left, mut new_left) = (old.count, new.count);
        // `\` may follow a line of the body, but not another `\`.
        let mut may_lack_newline = false;
        let mut changes = false;
        loop {
            let rest = &self.input[self.at..];
            let first = rest.first().copied();
            if old_left == 0 && new_left == 0 && !(first == Some(b'\\') && may_lack_newline) {
                break;
            }
            let (takes_old, takes_new) = match first {
                Some(b' ' | b'\n') => (1, 1),
                Some(b'\r') if rest.get(1) == Some(&b'\n') => (1, 1),
                Some(b'-') => (1, 0),
                Some(b'+') => (0, 1),
                Some(b'\\') if may_lack_newline => (0, 0),
                None => {
                    return Err(ParseError::Truncated {
                        hunk: start,
                        old_left,
                        new_left,
                    });
                }
                Some(_) => return Err(self.bad_line(start, old_left, new_left)),
            };
            if takes_old > old_left || takes_new > new_left {
                return Err(self.bad_line(start, old_left, new_left));
            }
            may_lack_newline = first != Some(b'\\');
            changes |= takes_old != takes_new;
            old_left -= takes_old;
            new_left -= takes_new;
            match memchr::memchr(b'\n', rest) {
                Some(end) => self.at += end + 1,
                // Only the note on the missing newline may itself lack one.
                None if first == Some(b'\\') => self.at = self.input.len(),
                None => {
                    return Err(ParseError::Truncated {
                        hunk: start,
                        old_left,
                        new_left,
                    });
                }
            }
            self.line += 1;
        }
        if !changes {
            return Err(ParseError::NoChange { line: start });
        }
        Ok(Hunk {
            line: start,
            old,
            new,
            section,
            body: &self.input[body..self.at],
        })
    }

    fn bad_line(&self, hunk: usize, old_left: u64, new_left: u64) -> ParseError {
        let text = self.peek().unwrap_or_default();
        let text = Text::from(&text[..text.len().min(200)]);
        ParseError::HunkLine {
            line: self.line,
            hunk,
            old_left,
            new_left,
            text,
        }
    }

    /// Makes a file of what was read.
    fn finish(
        &mut self,
        headers: Headers<'a>,
        hunks: Vec<Hunk<'a>>,
        crlf: bool,
    ) -> Result<(), ParseError> {
        let line = headers.line;
        let (old_mode, new_mode) = (headers.old_mode, headers.new_mode);
        let fail = |problem| ParseError::Header { line, problem };
        let action = if headers.is_git {
            self.index = None;
            git_action(headers).map_err(fail)?
        } else {
            plain_action(headers, self.index.take()).map_err(fail)?
        };
        let starts_step = self.text || self.files.is_empty();
        self.text = false;
        let file = FilePatch {
            line,
            action,
            old_mode,
            new_mode,
            hunks,
            crlf,
            starts_step,
        };
        file.check().map_err(fail)?;
        self.files.push(file);
        Ok(())
    }

    /// What follows `--- ` or `+++ `: a name, and perhaps a TAB and a time stamp.
    fn side(&self, value: &'a [u8]) -> Result<Side<'a>, ParseError> {
        let value = trim_cr(value);
        let (name, stamp): (Cow<'a, [u8]>, &[u8]) = if value.starts_with(b"\"") {
            let (name, rest) = self.unquote(value)?;
            (Cow::Owned(name), rest)
        } else {
            match memchr::memchr(b'\t', value) {
                Some(tab) => (Cow::Borrowed(&value[..tab]), &value[tab..]),
                None => match stamp_without_tab(value) {
                    Some(at) => (Cow::Borrowed(&value[..at]), &value[at..]),
                    None => (Cow::Borrowed(value), &[][..]),
                },
            }
        };
        if *name == *b"/dev/null" {
            return Ok(Side::Null);
        }
        let name = Name {
            bytes: name,
            prefixed: true,
        };
        Ok(if is_epoch(stamp.trim_ascii()) {
            Side::Epoch(name)
        } else {
            Side::Name(name)
        })
    }

    fn name(&self, value: &'a [u8]) -> Result<Name<'a>, ParseError> {
        let value = trim_cr(value);
        let bytes = if value.starts_with(b"\"") {
            Cow::Owned(self.unquote(value)?.0)
        } else {
            Cow::Borrowed(value)
        };
        Ok(Name {
            bytes,
            prefixed: true,
        })
    }

    fn bare_name(&self, value: &'a [u8]) -> Result<Name<'a>, ParseError> {
        Ok(Name {
            prefixed: false,
            ..self.name(value)?
        })
    }

    fn unquote(&self, value: &'a [u8]) -> Result<(Vec<u8>, &'a [u8]), ParseError> {
        unquote(value).ok_or_else(|| ParseError::Quoting {
            line: self.line,
            text: value.into(),
        })
    }
}

#[derive(Clone, Copy)]
enum Key {
    OldMode,
    NewMode,
    NewFile,
    Deleted,
    RenameFrom,
    RenameTo,
    CopyFrom,
    CopyTo,
    Similarity,
    Index,
}

fn split_header(line: &[u8]) -> Option<(Key, &[u8])> {
    const KEYS: [(&[u8], Key); 13] = [
        (b"index ", Key::Index),
        (b"old mode ", Key::OldMode),
        (b"new mode ", Key::NewMode),
        (b"new file mode ", Key::NewFile),
        (b"deleted file mode ", Key::Deleted),
        (b"rename from ", Key::RenameFrom),
        (b"rename to ", Key::RenameTo),
        (b"rename old ", Key::RenameFrom),
        (b"rename new ", Key::RenameTo),
        (b"copy from ", Key::CopyFrom),
        (b"copy to ", Key::CopyTo),
        (b"similarity index ", Key::Similarity),
        (b"dissimilarity index ", Key::Similarity),
    ];
    KEYS.iter()
        .find_map(|(key, kind)| Some((*kind, line.strip_prefix(*key)?)))
}

fn git_action(headers: Headers<'_>) -> Result<Action<'_>, HeaderProblem> {
    let marks = [
        headers.created,
        headers.deleted,
        headers.rename.0.is_some() || headers.rename.1.is_some(),
        headers.copy.0.is_some() || headers.copy.1.is_some(),
    ];
    if marks.iter().filter(|&&mark| mark).count() > 1 {
        return Err(HeaderProblem::Contradiction);
    }
    match (headers.rename, headers.copy) {
        ((Some(from), Some(to)), _) => return Ok(Action::Rename { from, to }),
        (_, (Some(from), Some(to))) => return Ok(Action::Copy { from, to }),
        ((None, None), (None, None)) => {}
        _ => return Err(HeaderProblem::HalfRename),
    }
    let (git_old, git_new) = headers.git.unzip();
    let created = headers.created || matches!(headers.old, Some(Side::Null));
    let deleted = headers.deleted || matches!(headers.new, Some(Side::Null));
    match (created, deleted) {
        (true, true) => Err(HeaderProblem::BothNull),
        (true, false) => {
            let name = named(headers.new)
                .or(git_new)
                .ok_or(HeaderProblem::NoName)?;
            Ok(Action::Create { name })
        }
        (false, true) => {
            let name = named(headers.old)
                .or(git_old)
                .ok_or(HeaderProblem::NoName)?;
            Ok(Action::Delete { name })
        }
        (false, false) => {
            let name = named(headers.new)
                .or(git_new)
                .ok_or(HeaderProblem::NoName)?;
            Ok(Action::Modify { names: vec![name] })
        }
    }
}

fn named(side: Option<Side<'_>>) -> Option<Name<'_>> {
    match side {
        Some(Side::Name(name) | Side::Epoch(name)) => Some(name),
        Some(Side::Null) | None => None,
    }
}

fn plain_action<'a>(
    headers: Headers<'a>,
    index: Option<Name<'a>>,
) -> Result<Action<'a>, HeaderProblem> {
    match (headers.old, headers.new) {
        (Some(Side::Null), Some(Side::Null)) => match index {
            Some(name) => Ok(Action::Modify { names: vec![name] }),
            None => Err(HeaderProblem::BothNull),
        },
        (Some(Side::Null | Side::Epoch(_)), Some(Side::Name(name) | Side::Epoch(name))) => {
            Ok(Action::Create { name })
        }
        (Some(Side::Name(name) | Side::Epoch(name)), Some(Side::Null | Side::Epoch(_))) => {
            Ok(Action::Delete { name })
        }
        (Some(Side::Name(old)), Some(Side::Name(new))) => {
            let mut names = vec![old];
            for name in std::iter::once(new).chain(index) {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            Ok(Action::Modify { names })
        }
        _ => Err(HeaderProblem::NoName),
    }
}

/// The two names of a `diff --git` line. Unquoted names may hold spaces: the line is split where
/// both sides are the same but for their first component, as they are unless a rename says so.
fn git_names(line: &[u8]) -> Option<(Name<'_>, Name<'_>)> {
    let name = |bytes: Cow<'_, [u8]>| Name {
        bytes: Cow::Owned(bytes.into_owned()),
        prefixed: true,
    };
    if line.starts_with(b"\"") {
        let (old, rest) = unquote(line)?;
        let rest = rest.strip_prefix(b" ")?;
        let new = if rest.starts_with(b"\"") {
            unquote(rest)?.0
        } else {
            rest.to_vec()
        };
        return Some((name(old.into()), name(new.into())));
    }
    if let Some(quote) = memchr::memmem::find(line, b" \"") {
        let new = unquote(&line[quote + 1..])?.0;
        return Some((name(line[..quote].into()), name(new.into())));
    }
    let tail = |side: &[u8]| memchr::memchr(b'/', side).map_or(0, |slash| slash + 1);
    let split = |at: &usize| {
        let (old, new) = (&line[..*at], &line[at + 1..]);
        let (old, new) = (&old[tail(old)..], &new[tail(new)..]);
        !old.is_empty() && old == new
    };
    let middle = line.len() / 2;
    // Names of equal length split in the middle; prefixes of other lengths are rare.
    let at = Some(middle)
        .filter(|&at| line.get(at) == Some(&b' ') && split(&at))
        .or_else(|| memchr::memchr_iter(b' ', line).find(split))?;
    Some((name(line[..at].into()), name(line[at + 1..].into())))
}

fn trim_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn is_binary_marker(line: &[u8]) -> bool {
    let line = trim_cr(line);
    (line.starts_with(b"Binary files ") && line.ends_with(b" differ"))
        || (line.starts_with(b"Files ") && line.ends_with(b" differ"))
}

fn binary_name(line: &[u8]) -> Option<Text> {
    let names = trim_cr(line)
        .strip_prefix(b"Binary files ")?
        .strip_suffix(b" differ")?;
    let and = memchr::memmem::find(names, b" and ")?;
    Some(names[and + 5..].into())
}

/// Where a time stamp begins that only a space sets off from the name.
fn stamp_without_tab(value: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b' ', value).find(|&at| date_and_time(&value[at + 1..]).is_some())
}

/// Splits `YYYY-MM-DD HH:MM:SS` off the front; gives the date, hour, minute, second.
fn date_and_time(stamp: &[u8]) -> Option<([u32; 6], &[u8])> {
    const SHAPE: &[u8] = b"dddd-dd-dd dd:dd:dd";
    let (stamp, rest) = stamp.split_at_checked(SHAPE.len())?;
    let matches = |(byte, shape): (&u8, &u8)| match shape {
        b'd' => byte.is_ascii_digit(),
        other => byte == other,
    };
    if !stamp.iter().zip(SHAPE).all(matches) {
        return None;
    }
    let number = |at: usize, len: usize| {
        stamp[at..at + len]
            .iter()
            .fold(0u32, |n, d| n * 10 + u32::from(d - b'0'))
    };
    Some((
        [
            number(0, 4),
            number(5, 2),
            number(8, 2),
            number(11, 2),
            number(14, 2),
            number(17, 2),
        ],
        rest,
    ))
}

/// Whether a time stamp is 1970-01-01 00:00:00 UTC, in any zone.
fn is_epoch(stamp: &[u8]) -> bool {
    let Some(([year, month, day, hour, minute, second], rest)) = date_and_time(stamp) else {
        return false;
    };
    let rest = match rest.strip_prefix(b".") {
        Some(fraction) => {
            let zeros = fraction.iter().take_while(|&&b| b == b'0').count();
            &fraction[zeros..]
        }
        None => rest,
    };
    let day_minutes = match (year, month, day) {
        (1970, 1, 1) => 0,
        (1969, 12, 31) => -24 * 60,
        (1970, 1, 2) => 24 * 60,
        _ => return false,
    };
    let minutes = day_minutes + i64::from(hour * 60 + minute);
    let zone = match rest {
        b"" => 0,
        [b' ', sign @ (b'+' | b'-'), a, b, c, d]
            if [a, b, c, d].iter().all(|d| d.is_ascii_digit()) =>
        {
            let n = |d: &u8| i64::from(d - b'0');
            let zone = (n(a) * 10 + n(b)) * 60 + n(c) * 10 + n(d);
            if *sign == b'+' { zone } else { -zone }
        }
        _ => return false,
    };
    second == 0 && minutes == zone
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoch_in_any_zone() {
        for stamp in [
            "1970-01-01 00:00:00.000000000 +0000",
            "1970-01-01 01:00:00 +0100",
            "1969-12-31 19:00:00.000 -0500",
            "1970-01-01 00:00:00",
        ] {
            assert!(is_epoch(stamp.as_bytes()), "{stamp}");
        }
        for stamp in [
            "1970-01-01 00:00:00 +0100",
            "1970-01-01 00:00:01",
            "2024-01-01 00:00:00 +0000",
            "",
            "1970-01-01 00:00:00.5",
        ] {
            assert!(!is_epoch(stamp.as_bytes()), "{stamp}");
        }
    }

    #[test]
    fn names_of_a_git_line() {
        let names = |line: &str| {
            git_names(line.as_bytes()).map(|(a, b)| {
                (
                    String::from_utf8_lossy(&a.bytes).into_owned(),
                    String::from_utf8_lossy(&b.bytes).into_owned(),
                )
            })
        };
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(names("a/x b/x"), pair("a/x", "b/x"));
        assert_eq!(names("a/x y b/x y"), pair("a/x y", "b/x y"));
        assert_eq!(names("old/x newer/x"), pair("old/x", "newer/x"));
        assert_eq!(names("\"a/x\\ty\" \"b/x\\ty\""), pair("a/x\ty", "b/x\ty"));
        assert_eq!(names("a/x b/y"), None);
        assert_eq!(names("x"), None);
    }
}
