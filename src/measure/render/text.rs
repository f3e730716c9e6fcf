//! Foreign text: names, errors and versions, which may hold anything.

use std::borrow::Cow;

/// `text` without what is not seen: control characters but line breaks and tabs, characters that
/// change the direction of writing, and what is no character. The replacement character stands for
/// each.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_hidden) {
        let seen = |c| {
            if is_hidden(c) {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        };
        text.chars().map(seen).collect()
    } else {
        Cow::Borrowed(text)
    }
}

fn is_hidden(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{FFFE}' | '\u{FFFF}')
}

/// Cleaned text as one line.
pub(super) fn line(text: &str) -> String {
    let cleaned = clean(text);
    let lines = cleaned
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" / ")
}

/// At most `longest` characters of one line of cleaned text, with a mark where some are missing.
pub(super) fn short(text: &str, longest: usize) -> String {
    let line = line(text);
    if line.chars().count() <= longest {
        return line;
    }
    let kept = line.chars().take(longest.saturating_sub(1));
    kept.chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_replaced() {
        assert_eq!(clean("nginx\n1.26\t"), "nginx\n1.26\t");
        assert_eq!(clean("a\u{0}b\u{1b}[31m\u{202E}c\r"), "a�b�[31m�c�");
    }

    #[test]
    fn lines_are_joined_and_cut() {
        assert_eq!(line("a\n\n  b\n"), "a / b");
        assert_eq!(short("lupine-general", 14), "lupine-general");
        assert_eq!(short("lupine-general", 9), "lupine-g…");
        assert_eq!(short("ü", 0), "…");
    }
}
