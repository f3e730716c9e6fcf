//! Cloud Hypervisor: a [`Machine`] as arguments of `cloud-hypervisor`.
//!
//! Its devices are virtio-pci, its interrupt controllers and its PCI bus are described by ACPI, so
//! that it needs another kernel than the other VMMs; it starts the ELF image by its PVH entry. It
//! has no translator, no user-mode network, and no mode that throws a guest's writes away: who
//! boots a machine gives it copies of drives to be discarded. It boots a guest again that resets
//! its machine.
//!
//! `image_type` is in version 51.1: without it that version refuses writes to a raw image's
//! first sector, where ext2 may have its superblock, and later ones refuse the image.

use std::ffi::OsString;
use std::path::Path;

use super::error::VmError;
use super::machine::{DriveMode, Machine};
use super::monitor::Vmm;

/// The program.
pub const PROGRAM: &str = "cloud-hypervisor";

/// What has a meaning in its option syntax and cannot be part of a value in all of its versions.
const SPECIAL: &[char] = &[',', '=', '[', ']', '"'];

/// The arguments that boot `machine` with its console on standard input and output. Writes to a
/// drive of mode [`Discard`](DriveMode::Discard) go into the file that it names.
///
/// # Errors
/// [`VmError::Unsupported`]: a drive's path has a character of its option syntax, or a path is
/// not UTF-8. [`VmError::NoUserNetwork`]: there is a network, and no tap device for it.
pub fn arguments(machine: &Machine) -> Result<Vec<OsString>, VmError> {
    let mut args: Vec<String> = Vec::new();
    let mut add = |name: &str, values: Vec<String>| {
        args.push(name.to_owned());
        args.extend(values);
    };
    add("--kernel", vec![text(&machine.kernel)?.to_owned()]);
    add("--cmdline", vec![machine.kernel_parameters().join(" ")]);
    add("--cpus", vec![format!("boot={}", machine.cpus.max(1))]);
    add("--memory", vec![format!("size={}M", machine.memory_mib)]);
    add("--serial", vec!["tty".into()]);
    add("--console", vec!["off".into()]);
    let mut disks = Vec::new();
    for drive in &machine.drives {
        let readonly = match drive.mode {
            DriveMode::ReadOnly => "on",
            DriveMode::Persistent | DriveMode::Discard => "off",
        };
        let path = value(&drive.path)?;
        disks.push(format!("path={path},readonly={readonly},image_type=raw"));
    }
    if !disks.is_empty() {
        add("--disk", disks);
    }
    if let Some(tap) = machine.tap_device()? {
        add("--net", vec![format!("tap={}", value(Path::new(tap))?)]);
    }
    Ok(args.into_iter().map(OsString::from).collect())
}

fn text(path: &Path) -> Result<&str, VmError> {
    path.to_str().ok_or_else(|| {
        unsupported(format!(
            "take the name {}: it is not UTF-8",
            path.to_string_lossy()
        ))
    })
}

/// A value in the option syntax, which cuts at commas, splits at `=` and trims.
fn value(path: &Path) -> Result<&str, VmError> {
    let text = text(path)?;
    if text.contains(SPECIAL) || text.trim() != text {
        let what = format!(
            "take the name {text:?}: one of , = [ ] \" is in it, or a blank at an end of it"
        );
        return Err(unsupported(what));
    }
    Ok(text)
}

