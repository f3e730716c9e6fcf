//! KVM or TCG, decided by booting something.
//!
//! Opening `/dev/kvm` can succeed where guests then do not run, or run a thousand times slower
//! than under TCG, because a hypervisor below emulates what it does not pass on. So a firmware
//! image of 64 KiB is booted, with the processor model that real machines get; it counts down from
//! a hundred million, which takes hardware a small part of a second, and then writes to QEMU's
//! `isa-debug-exit` port.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::machine::Accel;
use super::monitor::Vmm;
use super::qemu;
use crate::process::{Cancel, ProcessError, Task, find_program};

/// How long the probe may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Firmware sizes are multiples of this.
const FIRMWARE_SIZE: usize = 64 << 10;

/// Where the processor begins: 16 bytes before the end of the firmware.
const RESET_VECTOR: usize = FIRMWARE_SIZE - 16;

/// Where its code is: in the last segment, before the reset vector.
const CODE: usize = RESET_VECTOR - 64;

/// How far it counts: two instructions each.
const COUNT: u32 = 100_000_000;

/// What the firmware writes to the port, and the status that QEMU makes of it.
const WORD: u8 = 0x10;
const STATUS: i32 = ((WORD as i32) << 1) | 1;

/// The port of `isa-debug-exit`.
const PORT: u8 = 0xf4;

/// How machines are to be run here, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// What to run guests with.
    pub accel: Accel,
    /// Why, as a sentence without its end.
    pub reason: String,
}

/// What a probe found, and for which machine.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Cached {
    key: String,
    choice: Choice,
}

/// Decides between KVM and TCG: KVM only where a probe boot ran to its end. The result is kept in
/// `cache`, where given, until this host or its QEMU changes.
///
/// # Errors
/// QEMU is not installed, or the token was set.
pub fn choose_accel(cache: Option<&Path>, cancel: &Cancel) -> Result<Choice, ProcessError> {
    let program = find_program(qemu::PROGRAM).ok_or_else(|| ProcessError::NotFound {
        program: qemu::PROGRAM.into(),
    })?;
    if let Err(reason) = open_kvm() {
        return Ok(tcg(reason));
    }
    let key = host_key(&program);
    if let Some(choice) = cache.and_then(|cache| read(cache, &key)) {
        return Ok(choice);
    }
    let choice = match boots(Accel::Kvm, cancel) {
        Ok(()) => Choice {
            accel: Accel::Kvm,
            reason: "a probe boot with KVM succeeded".into(),
        },
        Err(Failure::Cancelled(error)) => return Err(error),
        Err(Failure::Says(why)) => {
            tcg(format!("/dev/kvm is there, but a probe boot with it {why}"))
        }
    };
    if let Some(cache) = cache {
        // A cache that cannot be written costs the next probe, nothing more.
        let _ = write(
            cache,
            &Cached {
                key,
                choice: choice.clone(),
            },
        );
    }
    Ok(choice)
}

/// As [`choose_accel`], for a VMM other than QEMU: without QEMU there is no probe boot, and KVM is
/// taken to work where it can be opened.
///
/// # Errors
/// The token was set.
pub fn choose_accel_for(
    vmm: Vmm,
    cache: Option<&Path>,
    cancel: &Cancel,
) -> Result<Choice, ProcessError> {
    if vmm == Vmm::Qemu || find_program(qemu::PROGRAM).is_some() {
        return choose_accel(cache, cancel);
    }
    cancel.check()?;
    Ok(match open_kvm() {
        Ok(()) => Choice {
            accel: Accel::Kvm,
            reason: "/dev/kvm can be opened; without QEMU there was no probe boot".into(),
        },
        Err(reason) => tcg(reason),
    })
}

fn tcg(reason: String) -> Choice {
    Choice {
        accel: Accel::Tcg,
        reason,
    }
}

/// Whether KVM is there for this user; else why not.
fn open_kvm() -> Result<(), String> {
    let opened = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm");
    opened
        .map(drop)
        .map_err(|error| format!("/dev/kvm cannot be opened ({error})"))
}

enum Failure {
    Cancelled(ProcessError),
    Says(String),
}

