//! Trees read from every kind of source, beside what the field's tools make of the same source.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect has failed"
)]

mod outside;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use lupine_rootfs::source::{Compression, Format, Image};
use outside::{assert_same, everything, have, listed, make_tree, privileged, read, run, seen_in};

/// A scratch directory with the sample tree in `tree`.
fn sample() -> tempfile::TempDir {
    let scratch = tempfile::tempdir().unwrap();
    make_tree(&scratch.path().join("tree"));
    scratch
}

/// Extracts with GNU tar and gives what is then there.
fn extracted(scratch: &Path, archive: &str) -> outside::Listing {
    let target = scratch.join(format!("{archive}.extracted"));
    fs::create_dir(&target).unwrap();
    let options = ["--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf"];
    let target_name = target.to_str().unwrap();
    run(
        scratch,
        "tar",
        &[&options[..], &[archive, "-C", target_name]].concat(),
    );
    seen_in(&target)
}

#[test]
fn a_directory_is_read_as_it_is() {
    if !privileged() {
        return;
    }
    let scratch = sample();
    let path = scratch.path().join("tree");
    let socket = std::os::unix::net::UnixListener::bind(path.join("dev/socket")).unwrap();
    let (image, tree, report) = read(&path, &everything()).unwrap();
    assert_eq!(image.format(), Format::Directory);
    assert_same(&listed(&tree), &seen_in(&path), "directory");
    assert!(report.diagnostics.is_empty(), "{report}");
    drop(socket);
}

#[test]
fn sparse_files_stay_sparse() {
    if !privileged() || !have(&["tar"]) {
        return;
    }
    let scratch = sample();
    let at = |name: &str| scratch.path().join("tree").join(name);
    run(
        scratch.path(),
        "tar",
        &["--sparse", "-cf", "s.tar", "-C", "tree", "."],
    );
    for source in ["tree", "s.tar"] {
        let (_, tree, _) = read(scratch.path().join(source), &everything()).unwrap();
        for name in ["sparse", "all hole", "hole at end"] {
            let stored = fs::metadata(at(name)).unwrap().blocks() * 512;
            let path = lupine_rootfs::TreePath::new(name).unwrap();
            let content = tree.content(tree.lookup(&path).unwrap());
            let data = content.unwrap().data_len();
            assert!(
                data <= stored,
                "{source} {name}: {data} bytes of data, {stored} on disk"
            );
        }
    }
}

#[test]
fn every_format_of_gnu_tar() {
    if !privileged() || !have(&["tar", "gzip", "xz", "zstd"]) {
        return;
    }
    let scratch = sample();
    let base = scratch.path();
    let pax = ["--format=pax", "--xattrs", "--xattrs-include=*"];
    let sparse_00 = [&pax[..], &["--sparse", "--sparse-version=0.0"]].concat();
    let sparse_01 = [&pax[..], &["--sparse", "--sparse-version=0.1"]].concat();
    let sparse_10 = [&pax[..], &["--sparse", "--sparse-version=1.0"]].concat();
    let gzip = [&pax[..], &["--gzip"]].concat();
    let zstd = [&pax[..], &["--zstd"]].concat();
    let xz = [&pax[..], &["--xz"]].concat();
    let cases: &[(&str, &[&str], Compression)] = &[
        ("gnu.tar", &["--format=gnu"], Compression::None),
        (
            "gnu-sparse.tar",
            &["--format=gnu", "--sparse"],
            Compression::None,
        ),
        ("pax.tar", &pax, Compression::None),
        ("pax-00.tar", &sparse_00, Compression::None),
        ("pax-01.tar", &sparse_01, Compression::None),
        ("pax-10.tar", &sparse_10, Compression::None),
        ("pax.tar.gz", &gzip, Compression::Gzip),
        ("pax.tar.zst", &zstd, Compression::Zstd),
        ("pax.tar.xz", &xz, Compression::Xz),
    ];
    for (archive, options, compression) in cases {
        let arguments = [options, &["-cf", archive, "-C", "tree", "."][..]].concat();
        run(base, "tar", &arguments);
        let (image, tree, report) = read(base.join(archive), &everything()).unwrap();
        assert_eq!(image.format(), Format::Tar);
        assert_eq!(
            report.layers[0].compression,
            Some(*compression),
            "{archive}"
        );
        let ours = listed(&tree);
        let mut theirs = extracted(base, archive);
        // Reading a PAX archive, GNU tar 1.34 rounds the time down; making one it keeps all of it.
        let original = seen_in(&base.join("tree"));
        assert_same(&ours, &theirs, archive);
        if archive.starts_with("gnu") {
            // That format has no extended attributes.
            theirs = original;
            for facts in theirs.values_mut() {
                facts.xattrs.clear();
            }
            assert_same(&ours, &theirs, archive);
        } else {
            assert_same(&ours, &original, archive);
        }
    }
}

