//! Values as text: validity, and numbers as C reads them.

use crate::symbol::SymbolType;

/// Whether the text is a value of the type.
pub(crate) fn is_valid(type_: SymbolType, text: &[u8]) -> bool {
    match type_ {
        SymbolType::String => true,
        SymbolType::Int => {
            let digits = text.strip_prefix(b"-").unwrap_or(text);
            match digits.first() {
                None => false,
                Some(b'0') if digits.len() > 1 => false,
                Some(_) => digits.iter().all(u8::is_ascii_digit),
            }
        }
        SymbolType::Hex => {
            let digits = match text {
                [b'0', b'x' | b'X', digits @ ..] => digits,
                other => other,
            };
            !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit)
        }
        SymbolType::Bool | SymbolType::Tristate => {
            matches!(text.first(), Some(b'y' | b'Y' | b'm' | b'M' | b'n' | b'N'))
        }
        SymbolType::Unknown => false,
    }
}

/// A number at the start of a text.
pub(crate) struct Parsed {
    pub(crate) negative: bool,
    pub(crate) magnitude: u128,
    /// Bytes read; 0 when there is no number.
    pub(crate) length: usize,
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | 9..=13)
}

/// What `strtoll` would read; base 0 chooses by prefix.
pub(crate) fn parse(text: &[u8], base: u32) -> Parsed {
    let mut at = text.iter().take_while(|byte| is_space(**byte)).count();
    let negative = text.get(at) == Some(&b'-');
    if matches!(text.get(at), Some(b'-' | b'+')) {
        at += 1;
    }
    let prefixed = text.get(at) == Some(&b'0')
        && matches!(text.get(at + 1), Some(b'x' | b'X'))
        && text.get(at + 2).is_some_and(u8::is_ascii_hexdigit);
    let base = match base {
        0 if prefixed => 16,
        0 if text.get(at) == Some(&b'0') => 8,
        0 => 10,
        other => other,
    };
    if base == 16 && prefixed {
        at += 2;
    }
    let start = at;
    let mut magnitude: u128 = 0;
    while let Some(digit) = text.get(at).and_then(|byte| (*byte as char).to_digit(base)) {
        magnitude = magnitude
            .saturating_mul(u128::from(base))
            .saturating_add(u128::from(digit));
        magnitude = magnitude.min(u128::from(u64::MAX) + 1);
        at += 1;
    }
    Parsed {
        negative,
        magnitude,
        length: if at > start { at } else { 0 },
    }
}

/// The value `strtoll` gives, clamped to its range.
pub(crate) fn signed(text: &[u8], base: u32) -> i64 {
    let parsed = parse(text, base);
    let value = i128::try_from(parsed.magnitude).unwrap_or(i128::MAX);
    let value = if parsed.negative { -value } else { value };
    value.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

/// A value as a comparison sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparable {
    Text,
    Signed(i64),
    Unsigned(u64),
}

impl Comparable {
    /// The bits, for a comparison with an unsigned number.
    pub(crate) fn bits(self) -> u64 {
        match self {
            Comparable::Text => 0,
            Comparable::Signed(value) => value as u64,
            Comparable::Unsigned(value) => value,
        }
    }
}

/// How a comparison reads a symbol's text.
pub(crate) fn comparable(type_: SymbolType, text: &[u8]) -> Comparable {
    let base = match type_ {
        SymbolType::Bool | SymbolType::Tristate => {
            return Comparable::Signed(match text {
                b"n" => 0,
                b"m" => 1,
                b"y" => 2,
                _ => -1,
            });
        }
        SymbolType::Int => 10,
        SymbolType::Hex => 16,
        SymbolType::String | SymbolType::Unknown => 0,
    };
    let parsed = parse(text, base);
    let whole = parsed.length > 0
        && parsed.length == text.len()
        && text.last().is_some_and(u8::is_ascii_hexdigit);
    if !whole {
        return Comparable::Text;
    }
    if type_ == SymbolType::Hex {
        return match u64::try_from(parsed.magnitude) {
            Ok(value) if parsed.negative => Comparable::Unsigned(value.wrapping_neg()),
            Ok(value) => Comparable::Unsigned(value),
            Err(_) => Comparable::Text,
        };
    }
    let value = i128::try_from(parsed.magnitude).unwrap_or(i128::MAX);
    let value = if parsed.negative { -value } else { value };
    i64::try_from(value).map_or(Comparable::Text, Comparable::Signed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_no_leading_zeros() {
        assert!(is_valid(SymbolType::Int, b"-12"));
        assert!(is_valid(SymbolType::Int, b"0"));
        assert!(!is_valid(SymbolType::Int, b"007"));
        assert!(!is_valid(SymbolType::Int, b""));
        assert!(is_valid(SymbolType::Hex, b"DeadBeef"));
        assert!(!is_valid(SymbolType::Hex, b"0x"));
    }

    #[test]
    fn numbers_are_read_as_c_does() {
        assert_eq!(signed(b"12x", 10), 12);
        assert_eq!(signed(b"0x1F", 16), 31);
        assert_eq!(signed(b"99999999999999999999", 10), i64::MAX);
        assert_eq!(
            comparable(SymbolType::Unknown, b"0x10"),
            Comparable::Signed(16)
        );
        assert_eq!(
            comparable(SymbolType::Unknown, b"010"),
            Comparable::Signed(8)
        );
        assert_eq!(
            comparable(SymbolType::Hex, b"ff"),
            Comparable::Unsigned(255)
        );
        assert_eq!(comparable(SymbolType::Int, b"12 "), Comparable::Text);
        assert_eq!(comparable(SymbolType::Bool, b"m"), Comparable::Signed(1));
    }
}