impl From<ProcessError> for Failure {
    fn from(error: ProcessError) -> Self {
        match error {
            ProcessError::Cancelled(_) => Self::Cancelled(error),
            ProcessError::TimedOut { limit, .. } => Self::Says(format!(
                "did in {limit:?} not do what takes hardware a moment"
            )),
            other => Self::Says(format!("failed: {other}")),
        }
    }
}

/// Boots the probe's firmware.
fn boots(accel: Accel, cancel: &Cancel) -> Result<(), Failure> {
    let says = |error: std::io::Error| Failure::Says(format!("could not be prepared: {error}"));
    let mut file = tempfile::Builder::new()
        .prefix("lupine-probe-")
        .tempfile()
        .map_err(says)?;
    file.write_all(&firmware()).map_err(says)?;
    let output = Task::new(qemu::PROGRAM)
        .args([
            "-M",
            "microvm,acpi=off",
            "-no-user-config",
            "-nodefaults",
            "-no-reboot",
        ])
        .args(["-display", "none", "-m", "32M"])
        .args(["-accel", accel.name(), "-cpu", qemu::cpu_model(accel)])
        .args([
            "-device",
            &format!("isa-debug-exit,iobase={PORT:#x},iosize=1"),
        ])
        .arg("-bios")
        .arg(file.path())
        .time_limit(LIMIT)
        .run(cancel)?;
    if output.status.code() == Some(STATUS) {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().next().unwrap_or("without a message");
    Err(Failure::Says(format!(
        "ended with {} ({said})",
        output.status
    )))
}

/// Firmware that counts down from [`COUNT`] and then writes [`WORD`] to [`PORT`].
fn firmware() -> Vec<u8> {
    const HLT: u8 = 0xf4;
    let [c0, c1, c2, c3] = COUNT.to_le_bytes();
    let code = [
        0x66, 0xb9, c0, c1, c2, c3, // mov ecx, COUNT
        0x66, 0x49, // dec ecx
        0x75, 0xfc, // jnz to the dec
        0xb0, WORD, // mov al, WORD
        0xe6, PORT, // out PORT, al
        HLT,  // hlt
        0xeb, 0xfd, // jmp to the hlt
    ];
    let jump = [0xeb, (CODE as i64 - (RESET_VECTOR as i64 + 2)) as u8]; // jmp CODE
    let mut image = vec![HLT; FIRMWARE_SIZE];
    image[CODE..CODE + code.len()].copy_from_slice(&code);
    image[RESET_VECTOR..RESET_VECTOR + jump.len()].copy_from_slice(&jump);
    image
}

/// What the answer depends on: this boot of the host, and its QEMU.
fn host_key(program: &Path) -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let changed = fs::metadata(program)
        .and_then(|meta| meta.modified())
        .ok()
        .and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok())
        .map_or(0, |age| age.as_secs());
    format!("{} {} {changed}", boot.trim(), program.display())
}

fn read(cache: &Path, key: &str) -> Option<Choice> {
    let cached: Cached = serde_json::from_slice(&fs::read(cache).ok()?).ok()?;
    (cached.key == key).then_some(cached.choice)
}

fn write(cache: &Path, cached: &Cached) -> std::io::Result<()> {
    let dir = cache
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    fs::create_dir_all(&dir)?;
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    serde_json::to_writer(&mut file, cached)?;
    file.persist(cache)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_runs_to_its_end_where_guests_run() {
        if find_program(qemu::PROGRAM).is_none() {
            assert!(
                std::env::var_os("CI").is_none(),
                "{} is not installed",
                qemu::PROGRAM
            );
            return;
        }
        if let Err(Failure::Says(why)) = boots(Accel::Tcg, &Cancel::new()) {
            panic!("a probe boot with TCG {why}");
        }
    }

    #[test]
    fn a_result_is_kept_for_its_machine_only() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("a/accel.json");
        let choice = Choice {
            accel: Accel::Kvm,
            reason: "it ran".into(),
        };
        write(
            &cache,
            &Cached {
                key: "this".into(),
                choice: choice.clone(),
            },
        )
        .unwrap();
        assert_eq!(read(&cache, "this"), Some(choice));
        assert_eq!(read(&cache, "another"), None);
        fs::write(&cache, "{").unwrap();
        assert_eq!(read(&cache, "this"), None);
    }
}
