//! `lupine rootfs ...`.

mod build;
mod list;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use lupine::image::Listener;
use lupine::progress::Progress;
use lupine_rootfs::config::ByteString;
use lupine_rootfs::ext2::{self, CheckError, Image, ImageError, ImageTreeError, WriteError};
use lupine_rootfs::{
    DeliverError, ExtractError, ExtractOptions, PathError, SourceError, TreePath, extract,
};
use serde::Serialize;
use thiserror::Error as ThisError;

use super::{Failure, Session};
use crate::args::rootfs::{Rootfs, RootfsCat, RootfsExtract, RootfsImage};
use crate::bars;

/// Why a command about root file systems failed.
#[derive(Debug, ThisError)]
pub(super) enum Failed {
    #[error("cannot open {path}", path = path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("cannot read the image {path}: {source}", path = path.display())]
    Image { path: PathBuf, source: ImageError },
    #[error("cannot read the image {path} (`lupine rootfs check` says all that is wrong)", path = path.display())]
    Tree {
        path: PathBuf,
        source: ImageTreeError,
    },
    #[error(transparent)]
    Check(#[from] CheckError),
    #[error(transparent)]
    Extract(#[from] ExtractError),
    #[error("{path:?} is no path in an image: {source}")]
    Path { path: String, source: PathError },
    #[error("the image holds no `{0}`")]
    NotThere(TreePath),
    /// Named one by one before.
    #[error("{image} is damaged (problems: {total}); `e2fsck -f {image}` repairs it", image = image.display())]
    Damaged { image: PathBuf, total: u64 },
}

impl Failed {
    /// The status that the process ends with.
    pub(super) fn status(&self) -> u8 {
        match self {
            Failed::Damaged { .. } => 1,
            Failed::Write(
                WriteError::Io { .. }
                | WriteError::Output(_)
                | WriteError::Deliver(DeliverError::Sink(_)),
            )
            | Failed::Extract(
                ExtractError::Io { .. } | ExtractError::Deliver(DeliverError::Sink(_)),
            ) => 4,
            _ => 3,
        }
    }
}

/// Names the image in an error of reading it.
fn unreadable(path: &Path) -> impl Fn(ImageError) -> Failed {
    move |source| Failed::Image {
        path: path.to_owned(),
        source,
    }
}

pub(super) fn execute(session: &Session<'_>, args: &Rootfs) -> Result<(), Failure> {
    match args {
        Rootfs::Build(args) => build::execute(session, args),
        Rootfs::List(args) => list::execute(session, args),
        Rootfs::Cat(args) => cat(session, args),
        Rootfs::Extract(args) => extract_image(session, args),
        Rootfs::Check(args) => check(session, args),
    }
}

/// Draws bars, and hands them and Ctrl-C on to the library.
fn with_progress<T>(
    session: &Session<'_>,
    work: impl FnOnce(&mut Listener<'_>, &dyn Progress) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let progress = bars::for_stderr(session.common.quiet);
    let result = work(&mut Listener::new(&*progress, &session.cancel), &*progress);
    progress.finish();
    result
}

fn open(args: &RootfsImage) -> Result<Image<File>, Failed> {
    let path = &args.image;
    let file = File::open(path).map_err(|source| Failed::Open {
        path: path.clone(),
        source,
    })?;
    Image::open(file).map_err(unreadable(path))
}

fn tree_path(path: &str) -> Result<TreePath, Failed> {
    TreePath::new(path).map_err(|source| Failed::Path {
        path: path.to_owned(),
        source,
    })
}

/// Files that `--json` puts into one document are at most this long: 64 MiB.
const LONGEST_JSON: u64 = 64 << 20;

#[derive(Serialize)]
struct Content {
    path: String,
    size: u64,
    content: ByteString,
}

fn cat(session: &Session<'_>, args: &RootfsCat) -> Result<(), Failure> {
    let image = open(&args.image)?;
    let failed = unreadable(&args.image.image);
    let mut files = Vec::new();
    for path in &args.paths {
        let (number, inode) = image.lookup(&tree_path(path)?, true).map_err(&failed)?;
        if inode.mode & 0o170_000 != 0o100_000 {
            return Err(Failure::from(failed(ImageError::WrongKind {
                inode: number,
                mode: inode.mode,
                wanted: "regular file",
            })));
        }
        files.push((path, (number, inode)));
    }
    if session.common.json {
        let content = |(path, (number, inode)): (&String, _)| {
            let content = image.content(number, &inode, LONGEST_JSON)?;
            Ok(Content {
                path: path.clone(),
                size: inode.size,
                content: content.into(),
            })
        };
        let contents: Result<Vec<Content>, ImageError> = files.into_iter().map(content).collect();
        return session.print(&contents.map_err(failed)?, "");
    }
    let mut out = io::stdout().lock();
    for (_, (number, inode)) in files {
        let mut written = 0;
        image
            .read_file::<Copying>(number, &inode, |offset, bytes| {
                // What lies between the pieces are holes.
                io::copy(&mut zeros(offset - written), &mut out)?;
                out.write_all(bytes)?;
                written = offset + bytes.len() as u64;
                Ok(())
            })
            .and_then(|()| Ok(io::copy(&mut zeros(inode.size - written), &mut out).map(drop)?))
            .map_err(|error| match error {
                Copying::Image(source) => Failure::from(failed(source)),
                Copying::Output(source) => Failure::Output {
                    what: "to standard output".to_owned(),
                    source,
                },
            })?;
    }
    Ok(())
}

fn zeros(count: u64) -> impl io::Read {
    io::Read::take(io::repeat(0), count)
}

/// What ends the copying of a file.
enum Copying {
    Image(ImageError),
    Output(io::Error),
}

impl From<ImageError> for Copying {
    fn from(error: ImageError) -> Self {
        Copying::Image(error)
    }
}

impl From<io::Error> for Copying {
    fn from(error: io::Error) -> Self {
        Copying::Output(error)
    }
}

#[derive(Serialize)]
struct Extracted<'a> {
    directory: &'a Path,
    names: u64,
    skipped_devices: u64,
}

fn extract_image(session: &Session<'_>, args: &RootfsExtract) -> Result<(), Failure> {
    let tree = read_tree(&args.image)?;
    let options = ExtractOptions {
        owners: args.owners,
        devices: args.devices,
        xattrs: args.xattrs,
    };
    let done = with_progress(session, |listener, _| {
        Ok(extract(&tree, &args.directory, options, listener).map_err(Failed::from)?)
    })?;
    let mut text = format!("{}: {} names\n", args.directory.display(), done.names);
    if done.skipped_devices > 0 {
        text.push_str(&format!(
            "{} device nodes left out; --devices makes them\n",
            done.skipped_devices
        ));
    }
    let extracted = Extracted {
        directory: &args.directory,
        names: done.names,
        skipped_devices: done.skipped_devices,
    };
    session.print(&extracted, &text)
}

fn read_tree(args: &RootfsImage) -> Result<lupine_rootfs::FileTree, Failed> {
    ext2::read_tree(open(args)?).map_err(|source| Failed::Tree {
        path: args.image.clone(),
        source,
    })
}

#[derive(Serialize)]
struct Checked {
    clean: bool,
    total: u64,
    /// The first ten thousand.
    problems: Vec<String>,
}

fn check(session: &Session<'_>, args: &RootfsImage) -> Result<(), Failure> {
    let image = open(args)?;
    let found = with_progress(session, |listener, _| {
        Ok(ext2::check(&image, listener).map_err(Failed::from)?)
    })?;
    let checked = Checked {
        clean: found.is_clean(),
        total: found.total,
        problems: found.first.iter().map(ToString::to_string).collect(),
    };
    let text = match checked.clean {
        true => format!("{}: clean\n", args.image.display()),
        false => checked.problems.iter().map(|p| format!("{p}\n")).collect(),
    };
    session.print(&checked, &text)?;
    if checked.clean {
        return Ok(());
    }
    Err(Failed::Damaged {
        image: args.image.clone(),
        total: checked.total,
    }
    .into())
}
