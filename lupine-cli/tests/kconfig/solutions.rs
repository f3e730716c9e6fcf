//! Solving on whole trees: a solution has the required values, and `conf` leaves it as it is.

use crate::reference::{Kernel, Version};
use crate::run::{Environment as Variables, Setting};
use crate::toolchain::Probes;
use lupine_kconfig::prune::prune;
use lupine_kconfig::solve::{Requirement, SolveError, solve};
use lupine_kconfig::{Dialect, DirFiles, Environment, Kconfig, Shell, ShellError, ShellOutput};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

/// The shell, with the variables of a setting.
struct Live<'a>(&'a Variables, &'a Path);

impl Shell for Live<'_> {
    fn run(&self, command: &[u8]) -> Result<ShellOutput, ShellError> {
        let output = Command::new("sh")
            .arg("-c")
            .arg(std::ffi::OsStr::from_bytes(command))
            .env_clear()
            .envs(self.0)
            .current_dir(self.1)
            .output()?;
        Ok(ShellOutput {
            stdout: output.stdout,
            stderr: output.stderr,
        })
    }
}

/// The x86 tree of a release, and the setting it was read in.
pub(crate) fn load(kernel: &Kernel) -> (Kconfig, Setting) {
    let setting = Setting::tree(kernel, "x86", Probes::Pass);
    let mut environment = Environment::new();
    for (name, value) in &setting.environment {
        environment.insert(name.as_bytes().to_vec(), value.as_bytes().to_vec());
    }
    let directory = tempfile::tempdir().unwrap();
    let dialect = Dialect::for_kernel_version(&kernel.release).unwrap();
    let shell = Live(&setting.environment, directory.path());
    let files = DirFiles::new(directory.path());
    let tree = Kconfig::load(&files, "Kconfig", &environment, &shell, dialect).unwrap();
    (tree, setting)
}

const NEEDS: [&[(&str, &str)]; 7] = [
    &[
        ("64BIT", "y"),
        ("INET", "y"),
        ("VIRTIO_NET", "y"),
        ("VIRTIO_BLK", "y"),
        ("EXT4_FS", "y"),
    ],
    &[
        ("FUTEX", "y"),
        ("EPOLL", "y"),
        ("SYSVIPC", "y"),
        ("UNIX", "y"),
        ("PROC_FS", "y"),
    ],
    &[
        ("NF_CONNTRACK", "y"),
        ("NF_NAT", "y"),
        ("IP_NF_NAT", "y"),
        ("BRIDGE", "y"),
    ],
    &[("CRC32", "y"), ("ZLIB_INFLATE", "y"), ("LIBCRC32C", "y")],
    &[
        ("VIRTIO_MMIO", "y"),
        ("SERIAL_8250_CONSOLE", "y"),
        ("HZ_100", "y"),
        ("TMPFS", "y"),
    ],
    &[("BTRFS_FS", "m"), ("KVM_INTEL", "m"), ("XFS_FS", "m")],
    &[
        ("LOG_BUF_SHIFT", "14"),
        ("DEFAULT_HOSTNAME", "unikernel"),
        ("SMP", "y"),
        ("NR_CPUS", "4"),
    ],
];

#[test]
fn solutions_are_fixed_points() {
    for version in Version::ALL {
        let Some(kernel) = Kernel::get(version) else {
            return;
        };
        let (tree, setting) = load(kernel);
        for needs in NEEDS {
            let needs: Vec<Requirement> = needs
                .iter()
                .map(|(name, value)| Requirement::new(*name, *value, "a test"))
                .collect();
            let mut solution =
                solve(&tree, &needs).unwrap_or_else(|error| panic!("{}: {error}", kernel.release));
            for need in &needs {
                assert_eq!(
                    solution.config.value(&need.name).as_deref(),
                    Some(&*need.value)
                );
            }
            eprintln!("{}: {} values added", needs[0], solution.added.len());
            assert!(
                solution.added.len() < 150,
                "{} values",
                solution.added.len()
            );
            let again = solve(&tree, &needs).unwrap();
            assert_eq!(again.added, solution.added);
            prune(&mut solution.config, &needs).unwrap();
            let config = solution.config.write();
            let outcome = &setting
                .with_config(&config)
                .run(&kernel.conf, &[&["--olddefconfig", "Kconfig"]])[0];
            let after = &outcome.files[Path::new(".config")];
            assert!(
                *after == config,
                "{} {needs:?}: conf changes the solution:\n{}",
                kernel.release,
                String::from_utf8_lossy(&outcome.stdout)
            );
            assert_eq!(String::from_utf8_lossy(&outcome.stderr), "");
        }
        let impossible = [
            Requirement::new("64BIT", "y", "the program is built for it"),
            Requirement::new("INET", "y", "socket"),
            Requirement::new("NET", "n", "smaller"),
        ];
        let Err(SolveError::Conflict(conflict)) = solve(&tree, &impossible) else {
            panic!("INET without NET")
        };
        let names: Vec<&str> = conflict
            .requirements
            .iter()
            .map(|r| r.name.as_str())
            .collect();
        assert_eq!(names, ["INET", "NET"]);
    }
}