#[test]
fn old_formats_of_gnu_tar() {
    if !have(&["tar"]) {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let base = scratch.path();
    let tree = base.join("tree");
    fs::create_dir_all(tree.join("directory/inside")).unwrap();
    fs::write(tree.join("directory/file"), "text").unwrap();
    fs::create_dir_all(tree.join("prefix of ustar/".repeat(9))).unwrap();
    fs::write(tree.join("prefix of ustar/".repeat(9) + "name"), "text").unwrap();
    std::os::unix::fs::symlink("file", tree.join("directory/link")).unwrap();
    fs::hard_link(tree.join("directory/file"), tree.join("directory/hard")).unwrap();
    for (archive, format) in [("v7.tar", "--format=v7"), ("ustar.tar", "--format=ustar")] {
        let part = if archive == "v7.tar" {
            "directory"
        } else {
            "."
        };
        let owner = ["--owner=0", "--group=0", "--numeric-owner"];
        let what = [format, "-cf", archive, "-C", "tree", part];
        run(base, "tar", &[&owner[..], &what].concat());
        let (_, ours, _) = read(base.join(archive), &everything()).unwrap();
        let (mut ours, mut theirs) = (listed(&ours), extracted(base, archive));
        // The archive of a part does not describe the root.
        ours.remove(&b""[..]);
        theirs.remove(&b""[..]);
        assert_same(&ours, &theirs, archive);
    }
}

/// Makes an OCI layout of the sample tree with umoci: a base layer, and one that changes it.
fn make_layout(base: &Path) {
    run(base, "umoci", &["init", "--layout", "layout"]);
    run(base, "umoci", &["new", "--image", "layout:image"]);
    run(
        base,
        "umoci",
        &["unpack", "--image", "layout:image", "bundle"],
    );
    make_tree(&base.join("bundle/rootfs"));
    run(
        base,
        "umoci",
        &["repack", "--image", "layout:image", "bundle"],
    );
    fs::remove_dir_all(base.join("bundle")).unwrap();
    run(
        base,
        "umoci",
        &["unpack", "--image", "layout:image", "bundle"],
    );
    let root = base.join("bundle/rootfs");
    fs::remove_file(root.join("link")).unwrap();
    fs::remove_dir_all(root.join("deep directory name")).unwrap();
    fs::remove_file(root.join("bin/another name")).unwrap();
    fs::remove_dir_all(root.join("dev")).unwrap();
    fs::write(root.join("dev"), "was a directory").unwrap();
    fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
    fs::create_dir(root.join("new")).unwrap();
    fs::write(root.join("new/file"), "new").unwrap();
    run(
        base,
        "umoci",
        &["repack", "--image", "layout:image", "bundle"],
    );
    let config = [
        "config",
        "--image",
        "layout:image",
        "--config.entrypoint=/bin/tool",
        "--config.cmd=serve",
        "--config.env=A=b c",
        "--config.workingdir=/new",
        "--config.user=root:8",
        "--config.exposedports=80/tcp",
        "--config.volume=/data",
        "--config.stopsignal=SIGQUIT",
        "--config.label=k=v",
    ];
    run(base, "umoci", &config);
}

#[test]
fn oci_layouts_and_docker_archives() {
    if !privileged() || !have(&["umoci", "skopeo", "tar", "gzip"]) {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let base = scratch.path();
    make_layout(base);
    run(
        base,
        "umoci",
        &["unpack", "--image", "layout:image", "judged"],
    );
    let theirs = seen_in(&base.join("judged/rootfs"));
    let copy = |from: &str, to: &str| {
        let what = ["--insecure-policy", "copy", from, to];
        run(base, "skopeo", &what);
    };
    copy("oci:layout:image", "oci-archive:oci.tar:image");
    copy("oci:layout:image", "docker-archive:docker.tar:name/of:tag");
    run(
        base,
        "skopeo",
        &[
            "--insecure-policy",
            "copy",
            "--dest-compress-format=zstd",
            "--dest-compress",
            "--dest-decompress=false",
            "oci:layout:image",
            "oci:zstd:image",
        ],
    );
    run(base, "tar", &["-czf", "oci.tar.gz", "-C", "layout", "."]);
    run(base, "gzip", &["-k", "docker.tar"]);
    fs::create_dir(base.join("docker-directory")).unwrap();
    run(
        base,
        "tar",
        &["-xf", "docker.tar", "-C", "docker-directory"],
    );
    let mut configs = Vec::new();
    for (name, format) in [
        ("layout", Format::Oci),
        ("zstd", Format::Oci),
        ("oci.tar", Format::Oci),
        ("oci.tar.gz", Format::Oci),
        ("docker.tar", Format::Docker),
        ("docker.tar.gz", Format::Docker),
        ("docker-directory", Format::Docker),
    ] {
        let (image, tree, report) = read(base.join(name), &everything()).unwrap();
        assert_eq!(image.format(), format, "{name}");
        assert_eq!(report.layers.len(), 2, "{name}: {report}");
        assert!(report.layers[1].whiteouts > 0, "{name}: {report}");
        assert_same(&listed(&tree), &theirs, name);
        configs.push((name, image.config().clone()));
        let user = image.config().process(&tree, &[]).unwrap().user;
        assert_eq!((user.uid, user.gid, &*user.home), (0, 8, &b"/root"[..]));
    }
    for (name, config) in &configs {
        assert_eq!(config.argv(), ["/bin/tool", "serve"], "{name}");
        assert_eq!(config.env_value(b"A"), Some(&b"b c"[..]), "{name}");
        assert_eq!(config.working_dir, "/new");
        assert_eq!(config.stop_signal_number(), Some(3));
        assert_eq!(config.exposed_ports.first().unwrap().to_string(), "80/tcp");
        assert_eq!(config.labels["k"], "v");
        let same = |other: &lupine_rootfs::ImageConfig| {
            (other.user.clone(), other.volumes.clone(), other.env.clone())
        };
        assert_eq!(same(config), same(&configs[0].1), "{name}");
    }
}

#[test]
fn the_same_tree_makes_the_same_file_system_from_every_source() {
    if !privileged() || !have(&["tar", "gzip", "umoci", "e2fsck"]) {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let base = scratch.path();
    make_layout(base);
    run(
        base,
        "umoci",
        &["unpack", "--image", "layout:image", "bundle2"],
    );
    let tree = base.join("bundle2/rootfs");
    let options = ["--format=pax", "--xattrs", "--xattrs-include=*", "--sparse"];
    let what = ["-cf", "a.tar", "-C", tree.to_str().unwrap(), "."];
    run(base, "tar", &[&options[..], &what].concat());
    run(base, "gzip", &["-k", "a.tar"]);
    let image = |source: &Path| {
        let (_, tree, _) = read(source, &everything()).unwrap();
        let path = base.join("image");
        let options = lupine_rootfs::ext2::Options::default();
        lupine_rootfs::ext2::write_image(&tree, &options, &path, &mut ()).unwrap();
        run(base, "e2fsck", &["-fn", "image"]);
        fs::read(path).unwrap()
    };
    let wanted = image(&tree);
    for source in ["a.tar", "a.tar.gz", "layout"] {
        assert!(image(&base.join(source)) == wanted, "{source}");
    }
}

#[test]
fn digests_follow_contents_and_nothing_else() {
    if !privileged() || !have(&["tar"]) {
        return;
    }
    let scratch = sample();
    let base = scratch.path();
    let digest = |name: &str| {
        let image = Image::open(base.join(name), &everything()).unwrap();
        image.digest().unwrap()
    };
    run(base, "cp", &["-a", "--preserve=all", "tree", "copy"]);
    assert_eq!(digest("tree"), digest("copy"));
    let path = base.join("copy/bin/server");
    let stat = fs::metadata(&path).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"S", 0).unwrap();
    file.set_modified(stat.modified().unwrap()).unwrap();
    assert_ne!(digest("tree"), digest("copy"), "another content");
    fs::remove_dir_all(base.join("copy")).unwrap();
    run(base, "cp", &["-a", "--preserve=all", "tree", "copy"]);
    assert_eq!(digest("tree"), digest("copy"));
    xattr::set(base.join("copy/etc"), "user.more", b"1").unwrap();
    assert_ne!(digest("tree"), digest("copy"), "another attribute");
    run(base, "tar", &["-cf", "a.tar", "-C", "tree", "."]);
    fs::copy(base.join("a.tar"), base.join("b.tar")).unwrap();
    assert_eq!(digest("a.tar"), digest("b.tar"));
    let mut keep_out = everything();
    keep_out.devices = false;
    let without = Image::open(base.join("a.tar"), &keep_out).unwrap();
    assert_ne!(digest("a.tar"), without.digest().unwrap(), "other options");
}
