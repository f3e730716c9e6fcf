//! Writes a file tree as an ext2 image.
//!
//! Metadata goes first, from the [`Layout`] alone; then the sources deliver file contents, each
//! piece to its final place. An image on a path is written beside it under another name and takes
//! its name only when it is complete.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::iter::Peekable;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Mutex;

use super::block_map::FileMap;
use super::directory::write_linear;
use super::disk_inode::{self, DiskInode, FLAG_INDEX, encode_device, encode_time};
use super::error::{Diagnostics, WriteError};
use super::geometry::FIRST_INODE;
use super::group::{self, GroupDescriptor};
use super::htree;
use super::joined::Joined;
use super::layout::{FAST_SYMLINK, Layout, ROOT};
use super::options::{BlockSize, Options};
use super::output::{Output, Seeking};
use super::sink::ImageSink;
use super::superblock::{self, Superblock};
use super::xattr;
use crate::content::ContentSink;
use crate::inode::{Inode, Kind};
use crate::progress::{Progress, Stage};
use crate::tree::{FileTree, InodeId};

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Size of the image in bytes.
    pub size: u64,
    /// Block size.
    pub block_size: BlockSize,
    /// Blocks of the file system.
    pub blocks: u64,
    /// Of them free.
    pub free_blocks: u64,
    /// Inodes of the file system.
    pub inodes: u32,
    /// Of them free.
    pub free_inodes: u32,
    /// What could not be stored as it is.
    pub diagnostics: Diagnostics,
}

/// Writes `tree` to a new image at `path`, replacing what is there only when all is written.
///
/// # Errors
/// [`WriteError`]; then what was at `path` is still there, and nothing else.
pub fn write_image(
    tree: &FileTree,
    options: &Options,
    path: &Path,
    progress: &mut dyn Progress,
) -> Result<Report, WriteError> {
    let failed = |action| {
        move |source| WriteError::Io {
            action,
            path: path.to_path_buf(),
            source,
        }
    };
    let layout = plan(tree, options, progress)?;
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // The mode is subject to the umask, as that of any new file.
    let new = tempfile::Builder::new()
        .prefix(".lupine-")
        .suffix(".ext2")
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(directory)
        .map_err(failed("create"))?;
    let file = new.as_file();
    file.set_len(layout.places.geometry.blocks * layout.places.geometry.block_bytes())
        .map_err(failed("size"))?;
    let report = write_layout(layout, options, file, progress).map_err(|error| match error {
        WriteError::Output(source) => failed("write")(source),
        other => other,
    })?;
    if options.sync {
        progress.start(Stage::Sync, 0);
        file.sync_all().map_err(failed("synchronise"))?;
    }
    if progress.cancelled() {
        return Err(WriteError::Cancelled);
    }
    new.persist(path)
        .map_err(|error| failed("rename the image to")(error.error))?;
    if options.sync {
        // The new name, too, must survive a crash.
        let opened = File::open(directory).and_then(|directory| directory.sync_all());
        opened.map_err(failed("synchronise the directory of"))?;
    }
    Ok(report)
}

/// Writes `tree` as an image to something that seeks and is empty, from its start.
///
/// # Errors
/// [`WriteError`]; what was written until then remains.
pub fn write_seek<W: Write + Seek + Send>(
    tree: &FileTree,
    options: &Options,
    writer: W,
    progress: &mut dyn Progress,
) -> Result<Report, WriteError> {
    let layout = plan(tree, options, progress)?;
    let end = layout.places.geometry.blocks * layout.places.geometry.block_bytes();
    let output = Seeking(Mutex::new(writer));
    // The end first: free blocks there are never written.
    output.write_at(end - 1, &[0]).map_err(WriteError::Output)?;
    let report = write_layout(layout, options, &output, progress)?;
    let mut writer = output
        .0
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    writer.flush().map_err(WriteError::Output)?;
    Ok(report)
}

