//! Where figures were made: without it they mean little.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::system::uname;

use super::report::Conditions;
use crate::error::Error;
use crate::pipeline::Lupine;
use crate::process::Task;
use crate::vmm::{Accel, VmError};

/// This machine, its VMM and its compiler; `kernel` is the version of the guest's kernel.
///
/// # Errors
/// The VMM or the compiler is not installed.
pub fn conditions(lupine: &Lupine, kernel: &str) -> Result<Conditions, Error> {
    let accel = lupine.choose_accelerator()?.accel;
    let version = Task::new(lupine.vmm().program())
        .arg("--version")
        .run_checked(lupine.cancel())
        .map_err(VmError::from)?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let system = uname();
    let words = [system.sysname(), system.release()].map(|word| word.to_string_lossy());
    Ok(Conditions {
        date: date(SystemTime::now()),
        lupine: env!("CARGO_PKG_VERSION").to_owned(),
        processor: field(&read("/proc/cpuinfo"), "model name"),
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        memory_mib: memory(&read("/proc/meminfo")),
        host: words.join(" "),
        vmm: version.lines().next().unwrap_or_default().to_owned(),
        accelerator: accel.name().to_owned(),
        emulated: accel == Accel::Tcg,
        kernel: kernel.to_owned(),
        compiler: lupine.toolchain()?.cc_version,
    })
}

/// The value of the first line `name : value`.
fn field(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned()))
        .unwrap_or_else(|| "unknown".to_owned())
}

/// `MemTotal` of proc(5), in MiB.
fn memory(text: &str) -> u64 {
    let total = field(text, "MemTotal");
    total
        .split(' ')
        .next()
        .and_then(|number| number.parse::<u64>().ok())
        .map_or(0, |kib| kib / 1024)
}

/// The day in UTC, `YYYY-MM-DD`.
fn date(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs());
    let seconds = i64::try_from(seconds).unwrap_or_default();
    jiff::Timestamp::from_second(seconds)
        .map(|time| time.strftime("%Y-%m-%d").to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn fields_are_read() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\nmodel name\t: Other\n";
        assert_eq!(field(text, "model name"), "Some CPU @ 3 GHz");
        assert_eq!(field("", "model name"), "unknown");
        assert_eq!(memory("MemTotal:       24590000 kB\n"), 24013);
    }

    #[test]
    fn days_are_as_people_write_them() {
        assert_eq!(
            date(UNIX_EPOCH + Duration::from_secs(951_868_800)),
            "2000-03-01"
        );
    }
}
