//! Trees of other projects, each beside its own `conf`, built from the project's sources.
//!
//! The sources are fetched as Debian source packages from the mirrors that this machine's apt
//! knows, once, into the tests' cache; nothing is installed. Slow tests only.

use crate::reference::{cached, require, run, skip};
use crate::run::{Differences, Setting, lupine_conf};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A project that carries Kconfig files and a `conf` for them.
struct Project {
    /// Debian's source package.
    package: &'static str,
    dialect: &'static str,
    /// The file at the top, below the tree.
    top: &'static str,
    /// Run in the tree before anything else: what the project's makefiles generate.
    prepare: Option<&'static str>,
    /// Whether the lexer and the parser are made by flex and bison; others ship them.
    generated_parser: bool,
    variables: &'static [(&'static str, &'static str)],
    /// Each `sample`th file of `configs/`.
    sample: usize,
}

const PROJECTS: [Project; 4] = [
    Project {
        package: "u-boot",
        dialect: "u-boot",
        top: "Kconfig",
        prepare: None,
        generated_parser: true,
        variables: &[
            ("CC", "gcc"),
            ("LD", "ld"),
            ("AR", "ar"),
            ("NM", "nm"),
            ("ARCH", "sandbox"),
            ("UBOOTVERSION", "1"),
            ("CC_VERSION_TEXT", "gcc"),
        ],
        sample: 30,
    },
    Project {
        package: "seabios",
        dialect: "linux-4",
        top: "src/Kconfig",
        prepare: None,
        generated_parser: false,
        variables: &[],
        sample: 1,
    },
    Project {
        package: "swupdate",
        dialect: "linux-4",
        top: "Kconfig",
        prepare: None,
        generated_parser: false,
        variables: &[("HAVE_LUA", "y"), ("HAVE_LIBSSL", "y")],
        sample: 1,
    },
    Project {
        package: "busybox",
        dialect: "busybox",
        top: "Config.in",
        prepare: Some("scripts/gen_build_files.sh . ."),
        generated_parser: false,
        variables: &[],
        sample: 1,
    },
];

const MODES: [&str; 5] = [
    "--allnoconfig",
    "--allyesconfig",
    "--alldefconfig",
    "--olddefconfig",
    "--randconfig",
];

/// The machine's own sources of packages, as sources of source packages.
fn source_lists() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let entries = fs::read_dir("/etc/apt/sources.list.d")
        .into_iter()
        .flatten();
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.push(PathBuf::from("/etc/apt/sources.list"));
    for path in paths {
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        if !text.contains("debian.org/debian") {
            continue;
        }
        let text: Vec<String> = text
            .lines()
            .map(|line| match line.strip_prefix("deb ") {
                Some(rest) => format!("deb-src {rest}"),
                None if line.starts_with("Types:") => "Types: deb-src".to_owned(),
                None => line.to_owned(),
            })
            .collect();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        found.push((name, text.join("\n") + "\n"));
    }
    found
}

/// Fetches and unpacks the sources of `package` into `directory`.
fn fetch(package: &str, directory: &Path) -> Result<(), String> {
    let lists = source_lists();
    if lists.is_empty() {
        return Err("apt knows no mirror of Debian".to_owned());
    }
    for name in ["parts", "lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(directory.join(name)).unwrap();
    }
    for (name, text) in lists {
        fs::write(directory.join("parts").join(name), text).unwrap();
    }
    let option = |name: &str, place: &str| format!("{name}={}", directory.join(place).display());
    let options = [
        "Dir::Etc::SourceList=/dev/null".to_owned(),
        option("Dir::Etc::SourceParts", "parts"),
        option("Dir::State::Lists", "lists"),
        option("Dir::Cache", "cache"),
        // Whoever runs the tests owns the directory.
        "APT::Sandbox::User=".to_owned(),
        "Acquire::http::Timeout=20".to_owned(),
        "Acquire::Retries=1".to_owned(),
    ];
    for words in [&["update"][..], &["source", "--download-only", package]] {
        let mut command = Command::new("apt-get");
        command.arg("-q").current_dir(directory);
        for option in &options {
            command.args(["-o", option]);
        }
        let output = command.args(words).output().unwrap();
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(format!("apt-get {}: {complaint}", words.join(" ")));
        }
    }
    let tarball = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.contains(".orig.tar.") && !name.ends_with(".asc")
        })
        .ok_or("no tarball in the source package")?;
    fs::create_dir(directory.join("tree")).unwrap();
    let arguments = ["-x", "--strip-components=1", "-C", "tree", "-f"].map(ToOwned::to_owned);
    let mut arguments = arguments.to_vec();
    arguments.push(tarball.display().to_string());
    run("tar", &arguments, directory, b"");
    Ok(())
}

