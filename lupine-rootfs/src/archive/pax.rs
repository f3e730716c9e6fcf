//! PAX extended headers: records of `LENGTH KEY=VALUE\n`.
//!
//! Records are taken by their length, because values are bytes: an extended attribute may hold
//! line feeds and zeros.

use crate::Xattrs;
use crate::archive::number;
use crate::content::Extent;

/// What the records of one extended header say of the member behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pax {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) uid: Option<u64>,
    pub(crate) gid: Option<u64>,
    pub(crate) mtime: Option<i64>,
    pub(crate) xattrs: Xattrs,
    pub(crate) sparse: SparseRecords,
}

/// The `GNU.sparse.*` records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SparseRecords {
    pub(crate) major: Option<u64>,
    pub(crate) minor: Option<u64>,
    /// The name of the file; the `path` is then one made up for tools that do not know of it.
    pub(crate) name: Option<Vec<u8>>,
    /// Length of the file, in formats 0.0 and 0.1.
    pub(crate) size: Option<u64>,
    /// Length of the file, in format 1.0.
    pub(crate) real_size: Option<u64>,
    /// The map of formats 0.0 and 0.1.
    pub(crate) map: Vec<Extent>,
    /// An offset whose length has not come yet (format 0.0).
    offset: Option<u64>,
}

impl SparseRecords {
    pub(crate) fn is_sparse(&self) -> bool {
        self.size.is_some() || self.real_size.is_some() || self.major.is_some()
    }
}

impl Pax {
    /// Reads records on top of what is known; a later record replaces an earlier one. The error
    /// says what is wrong.
    pub(crate) fn read(&mut self, mut text: &[u8]) -> Result<(), &'static str> {
        while !text.is_empty() {
            let space = text
                .iter()
                .take(20)
                .position(|&byte| byte == b' ')
                .ok_or("a record does not start with its length")?;
            let len = number::decimal(&text[..space])
                .and_then(|len| usize::try_from(len).ok())
                .ok_or("the length of a record is no number")?;
            // At least a key of one byte, the `=` and the line feed.
            if len < space + 4 || len > text.len() {
                return Err("the length of a record does not fit");
            }
            let (record, rest) = text.split_at(len);
            let record = record[space + 1..]
                .strip_suffix(b"\n")
                .ok_or("a record does not end with a line feed")?;
            let equals = record
                .iter()
                .position(|&byte| byte == b'=')
                .ok_or("a record has no `=`")?;
            self.record(&record[..equals], &record[equals + 1..])?;
            text = rest;
        }
        Ok(())
    }

    /// What of a global header holds for every member behind it. Names, sizes and maps belong to
    /// one file; a global one could only make readers disagree.
    pub(crate) fn globals(self) -> Self {
        Self {
            uid: self.uid,
            gid: self.gid,
            mtime: self.mtime,
            ..Self::default()
        }
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        // POSIX: an empty value takes back what an earlier header said.
        fn number(value: &[u8]) -> Result<Option<u64>, &'static str> {
            if value.is_empty() {
                return Ok(None);
            }
            number::decimal(value)
                .map(Some)
                .ok_or("a value that must be a number is none")
        }
        let bytes = || (!value.is_empty()).then(|| value.to_vec());
        match key {
            b"path" => self.path = bytes(),
            b"linkpath" => self.link = bytes(),
            b"size" => self.size = number(value)?,
            b"uid" => self.uid = number(value)?,
            b"gid" => self.gid = number(value)?,
            b"mtime" => {
                self.mtime = match value {
                    [] => None,
                    _ => Some(number::seconds(value).ok_or("the mtime is no time")?),
                }
            }
            b"GNU.sparse.major" => self.sparse.major = number(value)?,
            b"GNU.sparse.minor" => self.sparse.minor = number(value)?,
            b"GNU.sparse.name" => self.sparse.name = bytes(),
            b"GNU.sparse.size" => self.sparse.size = number(value)?,
            b"GNU.sparse.realsize" => self.sparse.real_size = number(value)?,
            b"GNU.sparse.offset" => self.sparse.offset = number(value)?,
            b"GNU.sparse.numbytes" => {
                let offset = self.sparse.offset.take();
                let (Some(offset), Some(len)) = (offset, number(value)?) else {
                    return Err("a sparse length comes without its offset");
                };
                self.sparse.map.push(Extent { offset, len });
            }
            b"GNU.sparse.map" => self.sparse.map = comma_map(value)?,
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattr(name.to_vec(), value.to_vec());
                } else if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
                    let value = base64(value).ok_or("an extended attribute is not base 64")?;
                    self.xattr(percent(name), value);
                }
            }
        }
        Ok(())
    }

    fn xattr(&mut self, name: Vec<u8>, value: Vec<u8>) {
        if !name.is_empty() {
            self.xattrs.insert(name, value);
        }
    }
}

