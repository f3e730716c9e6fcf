//! Second and third pass: records of directories, and the ways from the root.

use std::collections::HashSet;

use super::{Checker, Problem};
use crate::ext2::directory::file_type;
use crate::ext2::disk_inode::FLAG_INDEX;
use crate::ext2::image::{ImageError, RawRecord, ReadAt, Records};
use crate::ext2::layout::LOST_AND_FOUND;
use crate::ext2::superblock::COMPAT_DIR_INDEX;

/// Number of the root directory.
const ROOT: u32 = 2;

impl<R: ReadAt> Checker<'_, R> {
    /// Checks every record of a directory.
    pub(super) fn check_directory(&mut self, directory: u32) -> Result<(), ImageError> {
        let inode = self.image.inode(directory)?;
        let mut blocks = Vec::new();
        let walked = self
            .image
            .each_block(directory, &inode, &mut |logical, block| {
                blocks.push((logical, block));
                Ok(())
            });
        match walked {
            // The first pass has told of the block.
            Ok(()) | Err(ImageError::BadBlock { .. }) => {}
            Err(error) => return Err(error),
        }
        let mut names: HashSet<Vec<u8>> = HashSet::new();
        let mut position = 0;
        for &(logical, block) in &blocks {
            let bytes = self.image.read_block(block)?;
            let base = logical * u64::from(self.image.block_size());
            for record in Records::new(&bytes) {
                match record {
                    Ok(record) => {
                        self.check_record(directory, position, record, &mut names);
                        position += 1;
                    }
                    Err(offset) => {
                        let offset = base + offset as u64;
                        self.problems.push(Problem::BadRecord { directory, offset });
                    }
                }
            }
        }
        if position < 2 {
            self.problems.push(Problem::BadDotDot { directory });
        }
        let indexed = self.image.superblock().feature_compat & COMPAT_DIR_INDEX != 0;
        if indexed && inode.flags & FLAG_INDEX != 0 {
            self.check_index(directory, &blocks)?;
        }
        if directory == ROOT && !names.contains(LOST_AND_FOUND) {
            self.problems.push(Problem::NoLostAndFound);
        }
        Ok(())
    }

    /// Checks the record at a position: 0 must be `.`, 1 must be `..`.
    fn check_record(
        &mut self,
        directory: u32,
        position: u64,
        record: RawRecord<'_>,
        names: &mut HashSet<Vec<u8>>,
    ) {
        let name = record.name;
        match position {
            0 => {
                if name != b"." || record.inode != directory {
                    self.problems.push(Problem::BadDot { directory });
                    return;
                }
                self.count_name(directory, record);
            }
            1 => {
                if name != b".." || record.inode == 0 {
                    self.problems.push(Problem::BadDotDot { directory });
                    return;
                }
                if let Some(family) = self.directories.get_mut(&directory) {
                    family.dot_dot = Some(record.inode);
                }
                self.count_name(directory, record);
            }
            _ if record.inode == 0 => {}
            _ => {
                let damaged = name.is_empty() || name == b"." || name == b"..";
                if damaged || name.contains(&b'/') || name.contains(&0) {
                    let name = name.to_vec();
                    self.problems.push(Problem::BadName { directory, name });
                    return;
                }
                if !names.insert(name.to_vec()) {
                    let name = name.to_vec();
                    self.problems
                        .push(Problem::DuplicateName { directory, name });
                }
                if self.count_name(directory, record) {
                    self.adopt(directory, record);
                }
            }
        }
    }

    /// Counts a name for its inode; false when the inode cannot have one.
    fn count_name(&mut self, directory: u32, record: RawRecord<'_>) -> bool {
        let inode = record.inode;
        let count = self.image.superblock().inodes_count;
        let reserved = inode < self.image.first_inode() && inode != ROOT;
        let name = || record.name.to_vec();
        if inode == 0 || inode > count || reserved {
            self.problems.push(Problem::BadInodeNumber {
                directory,
                name: name(),
                inode,
            });
            return false;
        }
        let known = &mut self.inodes[inode as usize];
        if known.mode == 0 {
            self.problems.push(Problem::UnusedInode {
                directory,
                name: name(),
                inode,
            });
            return false;
        }
        known.names += 1;
        let wanted = file_type(known.mode & 0o170_000);
        let stored = self.image.file_type(record.file_type);
        let recorded = self.image.records_file_types();
        if recorded && stored != wanted {
            self.problems.push(Problem::FileType {
                directory,
                name: name(),
                stored,
                wanted,
            });
        }
        true
    }

    /// Ties a subdirectory to the directory that names it.
    fn adopt(&mut self, directory: u32, record: RawRecord<'_>) {
        let inode = record.inode;
        let Some(family) = self.directories.get_mut(&inode) else {
            return;
        };
        if family.parent.is_some() || inode == ROOT {
            let name = record.name.to_vec();
            self.problems.push(Problem::DirectoryTwice {
                directory,
                name,
                inode,
            });
        } else {
            family.parent = Some(directory);
        }
    }

    /// Checks that every directory hangs on the root, and that `..` leads to its parent.
    pub(super) fn check_connections(&mut self) {
        if let Some(root) = self.directories.get_mut(&ROOT) {
            root.parent = Some(ROOT);
        }
        let mut connected: HashSet<u32> = [ROOT].into();
        for (&directory, family) in &self.directories {
            if let (Some(parent), Some(dot_dot)) = (family.parent, family.dot_dot)
                && parent != dot_dot
            {
                self.problems.push(Problem::BadDotDot { directory });
            }
            // Upwards to what is known to be connected, or to where the way ends.
            let mut way = Vec::new();
            let mut on_way = HashSet::new();
            let mut at = directory;
            while !connected.contains(&at) && on_way.insert(at) {
                way.push(at);
                match self.directories.get(&at).and_then(|family| family.parent) {
                    Some(parent) => at = parent,
                    None => break,
                }
            }
            if connected.contains(&at) {
                connected.extend(way);
            } else {
                self.problems.push(Problem::Unconnected { directory });
            }
        }
    }
}