/// Writes `tree` as an image to something that only writes, by way of an unnamed file in the
/// directory `scratch`.
///
/// ```
/// use lupine_rootfs::{FileTree, ext2};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let options = ext2::Options { size: ext2::Size::Exact(1 << 20), ..ext2::Options::default() };
/// let mut pipe = Vec::new();
/// ext2::write_stream(&FileTree::new(), &options, &mut pipe, &std::env::temp_dir(), &mut ())?;
/// assert_eq!(pipe.len(), 1 << 20);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`WriteError`]; what was written until then remains.
pub fn write_stream<W: Write>(
    tree: &FileTree,
    options: &Options,
    writer: &mut W,
    scratch: &Path,
    progress: &mut dyn Progress,
) -> Result<Report, WriteError> {
    let layout = plan(tree, options, progress)?;
    let size = layout.places.geometry.blocks * layout.places.geometry.block_bytes();
    let mut file = tempfile::tempfile_in(scratch).map_err(WriteError::Output)?;
    file.set_len(size).map_err(WriteError::Output)?;
    let report = write_layout(layout, options, &file, progress)?;
    file.rewind().map_err(WriteError::Output)?;
    io::copy(&mut Read::by_ref(&mut file).take(size), writer).map_err(WriteError::Output)?;
    writer.flush().map_err(WriteError::Output)?;
    Ok(report)
}

fn plan<'t>(
    tree: &'t FileTree,
    options: &Options,
    progress: &mut dyn Progress,
) -> Result<Layout<'t>, WriteError> {
    progress.start(Stage::Layout, tree.len() as u64);
    let layout = Layout::new(tree, options)?;
    progress.advance(tree.len() as u64);
    if progress.cancelled() {
        Err(WriteError::Cancelled)
    } else {
        Ok(layout)
    }
}

/// Writes metadata and contents.
fn write_layout(
    layout: Layout<'_>,
    options: &Options,
    output: &dyn Output,
    progress: &mut dyn Progress,
) -> Result<Report, WriteError> {
    reserve(&layout, output).map_err(WriteError::Output)?;
    let joined = Joined::new(output, layout.places.geometry.block_bytes());
    let metadata = MetadataWriter {
        layout: &layout,
        options,
        output: &joined,
    };
    let (free_blocks, free_inodes) = metadata.write(progress)?;

    // What only the metadata needs goes before memory is needed for what is wanted of sources.
    let Layout {
        places,
        numbering,
        diagnostics,
        ..
    } = layout;
    let tree = places.tree;
    let files = numbering.files(tree).filter_map(|(_, file)| file);
    let contents = files.filter_map(|id| tree.content(id));
    progress.start(
        Stage::Data,
        contents.map(|content| content.data_len()).sum(),
    );
    let sink = ImageSink::new(&places, &joined, progress);
    drop(numbering);
    let delivered = tree.deliver(tree.by_directory(), &sink);
    if sink.cancelled() {
        return Err(WriteError::Cancelled);
    }
    delivered?;
    sink.check_complete()?;
    joined.flush().map_err(WriteError::Output)?;
    let geometry = &places.geometry;
    Ok(Report {
        size: geometry.blocks * geometry.block_bytes(),
        block_size: geometry.block_size,
        blocks: geometry.blocks,
        free_blocks,
        inodes: geometry.inodes(),
        free_inodes,
        diagnostics,
    })
}

/// Reserves the blocks of the files: all of them will be written.
fn reserve(layout: &Layout<'_>, output: &dyn Output) -> io::Result<()> {
    let (mut place, block) = (0, layout.places.shape.block);
    while place < layout.used {
        let (first, row) = layout.places.geometry.block_at(place);
        let row = row.min(layout.used - place);
        output.reserve(first * block, row * block)?;
        place += row;
    }
    Ok(())
}

/// Bytes of an inode table that are written at a time, as far as it is as long.
const TABLE: usize = 256 * 1024;

/// Writes everything but file contents.
struct MetadataWriter<'a> {
    layout: &'a Layout<'a>,
    options: &'a Options,
    output: &'a Joined<'a>,
}

