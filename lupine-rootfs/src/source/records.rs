//! What a walk has seen of each file: in memory while the files are few, then in a temporary file,
//! so that a million files of a directory take no more memory than a million files of a layer.

use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;

use tempfile::{SpooledData, SpooledTempFile};

/// Bytes of records that stay in memory: of about 25,000 files.
const IN_MEMORY: usize = 1 << 20;

/// A file as it was in the first pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileRecord<'a> {
    /// Name in its directory, at most 255 bytes.
    pub(super) name: &'a [u8],
    /// Length in bytes.
    pub(super) len: u64,
    /// Time of modification: seconds and nanoseconds.
    pub(super) mtime: (i64, u32),
}

impl<'a> FileRecord<'a> {
    fn encode(&self, to: &mut Vec<u8>) -> io::Result<()> {
        let name = u8::try_from(self.name.len()).map_err(|_| io::ErrorKind::InvalidFilename)?;
        to.extend_from_slice(&self.len.to_le_bytes());
        to.extend_from_slice(&self.mtime.0.to_le_bytes());
        to.extend_from_slice(&self.mtime.1.to_le_bytes());
        to.push(name);
        to.extend_from_slice(self.name);
        Ok(())
    }

    /// The first record of `bytes`, and what is behind it.
    fn decode(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (len, rest) = bytes.split_first_chunk()?;
        let (seconds, rest) = rest.split_first_chunk()?;
        let (nanoseconds, rest) = rest.split_first_chunk()?;
        let (&name, rest) = rest.split_first()?;
        let (name, rest) = rest.split_at_checked(name.into())?;
        let mtime = (
            i64::from_le_bytes(*seconds),
            u32::from_le_bytes(*nanoseconds),
        );
        let len = u64::from_le_bytes(*len);
        Some((Self { name, len, mtime }, rest))
    }
}

/// Takes records in, one after the other.
#[derive(Debug)]
pub(super) struct RecordsBuilder {
    spool: SpooledTempFile,
    /// Records that the spool does not have yet.
    pending: Vec<u8>,
    spooled: u64,
}

/// Records, to be read from any position.
#[derive(Debug)]
pub(super) struct Records {
    data: SpooledData,
    len: u64,
}

/// Some records that follow one another.
#[derive(Debug)]
pub(super) struct Run(Vec<u8>);

impl RecordsBuilder {
    pub(super) fn new() -> Self {
        Self {
            spool: SpooledTempFile::new(IN_MEMORY),
            pending: Vec::new(),
            spooled: 0,
        }
    }

    /// Where the next record will stand.
    pub(super) fn position(&self) -> u64 {
        self.spooled + self.pending.len() as u64
    }

    pub(super) fn push(&mut self, record: &FileRecord<'_>) -> io::Result<()> {
        record.encode(&mut self.pending)?;
        if self.pending.len() >= 32 << 10 {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.spool.write_all(&self.pending)?;
        self.spooled += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<Records> {
        self.flush()?;
        let mut data = self.spool.into_inner();
        if let SpooledData::InMemory(bytes) = &mut data {
            bytes.get_mut().shrink_to_fit();
        }
        let len = self.spooled;
        Ok(Records { data, len })
    }
}

impl Records {
    /// Where the records end.
    pub(super) fn end(&self) -> u64 {
        self.len
    }

    /// The records from one position to another.
    pub(super) fn run(&self, from: u64, to: u64) -> io::Result<Run> {
        let len = to.checked_sub(from).filter(|_| to <= self.len);
        let mut bytes = vec![0; len.ok_or(io::ErrorKind::InvalidInput)? as usize];
        match &self.data {
            SpooledData::OnDisk(file) => file.read_exact_at(&mut bytes, from)?,
            SpooledData::InMemory(all) => {
                bytes.copy_from_slice(&all.get_ref()[from as usize..to as usize]);
            }
        }
        Ok(Run(bytes))
    }
}

impl Run {
    pub(super) fn iter(&self) -> impl Iterator<Item = FileRecord<'_>> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let record;
            (record, rest) = FileRecord::decode(rest)?;
            Some(record)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(number: u32) -> Vec<u8> {
        number.to_string().repeat(number as usize % 20 + 1).into()
    }

    fn record(name: &[u8], number: u32) -> FileRecord<'_> {
        FileRecord {
            name,
            len: u64::from(number) << 20,
            mtime: (-i64::from(number), number),
        }
    }

    /// Both kinds of store give back what they took, from any position.
    #[test]
    fn records_are_kept() {
        for count in [0, 10, 200_000] {
            let mut builder = RecordsBuilder::new();
            let mut positions = Vec::new();
            for number in 0..count {
                positions.push(builder.position());
                builder.push(&record(&names(number), number)).unwrap();
            }
            let records = builder.finish().unwrap();
            positions.push(records.end());
            let on_disk = matches!(records.data, SpooledData::OnDisk(_));
            assert_eq!(on_disk, records.end() > IN_MEMORY as u64);
            for from in (0..count).step_by(1000) {
                let to = count.min(from + 7);
                let run = records.run(positions[from as usize], positions[to as usize]);
                let run = run.unwrap();
                let names: Vec<_> = (from..to).map(names).collect();
                let expected = names.iter().zip(from..);
                let expected = expected.map(|(name, number)| record(name, number));
                assert!(run.iter().eq(expected), "{count} {from}");
            }
        }
    }

    #[test]
    fn bad_records_and_positions_are_errors() {
        let mut builder = RecordsBuilder::new();
        let long = [b'a'; 256];
        assert!(builder.push(&record(&long, 0)).is_err());
        builder.push(&record(&long[..255], 0)).unwrap();
        let records = builder.finish().unwrap();
        assert_eq!(records.end(), 8 + 8 + 4 + 1 + 255);
        assert!(records.run(1, 0).is_err());
        assert!(records.run(0, 1000).is_err());
    }
}
