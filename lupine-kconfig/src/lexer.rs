//! Tokens of one file, without looking at any other file or at values of macros.
//!
//! Where a token ends never depends on what a macro in it expands to, so the text of such a
//! token is handed on unexpanded.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_while1};
use nom::combinator::value;
use nom::{IResult, Parser};

/// Words with a meaning in statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keyword {
    Bool,
    Choice,
    Comment,
    Config,
    DefBool,
    DefTristate,
    DefInt,
    DefHex,
    DefString,
    Default,
    Depends,
    Endchoice,
    Endif,
    Endmenu,
    Help,
    Hex,
    If,
    Imply,
    Int,
    Mainmenu,
    Menu,
    Menuconfig,
    Modules,
    On,
    Option,
    Optional,
    Prompt,
    Range,
    Select,
    Source,
    Rsource,
    Osource,
    Orsource,
    String,
    Transitional,
    Tristate,
    Visible,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Keyword(Keyword),
    /// A word without macros.
    Word,
    /// A word with at least one `$`, still to be expanded.
    MacroWord,
    /// The text of quotes: contents up to the closing quote, which is not included.
    Quoted,
    Or,
    And,
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Not,
    Open,
    Close,
    ColonEqual,
    PlusEqual,
    /// A character that means nothing here.
    Unknown,
    /// End of a line, or of the file.
    End,
}

/// How an unexpanded word ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WordEnd {
    /// At this offset.
    At(usize),
    /// A `$(` at this offset has no `)` on its line.
    Unterminated(usize),
}

pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn operator(input: &[u8]) -> IResult<&[u8], Kind> {
    alt((
        value(Kind::Or, tag("||")),
        value(Kind::And, tag("&&")),
        value(Kind::Unequal, tag("!=")),
        value(Kind::LessOrEqual, tag("<=")),
        value(Kind::GreaterOrEqual, tag(">=")),
        value(Kind::ColonEqual, tag(":=")),
        value(Kind::PlusEqual, tag("+=")),
        value(Kind::Equal, tag("=")),
        value(Kind::Less, tag("<")),
        value(Kind::Greater, tag(">")),
        value(Kind::Not, tag("!")),
        value(Kind::Open, tag("(")),
        value(Kind::Close, tag(")")),
    ))
    .parse(input)
}

fn word(input: &[u8]) -> IResult<&[u8], &[u8]> {
    take_while1(is_word).parse(input)
}

/// Skips blanks, comments and escaped line ends; gives the offset after them and the number of
/// lines passed.
pub(crate) fn skip_blank(input: &[u8], mut at: usize) -> (usize, u32) {
    let mut lines = 0;
    loop {
        match input.get(at) {
            Some(b' ' | b'\t') => at += 1,
            Some(b'#') => {
                at += memchr::memchr(b'\n', &input[at..]).unwrap_or(input.len() - at);
            }
            Some(b'\\') if input.get(at + 1) == Some(&b'\n') => {
                at += 2;
                lines += 1;
            }
            _ => return (at, lines),
        }
    }
}

/// The token at `at`, where no blank is, and the offset after it. Of quotes only the opening one
/// is taken, of words with macros nothing.
pub(crate) fn token(input: &[u8], at: usize) -> (Kind, usize) {
    let rest = &input[at..];
    match rest.first() {
        None => (Kind::End, at),
        Some(b'\n') => (Kind::End, at + 1),
        Some(b'"' | b'\'') => (Kind::Quoted, at + 1),
        Some(b'$') => (Kind::MacroWord, at),
        _ => {
            if let Ok((after, text)) = word(rest) {
                if after.first() == Some(&b'$') {
                    return (Kind::MacroWord, at);
                }
                let kind = keyword(text).map_or(Kind::Word, Kind::Keyword);
                return (kind, at + text.len());
            }
            match operator(rest) {
                Ok((after, kind)) => (kind, input.len() - after.len()),
                Err(_) => (Kind::Unknown, at + 1),
            }
        }
    }
}

/// Where a word with macros that begins at `at` ends.
pub(crate) fn macro_word_end(input: &[u8], mut at: usize) -> WordEnd {
    while let Some(byte) = input.get(at) {
        if *byte == b'$' {
            match reference_end(input, at) {
                WordEnd::At(end) => at = end,
                unterminated => return unterminated,
            }
        } else if is_word(*byte) {
            at += 1;
        } else {
            break;
        }
    }
    WordEnd::At(at)
}

/// Where the macro reference at the `$` ends, within its line; a `$` alone ends after itself.
pub(crate) fn reference_end(input: &[u8], dollar: usize) -> WordEnd {
    if input.get(dollar + 1) != Some(&b'(') {
        return WordEnd::At(dollar + 1);
    }
    let mut nest = 0_usize;
    for (offset, byte) in input[dollar + 2..].iter().enumerate() {
        match byte {
            b'(' => nest += 1,
            b')' if nest == 0 => return WordEnd::At(dollar + 3 + offset),
            b')' => nest -= 1,
            b'\n' | 0 => break,
            _ => {}
        }
    }
    WordEnd::Unterminated(dollar)
}