/// `offset,length,offset,length,...`
fn comma_map(text: &[u8]) -> Result<Vec<Extent>, &'static str> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut numbers = text.split(|&byte| byte == b',').map(number::decimal);
    let mut map = Vec::new();
    while let Some(offset) = numbers.next() {
        let (Some(offset), Some(Some(len))) = (offset, numbers.next()) else {
            return Err("the sparse map is no list of pairs of numbers");
        };
        map.push(Extent { offset, len });
    }
    Ok(map)
}

/// Base 64 without line breaks, padded or not.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let unpadded = match text {
        [start @ .., b'=', b'='] | [start @ .., b'='] => start,
        _ => text,
    };
    if unpadded.len() % 4 == 1 {
        return None;
    }
    let mut out = Vec::with_capacity(unpadded.len() / 4 * 3 + 2);
    let (mut bits, mut count) = (0_u32, 0);
    for &byte in unpadded {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    Some(out)
}

/// Undoes `%HH`; other uses of `%` stay.
fn percent(text: &[u8]) -> Vec<u8> {
    let nibble = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if let (b'%', [high, low, after @ ..]) = (byte, tail)
            && let (Some(high), Some(low)) = (nibble(*high), nibble(*low))
        {
            out.push(high << 4 | low);
            rest = after;
            continue;
        }
        out.push(byte);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: &[u8]) -> Vec<u8> {
        let body = [key.as_bytes(), b"=", value, b"\n"].concat();
        let mut len = body.len() + 2;
        while format!("{len} ").len() + body.len() != len {
            len += 1;
        }
        [format!("{len} ").into_bytes(), body].concat()
    }

    #[test]
    fn values_may_hold_any_bytes() {
        let text = [
            record("SCHILY.xattr.security.capability", b"\x01\0\n=9 x\n"),
            record("LIBARCHIVE.xattr.user.caf%C3%A9%zz", b"AP8KZg=="),
            record("path", b"a\nb"),
            record("mtime", b"-62135596800.25"),
        ]
        .concat();
        let mut pax = Pax::default();
        pax.read(&text).unwrap();
        assert_eq!(pax.path.unwrap(), b"a\nb");
        assert_eq!(pax.mtime, Some(-62_135_596_801));
        let xattrs: Vec<_> = pax.xattrs.into_iter().collect();
        assert_eq!(
            xattrs,
            [
                (b"security.capability".to_vec(), b"\x01\0\n=9 x\n".to_vec()),
                ("user.café%zz".as_bytes().to_vec(), b"\0\xff\nf".to_vec()),
            ]
        );
    }

    #[test]
    fn an_empty_value_takes_back_and_a_later_one_replaces() {
        let mut pax = Pax::default();
        let text = [
            record("path", b"one"),
            record("path", b"two"),
            record("uid", b"5"),
            record("uid", b""),
        ];
        pax.read(&text.concat()).unwrap();
        assert_eq!((pax.path.unwrap(), pax.uid), (b"two".to_vec(), None));
    }

    #[test]
    fn malformed_records_are_refused() {
        for text in [
            "x",
            "11 path=a\n",
            "6 a=\n",
            "3 =\n",
            "0 path=a\n",
            "18446744073709551616 path=a\n",
            "11 path=abc",
            "9 pathab\n",
            "12 uid=five\n",
            "25 GNU.sparse.numbytes=5\n",
            "24 GNU.sparse.map=1,2,3\n",
            "29 LIBARCHIVE.xattr.user.a=?\n",
        ] {
            assert!(Pax::default().read(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn base64_of_every_length() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("Zg==", b"f"),
            ("Zg", b"f"),
            ("Zm8=", b"fo"),
            ("Zm9v", b"foo"),
            ("/+8=", b"\xff\xef"),
        ] {
            assert_eq!(base64(text.as_bytes()).unwrap(), bytes, "{text}");
        }
        for text in ["Z", "Zg=a", "Z g=", "===="] {
            assert_eq!(base64(text.as_bytes()), None, "{text}");
        }
    }
}
