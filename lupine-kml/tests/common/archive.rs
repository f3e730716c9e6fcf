//! A release of Debian, asked by an apt of its own: what this machine's apt knows stays as it is.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Standard output of a command that must succeed.
fn said_by(command: &mut Command) -> String {
    let out = command.output().unwrap();
    assert!(
        out.status.success(),
        "{command:?}:\n{}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8(out.stdout).unwrap()
}

/// Debian's archive and its security updates, where this machine's apt has them from.
fn mirrors() -> Vec<String> {
    let targets =
        said_by(Command::new("apt-get").args(["indextargets", "--format", "$(REPO_URI)"]));
    let ends = ["/debian/", "/debian-security/"];
    let first_of = |end| targets.lines().find(|uri| uri.ends_with(end));
    ends.into_iter()
        .filter_map(first_of)
        .map(str::to_owned)
        .collect()
}

/// A folder that packages and sources of a release are downloaded to.
pub(crate) struct Archive {
    folder: tempfile::TempDir,
}

impl Archive {
    /// The release with this code name.
    pub(crate) fn of(release: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let mut sources = String::new();
        for mirror in mirrors() {
            let suite = match mirror.ends_with("/debian-security/") {
                true => format!("{release}-security"),
                false => release.to_owned(),
            };
            for kind in ["deb", "deb-src"] {
                sources += &format!(
                    "{kind} [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {mirror} {suite} main\n"
                );
            }
        }
        fs::write(folder.path().join("sources.list"), sources).unwrap();
        fs::write(folder.path().join("status"), "").unwrap();
        let archive = Archive { folder };
        archive.apt(&["update"]);
        archive
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A program of apt, with this folder's lists.
    fn tool(&self, name: &str) -> Command {
        let at = self.folder.path().display();
        let options = [
            format!("Dir::Etc::sourcelist={at}/sources.list"),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            format!("Dir::State::lists={at}/lists"),
            format!("Dir::State::status={at}/status"),
            format!("Dir::Cache={at}/cache"),
            "APT::Sandbox::User=root".to_owned(),
        ];
        let mut tool = Command::new(name);
        tool.current_dir(self.folder.path()).arg("-q");
        for option in options {
            tool.args(["-o", &option]);
        }
        tool
    }

    fn apt(&self, arguments: &[&str]) {
        said_by(self.tool("apt-get").args(arguments));
    }

    /// The versions of a package that the archive offers.
    pub(crate) fn versions(&self, package: &str) -> Vec<String> {
        let mut versions = self.listed(package, "Packages");
        versions.sort();
        versions.dedup();
        versions
    }

    /// The versions that the archive lists among its `Packages` or its `Sources`, the newest first.
    fn listed(&self, package: &str, kind: &str) -> Vec<String> {
        let said = said_by(self.tool("apt-cache").args(["madison", package]));
        let version = |line: &str| line.split('|').nth(1).map(|field| field.trim().to_owned());
        said.lines()
            .filter(|line| line.ends_with(kind))
            .filter_map(version)
            .collect()
    }

    /// Whether the files of a source package, `NAME=VERSION`, could be had: a mirror can list a version, and
    /// no longer hold it.
    fn fetches(&self, package: &str, what: &[&str]) -> bool {
        let mut tool = self.tool("apt-get");
        tool.args(["source", "--download-only"])
            .args(what)
            .arg(package);
        tool.output().unwrap().status.success()
    }

    /// Downloads a package, `NAME=VERSION`, and returns its file.
    pub(crate) fn download(&self, package: &str) -> PathBuf {
        let before = self.named(".deb");
        self.apt(&["download", package]);
        let mut files = self.named(".deb").into_iter();
        files.find(|file| !before.contains(file)).unwrap()
    }

    /// Unpacks packages into a new folder `root`, and returns it.
    pub(crate) fn packages(&self, names: &[&str]) -> PathBuf {
        self.apt(&[&["download"], names].concat());
        let root = self.path("root");
        for file in self.named(".deb") {
            said_by(Command::new("dpkg").args(["-x".as_ref(), file.as_os_str(), root.as_os_str()]));
        }
        root
    }

    /// Unpacks what upstream published of a source package, the newest that the archive has whole, or the
    /// members that match some patterns, into `folder`.
    pub(crate) fn source(&self, name: &str, folder: &Path, members: &[&str]) {
        let versions = self.listed(name, "Sources");
        let fetched = versions
            .iter()
            .any(|version| self.fetches(&format!("{name}={version}"), &[]));
        assert!(fetched, "{name}: {versions:?}");
        let mut archives = self.named(".orig.tar.gz");
        archives.extend(self.named(".orig.tar.xz"));
        let [archive] = &archives[..] else {
            panic!("sources of {name}: {archives:?}");
        };
        fs::create_dir_all(folder).unwrap();
        let mut tar = Command::new("tar");
        tar.args(["--strip-components=1", "--wildcards", "--no-same-owner"]);
        tar.arg("-C").arg(folder).arg("-xf").arg(archive);
        said_by(tar.args(members.iter().map(OsStr::new)));
    }

    /// Unpacks what Debian adds to a source package, `NAME=VERSION`, and returns its folder `patches`; none where
    /// the archive knows the version and has no longer its files.
    pub(crate) fn debian_patches(&self, package: &str) -> Option<PathBuf> {
        if !self.fetches(package, &["--diff-only"]) {
            return None;
        }
        let archives = self.named(".debian.tar.xz");
        let [archive] = &archives[..] else {
            panic!("what Debian adds to {package}: {archives:?}");
        };
        let mut tar = Command::new("tar");
        said_by(
            tar.arg("-C")
                .arg(self.folder.path())
                .arg("-xf")
                .arg(archive),
        );
        Some(self.path("debian/patches"))
    }

    fn named(&self, end: &str) -> Vec<PathBuf> {
        let all = fs::read_dir(self.folder.path()).unwrap();
        all.map(|entry| entry.unwrap().path())
            .filter(|path| path.to_str().unwrap().ends_with(end))
            .collect()
    }
}