fn keyword(text: &[u8]) -> Option<Keyword> {
    Some(match text {
        b"bool" => Keyword::Bool,
        b"choice" => Keyword::Choice,
        b"comment" => Keyword::Comment,
        b"config" => Keyword::Config,
        b"def_bool" => Keyword::DefBool,
        b"def_tristate" => Keyword::DefTristate,
        b"default" => Keyword::Default,
        b"depends" => Keyword::Depends,
        b"endchoice" => Keyword::Endchoice,
        b"endif" => Keyword::Endif,
        b"endmenu" => Keyword::Endmenu,
        b"help" => Keyword::Help,
        b"hex" => Keyword::Hex,
        b"if" => Keyword::If,
        b"imply" => Keyword::Imply,
        b"int" => Keyword::Int,
        b"mainmenu" => Keyword::Mainmenu,
        b"menu" => Keyword::Menu,
        b"menuconfig" => Keyword::Menuconfig,
        b"modules" => Keyword::Modules,
        b"on" => Keyword::On,
        b"prompt" => Keyword::Prompt,
        b"range" => Keyword::Range,
        b"select" => Keyword::Select,
        b"source" => Keyword::Source,
        b"string" => Keyword::String,
        b"tristate" => Keyword::Tristate,
        b"visible" => Keyword::Visible,
        _ => return None,
    })
}

/// Words that only some dialects know.
pub(crate) fn dialect_keyword(dialect: &crate::dialect::Dialect, text: &[u8]) -> Option<Keyword> {
    use crate::dialect::Rules;
    Some(match text {
        b"optional" if dialect.rules() == Rules::Linux6_1 => Keyword::Optional,
        b"---help---" if dialect.legacy => Keyword::Help,
        b"boolean" if dialect.legacy => Keyword::Bool,
        b"option" if dialect.legacy => Keyword::Option,
        b"enable" if dialect.legacy => Keyword::Select,
        b"requires" if dialect.legacy => Keyword::Depends,
        b"rsource" if dialect.relative_source => Keyword::Rsource,
        b"osource" if dialect.relative_source => Keyword::Osource,
        b"orsource" if dialect.relative_source => Keyword::Orsource,
        b"def_int" if dialect.typed_defaults => Keyword::DefInt,
        b"def_hex" if dialect.typed_defaults => Keyword::DefHex,
        b"def_string" if dialect.typed_defaults => Keyword::DefString,
        b"transitional" if dialect.newer => Keyword::Transitional,
        _ => return None,
    })
}

/// How a help text ended.
pub(crate) struct HelpEnd {
    /// Offset of what follows.
    pub(crate) at: usize,
    /// Lines passed.
    pub(crate) lines: u32,
    /// Whether there was any text.
    pub(crate) blank: bool,
}

/// Finds the end of the help text that begins at `at`; appends it to `text` when wanted.
pub(crate) fn help(input: &[u8], mut at: usize, mut text: Option<&mut Vec<u8>>) -> HelpEnd {
    let mut lines = 0;
    let mut blank = true;
    let mut first_indent = 0_usize;
    let mut last_indent = 0_usize;
    loop {
        let start = at;
        while matches!(input.get(at), Some(b' ' | b'\t')) {
            at += 1;
        }
        match input.get(at) {
            None if at == start => return HelpEnd { at, lines, blank },
            Some(b'\n') => {
                at += 1;
                lines += 1;
                if !matches!(input.get(at), None | Some(b' ' | b'\t' | b'\n')) {
                    return HelpEnd { at, lines, blank };
                }
                if let Some(text) = &mut text {
                    text.push(b'\n');
                }
                continue;
            }
            _ => {}
        }
        if at > start {
            let indent = input[start..at].iter().fold(0, |column, byte| {
                if *byte == b'\t' {
                    (column & !7) + 8
                } else {
                    column + 1
                }
            });
            last_indent = indent;
            if first_indent != 0 {
                if indent < first_indent {
                    return HelpEnd { at, lines, blank };
                }
                if let Some(text) = &mut text {
                    text.resize(text.len() + indent - first_indent, b' ');
                }
            }
        }
        let end = memchr::memchr(b'\n', &input[at..]).map_or(input.len(), |length| at + length);
        if end > at {
            let line = &input[at..end];
            let kept = line.iter().rposition(|byte| !matches!(byte, b' ' | b'\t'));
            let line = &line[..kept.map_or(0, |last| last + 1)];
            blank &= line
                .iter()
                .all(|byte| matches!(byte, b' ' | b'\t' | 11..=13));
            if let Some(text) = &mut text {
                text.extend_from_slice(line);
            }
            if first_indent == 0 {
                first_indent = last_indent;
            }
            at = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_ends_at_smaller_indent() {
        let input = b"\t  One\n\t    two  \n\n\t  three\nconfig B\n";
        let mut text = Vec::new();
        let end = help(input, 0, Some(&mut text));
        assert_eq!(text, b"One\n  two\n\nthree");
        assert_eq!(&input[end.at..], b"config B\n");
        assert_eq!(end.lines, 4);
    }

    #[test]
    fn words_end_where_no_macro_decides() {
        let input = b"a$(b,(c) d)e) rest";
        assert_eq!(macro_word_end(input, 0), WordEnd::At(12));
        assert_eq!(macro_word_end(b"$(x", 0), WordEnd::Unterminated(0));
        assert_eq!(token(b"||x", 0), (Kind::Or, 2));
        assert_eq!(token(b"bool-x", 0), (Kind::Word, 6));
    }
}
