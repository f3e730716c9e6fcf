//! `lupine rootfs ...` as typed.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use lupine_rootfs::ext2::BlockSize;
use lupine_rootfs::{Format, Platform};

/// Root file systems.
#[derive(Debug, Subcommand)]
pub enum Rootfs {
    /// Make an ext2 image of a container image, an archive or a directory, without root
    Build(Box<RootfsBuild>),
    /// List what an ext2 image holds
    List(RootfsList),
    /// Write files of an ext2 image to standard output
    Cat(RootfsCat),
    /// Copy what an ext2 image holds into a new directory
    Extract(RootfsExtract),
    /// Find what is wrong with an ext2 image; exit status 1 where something is
    Check(RootfsImage),
}

/// Arguments of `lupine rootfs build`.
#[derive(Debug, Args)]
pub struct RootfsBuild {
    /// OCI layout (directory or archive), docker archive, tar (plain, gzip, zstd, xz) or directory
    pub source: PathBuf,
    /// The image to make or replace; `-` for standard output
    #[arg(long, short, value_name = "IMAGE")]
    pub output: PathBuf,
    /// Size of the image in bytes, or with K, M, G, T; otherwise as small as the files allow
    #[arg(long, value_parser = parse_bytes, conflicts_with = "free")]
    pub size: Option<u64>,
    /// Space left free in bytes, or with K, M, G, T (it takes no space of this disk)
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, default_value = "32M")]
    pub free: u64,
    /// 1K, 2K or 4K; otherwise chosen for the files
    #[arg(long, value_name = "SIZE", value_parser = parse_block_size)]
    pub block_size: Option<BlockSize>,
    /// Inodes left free; otherwise one per 16 KiB of free space
    #[arg(long, value_name = "COUNT")]
    pub free_inodes: Option<u32>,
    /// Volume label, at most 16 bytes
    #[arg(long, value_parser = parse_label, default_value = "")]
    pub label: String,
    /// UUID of the file system; otherwise a fixed one, so that equal files give equal bytes
    #[arg(long, value_parser = parse_uuid)]
    pub uuid: Option<Uuid>,
    /// Time of creation, in seconds since 1970
    #[arg(
        long,
        value_name = "SECONDS",
        allow_negative_numbers = true,
        default_value_t = 0
    )]
    pub time: i64,
    /// Put an archive or directory on top; its whiteouts hide what is below. Repeatable
    #[arg(long, value_name = "PATH")]
    pub overlay: Vec<PathBuf>,
    /// Keep device nodes
    #[arg(long)]
    pub devices: bool,
    /// Owner of all files that come from directories
    #[arg(long, value_name = "UID:GID", value_parser = parse_owner)]
    pub owner: Option<(u32, u32)>,
    /// What SOURCE is; otherwise found out
    #[arg(long, value_enum)]
    pub format: Option<FormatArg>,
    /// Which image of several: a tag, a full name or a digest
    #[arg(long, value_name = "NAME")]
    pub reference: Option<String>,
    /// Which platform of several
    #[arg(long, value_name = "OS/ARCH", default_value_t)]
    pub platform: Platform,
}

/// An ext2 image.
#[derive(Debug, Args)]
pub struct RootfsImage {
    /// An ext2 image or device, made by anyone
    pub image: PathBuf,
}

/// Arguments of `lupine rootfs list`.
#[derive(Debug, Args)]
pub struct RootfsList {
    /// The image.
    #[command(flatten)]
    pub image: RootfsImage,
    /// Only this file, or this directory and what is below
    pub path: Option<String>,
}

/// Arguments of `lupine rootfs cat`.
#[derive(Debug, Args)]
pub struct RootfsCat {
    /// The image.
    #[command(flatten)]
    pub image: RootfsImage,
    /// Files of the image; symbolic links are followed inside it
    #[arg(required = true)]
    pub paths: Vec<String>,
}

/// Arguments of `lupine rootfs extract`.
#[derive(Debug, Args)]
pub struct RootfsExtract {
    /// The image.
    #[command(flatten)]
    pub image: RootfsImage,
    /// A directory that is empty or does not exist
    pub directory: PathBuf,
    /// Set owners and groups (needs privileges)
    #[arg(long)]
    pub owners: bool,
    /// Make device nodes (needs privileges)
    #[arg(long)]
    pub devices: bool,
    /// Set extended attributes (some need privileges)
    #[arg(long)]
    pub xattrs: bool,
}

/// A format as typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum FormatArg {
    /// OCI image layout, a directory or an archive of one
    Oci,
    /// What `docker save` writes
    Docker,
    /// A tar archive of a file system
    Tar,
    /// A directory that is the file system
    Directory,
}

impl From<FormatArg> for Format {
    fn from(arg: FormatArg) -> Format {
        match arg {
            FormatArg::Oci => Format::Oci,
            FormatArg::Docker => Format::Docker,
            FormatArg::Tar => Format::Tar,
            FormatArg::Directory => Format::Directory,
        }
    }
}

/// The 16 bytes of a UUID, in the order of its text form.
pub type Uuid = [u8; 16];

fn parse_bytes(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.char_indices().last() {
        Some((end, 'k' | 'K')) => (&text[..end], 10),
        Some((end, 'm' | 'M')) => (&text[..end], 20),
        Some((end, 'g' | 'G')) => (&text[..end], 30),
        Some((end, 't' | 'T')) => (&text[..end], 40),
        _ => (text, 0),
    };
    let only_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse::<u64>().ok().filter(|_| only_digits);
    number
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| format!("{text:?} is no size: write bytes, or 64K, 64M, 64G, 64T"))
}

fn parse_block_size(text: &str) -> Result<BlockSize, String> {
    BlockSize::try_from(parse_bytes(text)?).map_err(|error| error.to_string())
}

fn parse_label(text: &str) -> Result<String, String> {
    if text.len() > 16 {
        return Err(format!("it has {} bytes, 16 is the most", text.len()));
    }
    Ok(text.to_owned())
}

fn parse_uuid(text: &str) -> Result<Uuid, String> {
    let uuid = uuid::Uuid::try_parse(text);
    uuid.map(uuid::Uuid::into_bytes)
        .map_err(|error| error.to_string())
}

fn parse_owner(text: &str) -> Result<(u32, u32), String> {
    let parts = text.split_once(':');
    parts
        .and_then(|(user, group)| Some((user.parse().ok()?, group.parse().ok()?)))
        .ok_or_else(|| "write two numbers, such as 0:0".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_suffixes() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("4k", Some(4096)),
            ("3G", Some(3 << 30)),
            ("16777215T", Some(16_777_215 << 40)),
            ("16777216T", None),
            ("", None),
            ("M", None),
            ("-1", None),
            ("+1", None),
            ("1.5G", None),
            ("1 M", None),
        ] {
            assert_eq!(parse_bytes(text).ok(), bytes, "{text}");
        }
        assert_eq!(parse_block_size("2K"), Ok(BlockSize::K2));
        assert!(parse_block_size("8K").is_err());
    }

    #[test]
    fn uuids_and_owners() {
        let uuid = parse_uuid("01234567-89ab-cdef-0123-456789abcdef").unwrap();
        assert_eq!(uuid[..4], [0x01, 0x23, 0x45, 0x67]);
        assert!(parse_uuid("01234567").is_err());
        assert_eq!(parse_owner("0:70000"), Ok((0, 70_000)));
        for bad in ["0", "a:b", "0:-1", "0:4294967296"] {
            assert!(parse_owner(bad).is_err(), "{bad}");
        }
    }
}