impl MetadataWriter<'_> {
    /// Returns the numbers of free blocks and inodes.
    fn write(&self, progress: &mut dyn Progress) -> Result<(u64, u32), WriteError> {
        let geometry = &self.layout.places.geometry;
        progress.start(Stage::Metadata, u64::from(geometry.groups));
        let mut descriptors = Vec::with_capacity(geometry.groups as usize);
        let mut files = self
            .layout
            .numbering
            .files(self.layout.places.tree)
            .peekable();
        for number in 0..geometry.groups {
            if progress.cancelled() {
                return Err(WriteError::Cancelled);
            }
            descriptors.push(self.write_group(number, &mut files)?);
            progress.advance(1);
        }
        for block in &self.layout.xattr_blocks {
            let bytes = xattr::encode(&block.xattrs, block.references, self.layout.places.block());
            self.write_place(block.place, &bytes)?;
        }
        let free_blocks = descriptors
            .iter()
            .map(|d| u64::from(d.free_blocks_count))
            .sum();
        let free_inodes = descriptors
            .iter()
            .map(|d| u32::from(d.free_inodes_count))
            .sum();
        self.write_heads(&descriptors, free_blocks as u32, free_inodes)?;
        Ok((free_blocks, free_inodes))
    }

    /// Writes bitmaps, inodes, and the blocks the inodes of a group lead to, contents left out.
    /// `files` are those from the first of the group on.
    fn write_group(
        &self,
        number: u32,
        files: &mut Peekable<impl Iterator<Item = (u32, Option<InodeId>)>>,
    ) -> Result<GroupDescriptor, WriteError> {
        let geometry = &self.layout.places.geometry;
        let start = geometry.group_start(number) + geometry.head_blocks(number);
        let block = self.layout.places.block();
        let per_group = geometry.inodes_per_group;
        let first_inode = number * per_group + 1;
        let next_inode = self.layout.numbering.bound();
        let used_inodes = next_inode.saturating_sub(first_inode).min(per_group);

        let mut directories = 0;
        let mut table = Vec::new();
        for index in 0..used_inodes {
            let inode = match files.next_if(|&(number, _)| number == first_inode + index) {
                Some((number, Some(id))) => self.file(number, id)?,
                Some((_, None)) => self.lost_and_found()?,
                // A reserved one: zeros.
                None => DiskInode::default(),
            };
            directories += u16::from(inode.mode & 0o170_000 == 0o040_000);
            table.extend_from_slice(&inode.encode());
            if table.len() == TABLE || index + 1 == used_inodes {
                let end = (u64::from(index) + 1) * disk_inode::SIZE as u64;
                let offset = (start + 2) * block as u64 + end - table.len() as u64;
                let written = self.output.write(offset, &table, false);
                written.map_err(WriteError::Output)?;
                table.clear();
            }
        }

        let len = geometry.group_len(number);
        let places = geometry.used_places(number, self.layout.used);
        let used_blocks = geometry.overhead(number) + places;
        let mut bitmap = vec![0; block];
        set_bits(&mut bitmap, 0..used_blocks);
        set_bits(&mut bitmap, len..geometry.blocks_per_group);
        self.write_block(start, &bitmap)?;
        bitmap.fill(0);
        set_bits(&mut bitmap, 0..u64::from(used_inodes));
        set_bits(&mut bitmap, u64::from(per_group)..block as u64 * 8);
        self.write_block(start + 1, &bitmap)?;

        Ok(GroupDescriptor {
            block_bitmap: start as u32,
            inode_bitmap: start as u32 + 1,
            inode_table: start as u32 + 2,
            free_blocks_count: (len - used_blocks) as u16,
            free_inodes_count: (per_group - used_inodes) as u16,
            used_dirs_count: directories,
        })
    }

    /// Superblock and descriptors, and their copies.
    fn write_heads(
        &self,
        descriptors: &[GroupDescriptor],
        free_blocks: u32,
        free_inodes: u32,
    ) -> Result<(), WriteError> {
        let geometry = &self.layout.places.geometry;
        let block = self.layout.places.block();
        let mut table: Vec<u8> = descriptors
            .iter()
            .flat_map(GroupDescriptor::encode)
            .collect();
        table.resize(geometry.descriptor_blocks() as usize * block, 0);
        let mut superblock = self.superblock(free_blocks, free_inodes);
        for number in (0..geometry.groups).filter(|&number| group::has_superblock(number)) {
            superblock.block_group_nr = number as u16;
            let start = geometry.group_start(number);
            let inside = if number == 0 {
                superblock::OFFSET % block as u64
            } else {
                0
            };
            self.output
                .write(start * block as u64 + inside, &superblock.encode(), false)
                .map_err(WriteError::Output)?;
            self.write_block(start + 1, &table)?;
        }
        Ok(())
    }

    fn superblock(&self, free_blocks: u32, free_inodes: u32) -> Superblock {
        let geometry = &self.layout.places.geometry;
        let time = encode_time(self.options.time).0;
        let mut volume_name = [0; 16];
        volume_name[..self.options.label.len()].copy_from_slice(&self.options.label);
        Superblock {
            inodes_count: geometry.inodes(),
            blocks_count: geometry.blocks as u32,
            r_blocks_count: 0,
            free_blocks_count: free_blocks,
            free_inodes_count: free_inodes,
            first_data_block: geometry.first_block as u32,
            log_block_size: geometry.block_size.log(),
            log_cluster_size: geometry.block_size.log(),
            blocks_per_group: geometry.blocks_per_group as u32,
            clusters_per_group: geometry.blocks_per_group as u32,
            inodes_per_group: geometry.inodes_per_group,
            mtime: 0,
            wtime: time,
            mnt_count: 0,
            // Checks by number of mounts or by age are off.
            max_mnt_count: u16::MAX,
            magic: superblock::MAGIC,
            // Cleanly unmounted; on errors, continue.
            state: 1,
            errors: 1,
            minor_rev_level: 0,
            lastcheck: time,
            checkinterval: 0,
            creator_os: 0,
            rev_level: 1,
            def_resuid: 0,
            def_resgid: 0,
            first_ino: FIRST_INODE,
            inode_size: disk_inode::SIZE as u16,
            block_group_nr: 0,
            feature_compat: superblock::COMPAT_EXT_ATTR | superblock::COMPAT_DIR_INDEX,
            feature_incompat: superblock::INCOMPAT_FILETYPE,
            feature_ro_compat: superblock::RO_COMPAT_SPARSE_SUPER
                | superblock::RO_COMPAT_LARGE_FILE,
            uuid: self.options.uuid,
            volume_name,
            reserved_gdt_blocks: 0,
            hash_seed: self.layout.hash_seed(),
            def_hash_version: htree::HALF_MD4,
            mkfs_time: time,
            flags: superblock::FLAG_SIGNED_HASH,
        }
    }

    /// The inode of a `lost+found` that the tree has not, its block written.
    fn lost_and_found(&self) -> Result<DiskInode, WriteError> {
        let block = self.layout.places.block();
        let place = self.layout.lost_and_found.unwrap_or_default();
        let none = std::iter::empty();
        write_linear(block, FIRST_INODE, ROOT, none, |_, bytes| {
            self.write_place(place, bytes)
        })?;
        let (time, _) = encode_time(self.options.time);
        let mut pointers = [0; 15];
        pointers[0] = self.layout.places.geometry.block_at(place).0 as u32;
        Ok(DiskInode {
            mode: 0o040_700,
            size: block as u64,
            atime: time,
            ctime: time,
            mtime: time,
            links_count: 2,
            blocks: block as u32 / 512,
            block: pointers,
            ..DiskInode::default()
        })
    }

    /// The inode of a file, its directory blocks, long link target and index blocks written.
    fn file(&self, number: u32, id: InodeId) -> Result<DiskInode, WriteError> {
        let inode = self.layout.places.tree.inode(id);
        let (time, _) = encode_time(inode.metadata.mtime);
        let mut disk = DiskInode {
            mode: inode.st_mode(),
            uid: inode.metadata.uid,
            gid: inode.metadata.gid,
            atime: time,
            ctime: time,
            mtime: time,
            links_count: self.layout.places.tree.link_count(id) as u16,
            ..DiskInode::default()
        };
        let mut blocks = 0;
        if let Some(place) = self.layout.xattr_place(id) {
            disk.file_acl = self.layout.places.geometry.block_at(place).0 as u32;
            blocks += 1;
        }
        blocks += self.body(number, id, &inode, &mut disk)?;
        disk.blocks = (blocks * self.layout.places.shape.block / 512) as u32;
        Ok(disk)
    }

    /// Sets size and pointers of an inode, and writes what they lead to. Returns its blocks.
    fn body(
        &self,
        number: u32,
        id: InodeId,
        inode: &Inode,
        disk: &mut DiskInode,
    ) -> Result<u64, WriteError> {
        let layout = self.layout;
        let start = layout.places.start(id);
        match &inode.kind {
            Kind::Regular(content) => {
                disk.size = content.len();
                layout.places.with_content_map(id, content, |map| {
                    disk.block = self.pointers(map, start)?;
                    Ok(map.total())
                })
            }
            Kind::Directory => {
                let map = FileMap::dense(layout.places.shape, layout.directory_blocks(id));
                disk.size = layout.directory_blocks(id) * layout.places.shape.block;
                disk.block = self.pointers(&map, start)?;
                self.directory(number, id, &map, disk)?;
                Ok(map.total())
            }
            Kind::Symlink(target) => {
                disk.size = target.len() as u64;
                if target.len() <= FAST_SYMLINK {
                    disk.set_block_bytes(target);
                    return Ok(0);
                }
                disk.block[0] = layout.places.geometry.block_at(start).0 as u32;
                let mut bytes = target.to_vec();
                bytes.resize(layout.places.block(), 0);
                self.write_place(start, &bytes)?;
                Ok(1)
            }
            &Kind::CharDevice { major, minor } | &Kind::BlockDevice { major, minor } => {
                let encoded = encode_device(major, minor).unwrap_or_default();
                disk.block[..2].copy_from_slice(&encoded);
                Ok(0)
            }
            Kind::Fifo | Kind::Socket => Ok(0),
        }
    }

    fn directory(
        &self,
        number: u32,
        id: InodeId,
        map: &FileMap,
        disk: &mut DiskInode,
    ) -> Result<(), WriteError> {
        let layout = self.layout;
        let start = layout.places.start(id);
        let parent = layout.number(layout.places.tree.parent(id));
        let write = |logical: u64, bytes: &[u8]| {
            // A map without holes holds every block that is asked for.
            let position = map.locate(logical).map_or(0, |(position, _)| position);
            self.write_place(start + position, bytes)
        };
        let subdirectories = layout
            .records(id)
            .filter(|r| r.file_type == super::directory::TYPE_DIRECTORY);
        disk.links_count = 2 + subdirectories.count() as u16;
        match layout.indexed.get(&id) {
            Some(&shape) => {
                disk.flags |= FLAG_INDEX;
                let sorted = layout.sorted_records(id);
                htree::write_indexed(
                    layout.places.block(),
                    (number, parent),
                    shape,
                    sorted,
                    write,
                )
            }
            None => write_linear(
                layout.places.block(),
                number,
                parent,
                layout.records(id),
                write,
            ),
        }
    }

    /// The pointers of a map, its index blocks written.
    fn pointers(&self, map: &FileMap, start: u64) -> Result<[u32; 15], WriteError> {
        let geometry = &self.layout.places.geometry;
        map.build(
            |position| geometry.block_at(start + position).0 as u32,
            |position, bytes| self.write_place(start + position, bytes),
        )
    }

    /// Writes one block at a place of the data row.
    fn write_place(&self, place: u64, bytes: &[u8]) -> Result<(), WriteError> {
        let offset = self.layout.places.geometry.block_at(place).0 * self.layout.places.shape.block;
        self.output
            .write_between(offset, bytes)
            .map_err(WriteError::Output)
    }

    /// Writes from the start of a block.
    fn write_block(&self, block: u64, bytes: &[u8]) -> Result<(), WriteError> {
        let offset = block * self.layout.places.shape.block;
        self.output
            .write(offset, bytes, false)
            .map_err(WriteError::Output)
    }
}

/// Sets a range of bits, lowest bit of each byte first.
fn set_bits(bitmap: &mut [u8], range: std::ops::Range<u64>) {
    for bit in range {
        bitmap[(bit / 8) as usize] |= 1 << (bit % 8);
    }
}
