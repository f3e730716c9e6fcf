//! Scan and rewrite: one C library, and a hundred megabytes of ELF files in parallel.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lupine_kml::rewrite::{Options, rewrite_bytes};
use lupine_kml::scan::{Functions, scan};
use rayon::prelude::*;

const LIBRARIES: &str = "/usr/lib/x86_64-linux-gnu";

/// The largest ELF files of the machine's libraries, up to 100 MB together.
fn corpus() -> Vec<Vec<u8>> {
    let mut files: Vec<(u64, std::path::PathBuf)> = std::fs::read_dir(LIBRARIES)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| {
            Some((
                e.metadata().ok().filter(std::fs::Metadata::is_file)?.len(),
                e.path(),
            ))
        })
        .collect();
    files.sort();
    let mut total = 0;
    let mut out = Vec::new();
    for (len, path) in files.into_iter().rev() {
        if total + len > 100 << 20 || len > 40 << 20 {
            continue;
        }
        if let Ok(data) = std::fs::read(path)
            && data.starts_with(b"\x7fELF")
        {
            total += len;
            out.push(data);
        }
    }
    out
}

fn rewrite(c: &mut Criterion) {
    let libc = Path::new(LIBRARIES).join("libc.so.6");
    if let Ok(data) = std::fs::read(libc) {
        let mut group = c.benchmark_group("libc.so.6");
        group.throughput(Throughput::Bytes(data.len() as u64));
        group.bench_function("scan", |b| b.iter(|| scan(&data)));
        group.bench_function("scan, rewrite and verify", |b| {
            b.iter(|| rewrite_bytes(&data, &Options::default()));
        });
        group.bench_function("functions", |b| {
            b.iter(|| Functions::read(&data).map(|file| file.list().len()));
        });
        group.finish();
    }
    let all = corpus();
    let mut group = c.benchmark_group("libraries");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(all.iter().map(|d| d.len() as u64).sum()));
    group.bench_function("rewrite in parallel", |b| {
        b.iter(|| {
            all.par_iter()
                .filter_map(|d| rewrite_bytes(d, &Options::default()).ok())
                .map(|r| r.report.rewritten)
                .sum::<usize>()
        });
    });
    group.finish();
}

criterion_group!(benches, rewrite);
criterion_main!(benches);
