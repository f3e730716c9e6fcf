//! Numbers in tar headers: octal text, or base 256 where the first byte says so.

/// Reads a numeric header field. Octal digits may be surrounded by spaces and zero bytes; an empty
/// field is 0. With the top bit of the first byte set the field is a two's complement big-endian
/// number (GNU). `None` where it is neither, or does not fit 64 bits.
pub(crate) fn header(field: &[u8]) -> Option<i64> {
    let (&first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        let negative = first & 0x40 != 0;
        // Sign extended from the seven bits of the first byte.
        let mut value = i128::from(first & 0x7f) - if negative { 0x80 } else { 0 };
        for &byte in rest {
            value = value.checked_mul(256)?.checked_add(i128::from(byte))?;
        }
        return i64::try_from(value).ok();
    }
    let text = field.trim_ascii_start();
    let end = text
        .iter()
        .position(|byte| matches!(byte, 0 | b' '))
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if !rest.iter().all(|byte| matches!(byte, 0 | b' ')) {
        return None;
    }
    digits.iter().try_fold(0_i64, |value, &digit| {
        matches!(digit, b'0'..=b'7').then_some(())?;
        value.checked_mul(8)?.checked_add(i64::from(digit - b'0'))
    })
}

/// Reads an unsigned decimal number; nothing else may stand there.
pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |value, &digit| {
        digit.is_ascii_digit().then_some(())?;
        value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

/// Reads a time as PAX writes it, seconds with an optional sign and fraction, rounded down to
/// whole seconds.
pub(crate) fn seconds(text: &[u8]) -> Option<i64> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let dot = text.iter().position(|&byte| byte == b'.');
    let (whole, fraction) = match dot {
        Some(dot) => (&text[..dot], &text[dot + 1..]),
        None => (text, &[][..]),
    };
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let whole = i64::try_from(decimal(whole)?).ok()?;
    let beyond = negative && fraction.iter().any(|&digit| digit != b'0');
    Some(if negative { -whole } else { whole } - i64::from(beyond))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_fields() {
        for (field, value) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"77777777", Some(0o77_777_777)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"00008\0", None),
            (b"12\x003\0", None),
            (b"-1\0", None),
            (b"\x80\0\0\0\0\0\0\0\0\0\x01\0", Some(256)),
            (
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
                Some(-1),
            ),
            (b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"", None),
        ] {
            assert_eq!(header(field), value, "{}", field.escape_ascii());
        }
    }

    #[test]
    fn times_round_down() {
        for (text, value) in [
            ("0", Some(0)),
            ("4102444800.999999999", Some(4_102_444_800)),
            ("-1.5", Some(-2)),
            ("-1.000", Some(-1)),
            ("-0.5", Some(-1)),
            ("", None),
            ("1e9", None),
            ("1.2.3", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(seconds(text.as_bytes()), value, "{text}");
        }
    }
}