fn unsupported(what: String) -> VmError {
    VmError::Unsupported {
        vmm: Vmm::CloudHypervisor,
        what,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::machine::Drive;
    use super::*;

    fn machine() -> Machine {
        let mut machine = Machine::new("/k/vmlinux", "/i/root.ext2");
        machine.vmm = Vmm::CloudHypervisor;
        machine
    }

    fn everything() -> Machine {
        let mut machine = machine().with_tap("tap0");
        for (path, mode) in [
            ("/i/with blank", DriveMode::Persistent),
            ("/i/more", DriveMode::ReadOnly),
        ] {
            let path = path.into();
            machine.drives.push(Drive { path, mode });
        }
        machine.cpus = 2;
        machine.memory_mib = 64;
        machine.kernel_log = true;
        machine
    }

    fn words(machine: &Machine) -> Vec<String> {
        let args = arguments(machine).unwrap().into_iter();
        args.map(|arg| arg.into_string().unwrap()).collect()
    }

    #[test]
    fn the_smallest_machine() {
        insta::assert_snapshot!(words(&machine()).join("\n"));
    }

    #[test]
    fn a_machine_with_everything() {
        insta::assert_snapshot!(words(&everything()).join("\n"));
    }

    /// The options that are used here, with the most values that each takes, and the keys of those
    /// values that are lists: `cloud-hypervisor --help`.
    fn grammar() -> BTreeMap<&'static str, (usize, &'static [&'static str])> {
        BTreeMap::from([
            ("--kernel", (1, &[][..])),
            ("--cmdline", (1, &[])),
            (
                "--cpus",
                (
                    1,
                    &[
                        "boot",
                        "max",
                        "topology",
                        "kvm_hyperv",
                        "max_phys_bits",
                        "affinity",
                        "features",
                    ],
                ),
            ),
            (
                "--memory",
                (
                    1,
                    &[
                        "size",
                        "mergeable",
                        "shared",
                        "hugepages",
                        "hugepage_size",
                        "hotplug_method",
                        "hotplug_size",
                        "hotplugged_size",
                        "prefault",
                        "thp",
                    ],
                ),
            ),
            ("--serial", (1, &[])),
            ("--console", (1, &[])),
            (
                "--disk",
                (
                    usize::MAX,
                    &[
                        "path",
                        "readonly",
                        "direct",
                        "iommu",
                        "num_queues",
                        "queue_size",
                        "vhost_user",
                        "socket",
                        "id",
                        "image_type",
                    ],
                ),
            ),
            (
                "--net",
                (
                    usize::MAX,
                    &[
                        "tap",
                        "ip",
                        "mask",
                        "mac",
                        "fd",
                        "iommu",
                        "num_queues",
                        "queue_size",
                        "id",
                        "vhost_user",
                        "socket",
                    ],
                ),
            ),
        ])
    }

    /// A list of `key=value`, cut as its option parser cuts it.
    fn list(text: &str) -> Result<BTreeMap<String, String>, String> {
        let mut found = BTreeMap::new();
        for item in text.trim().split(',') {
            let parts: Vec<&str> = item.split('=').collect();
            let [key, value] = parts[..] else {
                return Err(format!("invalid syntax: {item}"));
            };
            found.insert(key.to_owned(), value.trim().to_owned());
        }
        Ok(found)
    }

    /// Reads arguments by the grammar: option to values.
    fn parse(words: &[String]) -> Result<BTreeMap<String, Vec<String>>, String> {
        let grammar = grammar();
        let mut options: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut words = words.iter().peekable();
        while let Some(option) = words.next() {
            let (most, keys) = grammar
                .get(option.as_str())
                .ok_or(format!("unknown option {option}"))?;
            let mut values = Vec::new();
            while let Some(value) = words.next_if(|word| !word.starts_with("--")) {
                for key in list(value)
                    .ok()
                    .filter(|_| !keys.is_empty())
                    .into_iter()
                    .flat_map(BTreeMap::into_keys)
                {
                    if !keys.contains(&key.as_str()) {
                        return Err(format!("unknown key {key} of {option}"));
                    }
                }
                if !keys.is_empty() {
                    list(value)?;
                }
                values.push(value.clone());
            }
            if values.is_empty() || values.len() > *most {
                return Err(format!("{} values for {option}", values.len()));
            }
            if options.insert(option.clone(), values).is_some() {
                return Err(format!("{option} twice"));
            }
        }
        Ok(options)
    }

    #[test]
    fn arguments_are_of_the_documented_grammar() {
        for machine in [machine(), everything()] {
            let options = parse(&words(&machine)).unwrap();
            assert_eq!(options["--disk"].len(), machine.drives.len());
            for (text, drive) in options["--disk"].iter().zip(&machine.drives) {
                let disk = list(text).unwrap();
                assert_eq!(Path::new(&disk["path"]), drive.path);
                assert_eq!(disk["readonly"] == "on", drive.mode == DriveMode::ReadOnly);
            }
            // Both on the terminal are refused.
            assert_ne!(options["--serial"], options["--console"]);
            let size = list(&options["--memory"][0]).unwrap()["size"].clone();
            assert_eq!(size, format!("{}M", machine.memory_mib));
        }
        // The grammar of this test refuses what the program would refuse.
        for wrong in [
            vec!["--disks", "path=/a"],
            vec!["--disk", "path=/a,read_only=on"],
            vec!["--disk", "path=/a=b"],
            vec!["--kernel"],
            vec!["--serial", "tty", "off"],
        ] {
            let wrong: Vec<String> = wrong.into_iter().map(str::to_owned).collect();
            assert!(parse(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_cannot_be_told_is_an_error() {
        for path in ["/i/a,b", "/i/a=b", "/i/[a]", "/i/a ", "/i/\"a\""] {
            let mut machine = machine();
            machine.drives[0].path = path.into();
            let error = arguments(&machine).unwrap_err();
            assert!(matches!(error, VmError::Unsupported { .. }), "{error}");
        }
        let mut networked = machine();
        networked.network = true;
        let error = arguments(&networked).unwrap_err();
        assert!(matches!(error, VmError::NoUserNetwork { .. }), "{error}");
    }
}
