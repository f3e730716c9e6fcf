//! The compiler and its companions, as the kernel's Makefile finds them: what
//! they say of themselves decides option values, so they are part of every key.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use thiserror::Error;

use crate::digest::{Digest, DigestBuilder};
use crate::host::{self, Missing, Purpose, find_program};
use crate::kernel::version::KernelVersion;
use crate::process::{Cancel, ProcessError, Task};

/// Which compiler family builds the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Compiler {
    /// gcc and binutils, the kernel's default.
    #[default]
    Gcc,
    /// clang and LLVM's tools, as `make LLVM=1`.
    Clang,
}

/// Why the kernel cannot be built on this machine.
#[derive(Debug, Error)]
pub enum ToolchainError {
    /// Tools are not installed.
    #[error("cannot build a kernel: {0}")]
    Missing(Missing),
    /// A tool does not run.
    #[error(transparent)]
    Process(#[from] ProcessError),
}

/// The tools that build a kernel, with what they say of themselves.
#[derive(Clone, Debug, Serialize)]
pub struct Toolchain {
    /// The family.
    pub compiler: Compiler,
    /// First line of the compiler's `--version`: `CC_VERSION_TEXT`.
    pub cc_version: String,
    /// First line of the linker's `--version`.
    pub ld_version: String,
    /// First line of `rustc --version`, empty without one:
    /// `RUSTC_VERSION_TEXT`.
    pub rustc_version: String,
    /// First line of `pahole --version`, empty without one.
    pub pahole_version: String,
}

impl Toolchain {
    /// Looks for the tools without starting them. `has_source` says that the
    /// user named a kernel source, so that no package of one is missed.
    ///
    /// # Errors
    /// [`ToolchainError::Missing`] with everything that lacks at once and the
    /// line that installs it.
    pub fn require(compiler: Compiler, has_source: bool) -> Result<(), ToolchainError> {
        let mut except: Vec<&str> = Vec::new();
        if has_source {
            except.push("kernel source");
        }
        if compiler == Compiler::Clang {
            except.extend(["gcc", "ld"]);
        }
        host::require(&[Purpose::Kernel], &except).map_err(ToolchainError::Missing)
    }

    /// Finds the tools, as [`Toolchain::require`] does, and asks them who they
    /// are.
    ///
    /// # Errors
    /// [`ToolchainError::Missing`], or a tool does not run.
    pub fn detect(
        compiler: Compiler,
        has_source: bool,
        cancel: &Cancel,
    ) -> Result<Toolchain, ToolchainError> {
        Toolchain::require(compiler, has_source)?;
        let first_line = |program: &str| -> Result<String, ToolchainError> {
            let task = Task::new(program).arg("--version").env("LC_ALL", "C");
            let output = task.run_checked(cancel)?;
            let text = String::from_utf8_lossy(&output.stdout);
            // As the Makefile does: the first line, without `#`.
            Ok(text.lines().next().unwrap_or_default().replace('#', ""))
        };
        let optional = |program: &str| -> Result<String, ToolchainError> {
            if find_program(program).is_none() {
                return Ok(String::new());
            }
            // rustup's proxy is there without a toolchain behind it: not an error.
            Ok(first_line(program).unwrap_or_default())
        };
        let tools = compiler.tools();
        Ok(Toolchain {
            compiler,
            cc_version: first_line(tools.cc)?,
            ld_version: first_line(tools.ld)?,
            rustc_version: optional("rustc")?,
            pahole_version: optional("pahole")?,
        })
    }

    /// Stands for the toolchain in cache keys.
    #[must_use]
    pub fn digest(&self) -> Digest {
        DigestBuilder::new("toolchain-1")
            .field("cc", self.cc_version.as_bytes())
            .field("ld", self.ld_version.as_bytes())
            .field("rustc", self.rustc_version.as_bytes())
            .field("pahole", self.pahole_version.as_bytes())
            .finish()
    }

    /// Arguments of make that choose this toolchain and x86-64.
    #[must_use]
    pub fn make_arguments(&self) -> Vec<String> {
        let mut arguments = vec!["ARCH=x86_64".to_owned()];
        if self.compiler == Compiler::Clang {
            arguments.push("LLVM=1".to_owned());
        }
        arguments
    }

    /// The variables that the tree's Kconfig files read, with the values that
    /// make gives them: the list stands in a build's
    /// `include/config/auto.conf.cmd`.
    #[must_use]
    pub fn kconfig_environment(
        &self,
        tree: &Path,
        version: &KernelVersion,
    ) -> BTreeMap<String, String> {
        let tools = self.compiler.tools();
        [
            ("ARCH", "x86_64"),
            ("SRCARCH", "x86"),
            ("KERNELVERSION", &version.to_string()),
            ("srctree", &tree.display().to_string()),
            ("CC", tools.cc),
            ("LD", tools.ld),
            ("AR", tools.ar),
            ("NM", tools.nm),
            ("OBJCOPY", tools.objcopy),
            ("CLANG_FLAGS", tools.clang_flags),
            ("PYTHON3", "python3"),
            ("RUSTC", "rustc"),
            ("BINDGEN", "bindgen"),
            ("PAHOLE", "pahole"),
            ("CC_VERSION_TEXT", &self.cc_version),
            ("RUSTC_VERSION_TEXT", &self.rustc_version),
            ("KCONFIG_DEFCONFIG_LIST", ""),
            ("CONFIG_", "CONFIG_"),
            ("CONFIG_SHELL", "sh"),
            ("LC_ALL", "C"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
    }
}

struct Names {
    cc: &'static str,
    ld: &'static str,
    ar: &'static str,
    nm: &'static str,
    objcopy: &'static str,
    clang_flags: &'static str,
}

impl Compiler {
    fn tools(self) -> Names {
        match self {
            Compiler::Gcc => Names {
                cc: "gcc",
                ld: "ld",
                ar: "ar",
                nm: "nm",
                objcopy: "objcopy",
                clang_flags: "",
            },
            Compiler::Clang => Names {
                cc: "clang",
                ld: "ld.lld",
                ar: "llvm-ar",
                nm: "llvm-nm",
                objcopy: "llvm-objcopy",
                // What scripts/Makefile.clang gives for a native build.
                clang_flags: "--target=x86_64-linux-gnu -fintegrated-as -Werror=unknown-warning-option -Werror=ignored-optimization-argument -Werror=option-ignored -Werror=unused-command-line-argument",
            },
        }
    }
}