impl Project {
    /// The tree and its `conf`.
    fn get(&self) -> Result<(PathBuf, PathBuf), String> {
        for tool in ["apt-get", "gcc", "flex", "bison", "tar", "xz", "bzip2"] {
            require(tool)?;
        }
        let mut failed = None;
        let name = format!("foreign-1-{}", self.package);
        let directory = cached(&name, |directory| {
            if let Err(error) = fetch(self.package, directory) {
                failed = Some(error);
                return;
            }
            let tree = directory.join("tree");
            if let Some(script) = self.prepare {
                run("sh", &["-c", script], &tree, b"");
            }
            self.build(&tree);
        });
        match failed {
            None => Ok((
                directory.join("tree"),
                directory.join("tree/scripts/kconfig/conf"),
            )),
            Some(error) => {
                fs::remove_dir_all(&directory).unwrap();
                Err(error)
            }
        }
    }

    fn build(&self, tree: &Path) {
        let directory = tree.join("scripts/kconfig");
        if self.generated_parser {
            run("flex", &["-ozconf.lex.c", "-L", "zconf.l"], &directory, b"");
            run(
                "bison",
                &["-t", "-l", "-o", "zconf.tab.c", "zconf.y"],
                &directory,
                b"",
            );
        } else {
            for entry in fs::read_dir(&directory).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|end| end == "c_shipped") {
                    fs::copy(&path, path.with_extension("c")).unwrap();
                }
            }
        }
        let arguments = ["-w", "-O2", "-I.", "-o", "conf", "conf.c", "zconf.tab.c"];
        run("gcc", &arguments, &directory, b"");
    }

    fn defconfigs(&self, tree: &Path) -> Vec<String> {
        let entries = fs::read_dir(tree.join("configs")).into_iter().flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with("_defconfig"))
            .collect();
        names.sort();
        names.into_iter().step_by(self.sample).collect()
    }
}

/// The project, its tree, its `conf` and how to run that; none where it is not tested.
fn prepared(package: &str) -> Option<(&'static Project, PathBuf, PathBuf, Setting)> {
    std::env::var_os("LUPINE_TEST_ALL")?;
    let project = PROJECTS.iter().find(|known| known.package == package)?;
    let (tree, conf) = match project.get() {
        Ok(found) => found,
        Err(missing) => {
            skip(&format!("{package}: {missing}"));
            return None;
        }
    };
    let mut setting = Setting::default();
    setting.set("LC_ALL", "C");
    setting.set("LUPINE_CONF_DIALECT", project.dialect);
    for (name, value) in project.variables {
        setting.set(name, *value);
    }
    setting.set("PATH", std::env::var_os("PATH").unwrap_or_default());
    setting.set("srctree", &tree);
    setting.set("KCONFIG_SEED", "5");
    Some((project, tree, conf, setting))
}

/// `.config`, stdout, stderr and status of `package` in every mode and for its defconfigs, byte for
/// byte.
fn compare(package: &str) {
    let Some((project, tree, conf, setting)) = prepared(package) else {
        return;
    };
    let mut differences = Differences::default();
    let mut runs: Vec<String> = MODES.iter().map(|mode| (*mode).to_owned()).collect();
    for name in project.defconfigs(&tree) {
        let path = tree.join("configs").join(name);
        runs.push(format!("--defconfig={}", path.display()));
    }
    for mode in &runs {
        differences.about(package);
        setting.compare_with(&conf, &[&[mode, project.top]], &mut differences);
    }
    eprintln!("{package}: {} runs", runs.len());
    differences.finish(runs.len());
}

#[test]
fn u_boot() {
    compare("u-boot");
}

#[test]
fn seabios() {
    compare("seabios");
}

#[test]
fn swupdate() {
    compare("swupdate");
}

/// The `conf` of busybox is of 2005: it knows modes by letters and writes another heading. What it
/// says of each symbol is compared.
#[test]
fn busybox() {
    let Some((project, _, conf, setting)) = prepared("busybox") else {
        return;
    };
    for (letter, mode) in [
        ("-n", "--allnoconfig"),
        ("-y", "--allyesconfig"),
        ("-m", "--allmodconfig"),
        ("-d", "--alldefconfig"),
    ] {
        let config = |program: &Path, mode: &str| {
            let outcome = setting.run(program, &[&[mode, project.top]]).remove(0);
            assert_eq!(outcome.status, 0, "{mode}");
            let text = String::from_utf8_lossy(&outcome.files[Path::new(".config")]).into_owned();
            let lines = text.lines().filter(|line| line.contains("CONFIG_"));
            lines.map(ToOwned::to_owned).collect::<Vec<_>>()
        };
        let expected = config(&conf, letter);
        assert!(expected.len() > 900, "{mode}: {} lines", expected.len());
        assert_eq!(config(lupine_conf(), mode), expected, "{mode}");
    }
}
