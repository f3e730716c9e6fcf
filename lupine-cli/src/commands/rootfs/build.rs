//! `lupine rootfs build`.

use std::io;
use std::path::Path;

use lupine_rootfs::ext2::{self, Options, Size};
use lupine_rootfs::source::LayerReport;
use lupine_rootfs::{Format, Image, ImageConfig, OpenOptions};
use serde::Serialize;

use super::{Failed, with_progress};
use crate::args::rootfs::RootfsBuild;
use crate::commands::{Failure, Session, complain};

#[derive(Serialize)]
struct Built<'a> {
    output: &'a Path,
    size: u64,
    block_size: u32,
    blocks: u64,
    free_blocks: u64,
    inodes: u32,
    free_inodes: u32,
    files: usize,
    format: Format,
    reference: Option<&'a str>,
    layers: &'a [LayerReport],
    /// How the image wants to be run.
    config: &'a ImageConfig,
    /// What was left out or stored differently.
    messages: Vec<String>,
}

pub(super) fn execute(session: &Session<'_>, args: &RootfsBuild) -> Result<(), Failure> {
    let to_stdout = args.output == Path::new("-");
    if to_stdout && session.common.json {
        let text = "--json and --output - both want standard output: choose one";
        return Err(Failure::Usage(text.to_owned()));
    }
    let image = Image::open(&args.source, &open_options(args)).map_err(Failed::from)?;
    let options = write_options(args);
    let (files, read, written) = with_progress(session, |listener, progress| {
        let (tree, read) = image.read(listener).map_err(Failed::from)?;
        let written = if to_stdout {
            let mut out = io::stdout().lock();
            ext2::write_stream(&tree, &options, &mut out, &std::env::temp_dir(), listener)
        } else {
            ext2::write_image(&tree, &options, &args.output, listener)
        };
        progress.finish();
        Ok((tree.len(), read, written.map_err(Failed::from)?))
    })?;
    let mut messages: Vec<String> = read.diagnostics.iter().map(ToString::to_string).collect();
    messages.extend(written.diagnostics.first.iter().map(ToString::to_string));
    let more = read.suppressed + written.diagnostics.total - written.diagnostics.first.len() as u64;
    if more > 0 {
        messages.push(format!("and {more} more messages"));
    }
    if !session.common.quiet && !session.common.json {
        messages.iter().for_each(|message| complain(message));
    }
    let built = Built {
        output: &args.output,
        size: written.size,
        block_size: written.block_size.bytes(),
        blocks: written.blocks,
        free_blocks: written.free_blocks,
        inodes: written.inodes,
        free_inodes: written.free_inodes,
        files,
        format: image.format(),
        reference: image.reference(),
        layers: &read.layers,
        config: image.config(),
        messages,
    };
    let block_size = u64::from(built.block_size);
    let text = format!(
        "{}: {} files, {} bytes in blocks of {block_size}, {} bytes free\n",
        args.output.display(),
        built.files,
        built.size,
        built.free_blocks * block_size,
    );
    if to_stdout {
        return Ok(());
    }
    session.print(&built, &text)
}

fn open_options(args: &RootfsBuild) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.format = args.format.map(Into::into);
    options.reference.clone_from(&args.reference);
    options.platform = args.platform.clone();
    options.overlays.clone_from(&args.overlay);
    options.devices = args.devices;
    options.owner = args.owner;
    options
}

fn write_options(args: &RootfsBuild) -> Options {
    let defaults = Options::default();
    Options {
        block_size: args.block_size,
        size: match args.size {
            Some(size) => Size::Exact(size),
            None => Size::Smallest { free: args.free },
        },
        free_inodes: args.free_inodes,
        label: args.label.clone().into_bytes(),
        uuid: args.uuid.unwrap_or(defaults.uuid),
        time: args.time,
        ..defaults
    }
}
