//! How many objects a configuration compiles, for the progress bar: read from
//! the tree's own Makefiles, without running make.
//!
//! Conditionals are taken as true and host programs are left out, so that the
//! number is an estimate; on tried configurations it is within some per cent.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Where Kbuild starts: the top's list of folders, what the top's Makefile adds
/// to it, and x86's own.
const ROOTS: &[&str] = &[
    "",
    "lib",
    "arch/x86",
    "arch/x86/lib",
    "arch/x86/boot",
    "arch/x86/boot/compressed",
];

/// The number of objects that `enabled` options compile in `tree`; `enabled`
/// tells whether an option (with its `CONFIG_`) is `y`.
#[must_use]
pub fn count(tree: &Path, enabled: &dyn Fn(&str) -> bool) -> u64 {
    let mut seen: BTreeSet<PathBuf> = BTreeSet::new();
    let mut queue: Vec<PathBuf> = ROOTS.iter().map(PathBuf::from).collect();
    let mut total = 0;
    while let Some(dir) = queue.pop() {
        if !seen.insert(dir.clone()) {
            continue;
        }
        let full = tree.join(&dir);
        let text = fs::read(full.join("Kbuild")).or_else(|_| fs::read(full.join("Makefile")));
        let lists = lists(&String::from_utf8_lossy(&text.unwrap_or_default()), enabled);
        let empty = Vec::new();
        let get = |name: &str| lists.get(name).unwrap_or(&empty).as_slice();
        let top = [
            "obj",
            "lib",
            "setup",
            "vmlinux-objs",
            "core",
            "libs",
            "drivers",
        ];
        let items = top.into_iter().flat_map(get).flat_map(|item| {
            // Some lists hold another one: `obj-y += $(mmu-y)`.
            let other = item.strip_prefix("$(").and_then(|s| s.strip_suffix("-y)"));
            match other {
                Some(name) => get(name),
                None => std::slice::from_ref(item),
            }
        });
        for item in items {
            if let Some(folder) = item.strip_suffix('/') {
                queue.push(dir.join(folder));
            } else if let Some(stem) = item.strip_suffix(".o") {
                let parts = get(stem).iter().filter(|part| part.ends_with(".o")).count();
                total += parts.max(1) as u64;
            }
        }
    }
    total
}

/// `NAME-y`, `NAME-objs` and `NAME-$(CONFIG_X)` assignments, by `NAME`.
fn lists(text: &str, enabled: &dyn Fn(&str) -> bool) -> BTreeMap<String, Vec<String>> {
    let mut lists: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text.replace("\\\n", " ").lines() {
        let line = line.split('#').next().unwrap_or_default();
        let Some((target, items)) = line.split_once('=') else {
            continue;
        };
        let target = target.trim_end_matches(['+', ':', ' ', '\t']).trim();
        let Some((name, suffix)) = target.rsplit_once('-') else {
            continue;
        };
        let active = match suffix.strip_prefix("$(").and_then(|s| s.strip_suffix(')')) {
            Some(option) => enabled(option),
            None => suffix == "y" || suffix == "objs",
        };
        if active {
            let items = items.split_whitespace().map(str::to_owned);
            lists.entry(name.to_owned()).or_default().extend(items);
        }
    }
    lists
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_folders_composites_and_options() {
        let temp = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = temp.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "Kbuild",
            "obj-y += mm/ \\\n net/\nobj-$(CONFIG_OFF) += off/\n",
        );
        write(
            "mm/Makefile",
            "mmu-y := c.o\nobj-y := a.o b.o $(mmu-y)\nb-y := b1.o b2.o b3.o\n",
        );
        write("lib/Makefile", "lib-y := d.o\n");
        write("net/Makefile", "obj-$(CONFIG_NET) += sock.o # and more.o\n");
        write("off/Makefile", "obj-y := x.o\n");
        assert_eq!(count(temp.path(), &|option| option == "CONFIG_NET"), 7);
        assert_eq!(count(temp.path(), &|_| false), 6);
    }
}
