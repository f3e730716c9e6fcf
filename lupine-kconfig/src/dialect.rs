//! Which language is read and whose rules are followed.

use crate::files::Files;

/// How values are computed, written and reported: the kernel release whose `conf` is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rules {
    /// Linux 6.1: a choice is a symbol of its own, may be tristate or optional.
    Linux6_1,
    /// Linux 6.12: a choice is a menu of boolean members with priorities.
    Linux6_12,
}

/// Which `conf` of the rules of 6.1 is followed: they were the same from 2.6 on but for details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Era {
    /// Up to 4.19.
    Old,
    /// 4.20, the `conf` of U-Boot.
    Early,
    /// 6.1 itself, or other rules.
    Present,
}

/// A dialect: the rules of evaluation, and the syntax accepted beside that of the rules' kernel.
///
/// | dialect | rules | syntax beside the kernel's |
/// |---|---|---|
/// | `linux-6.12` | 6.12 | none |
/// | `linux-6.1` | 6.1 | none (`optional`, named and tristate choices belong to 6.1) |
/// | `linux-next` | 6.12 | `transitional`, `depends on A if B` |
/// | `linux-4` | 6.1, old | `option env=`, `option modules`, `---help---`, `boolean`, `$VAR`, bare `source` |
/// | `buildroot` | 6.1 | as `linux-4`, with an empty prefix |
/// | `busybox` | 6.1, old | as `linux-4`; symbols that cannot be seen are written as well, an empty number as `0` |
/// | `u-boot` | 6.1, early | as `linux-4`; texts are written without escapes |
/// | `coreboot` | 6.1 | as `linux-4`, `source` takes globs, which may match nothing |
/// | `zephyr` | 6.1 | as `coreboot`, `rsource`, `osource`, `orsource`, `def_int`, `def_hex`, `def_string` |
///
/// *early*: as `conf` was up to 4.20. `.config` does not say where menus end; `imply` does nothing
/// where the direct dependency is unmet, and an implied `y` excludes `m`; a number beyond its
/// range becomes the bound's value and not its text; `option allnoconfig_y` is heeded; only `syncconfig` writes what
/// a build reads. *old*: as
/// before 4.20: the same, and a default of `n` is written for what cannot be seen. Messages have
/// the words of 6.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialect {
    name: &'static str,
    rules: Rules,
    pub(crate) legacy: bool,
    pub(crate) globs: bool,
    pub(crate) relative_source: bool,
    pub(crate) typed_defaults: bool,
    pub(crate) newer: bool,
    era: Era,
    /// Backslashes in texts of `.config` stand for themselves.
    pub(crate) plain_texts: bool,
    /// What is not visible is written, too, and an empty number as zero.
    pub(crate) writes_hidden: bool,
    prefix: &'static str,
}

const fn linux(name: &'static str, rules: Rules) -> Dialect {
    Dialect {
        name,
        rules,
        legacy: false,
        globs: false,
        relative_source: false,
        typed_defaults: false,
        newer: false,
        era: Era::Present,
        plain_texts: false,
        writes_hidden: false,
        prefix: "CONFIG_",
    }
}

impl Dialect {
    /// Linux 6.12.
    pub const LINUX_6_12: Dialect = linux("linux-6.12", Rules::Linux6_12);
    /// Linux 6.1.
    pub const LINUX_6_1: Dialect = linux("linux-6.1", Rules::Linux6_1);
    /// Kernels after 6.12: `transitional` and conditional dependencies.
    pub const LINUX_NEXT: Dialect = Dialect {
        newer: true,
        ..linux("linux-next", Rules::Linux6_12)
    };
    /// Kernels before 4.18 and projects that copied their `conf`.
    pub const LINUX_4: Dialect = Dialect {
        legacy: true,
        era: Era::Old,
        ..linux("linux-4", Rules::Linux6_1)
    };
    /// Buildroot: the old language, names are written without a prefix.
    pub const BUILDROOT: Dialect = Dialect {
        legacy: true,
        prefix: "",
        ..linux("buildroot", Rules::Linux6_1)
    };
    /// Busybox.
    pub const BUSYBOX: Dialect = Dialect {
        legacy: true,
        writes_hidden: true,
        era: Era::Old,
        ..linux("busybox", Rules::Linux6_1)
    };
    /// U-Boot.
    pub const U_BOOT: Dialect = Dialect {
        legacy: true,
        era: Era::Early,
        plain_texts: true,
        ..linux("u-boot", Rules::Linux6_1)
    };
    /// coreboot: `source` with patterns.
    pub const COREBOOT: Dialect = Dialect {
        legacy: true,
        globs: true,
        ..linux("coreboot", Rules::Linux6_1)
    };
    /// Zephyr: the language of Kconfiglib.
    pub const ZEPHYR: Dialect = Dialect {
        legacy: true,
        globs: true,
        relative_source: true,
        typed_defaults: true,
        ..linux("zephyr", Rules::Linux6_1)
    };

    /// Every dialect, the kernel's own first.
    pub const ALL: [&'static Dialect; 9] = [
        &Dialect::LINUX_6_12,
        &Dialect::LINUX_6_1,
        &Dialect::LINUX_NEXT,
        &Dialect::LINUX_4,
        &Dialect::BUILDROOT,
        &Dialect::BUSYBOX,
        &Dialect::U_BOOT,
        &Dialect::COREBOOT,
        &Dialect::ZEPHYR,
    ];

    /// The dialect of that name, as listed in the table above.
    pub fn by_name(name: &str) -> Option<Dialect> {
        Self::ALL
            .iter()
            .find(|dialect| dialect.name == name)
            .map(|dialect| (*dialect).clone())
    }

    /// The dialect for a kernel release as `KERNELVERSION` spells it (`6.12.9`, `6.1.0-rc3`).
    ///
    /// Choices got their present rules in 6.11; anything newer than 6.12 reads the newest
    /// language. `None` when the text does not begin with two numbers.
    pub fn for_kernel_version(version: &str) -> Option<Dialect> {
        let mut numbers = version.split(|c: char| !c.is_ascii_digit());
        let major: u32 = numbers.next()?.parse().ok()?;
        let minor: u32 = numbers.next()?.parse().ok()?;
        Some(match (major, minor) {
            (0..=3, _) | (4, 0..=17) => Self::LINUX_4,
            (4 | 5, _) | (6, 0..=10) => Self::LINUX_6_1,
            (6, 11 | 12) => Self::LINUX_6_12,
            _ => Self::LINUX_NEXT,
        })
    }

    /// The dialect of the tree whose top is where relative names of `files` begin: by the files
    /// that only one project has, and for Linux by the version in its makefile.
    ///
    /// ```
    /// use lupine_kconfig::{Dialect, MemoryFiles};
    /// let makefile = "VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 158\n";
    /// let files = MemoryFiles::from([("Makefile", makefile), ("scripts/kconfig/conf.c", "")]);
    /// assert_eq!(Dialect::detect(&files), Some(Dialect::LINUX_6_1));
    /// ```
    pub fn detect(files: &dyn Files) -> Option<Dialect> {
        let has = |name: &str| files.read(name.as_bytes()).is_ok();
        let marks = [
            ("Kconfig.zephyr", Self::ZEPHYR),
            ("package/Config.in", Self::BUILDROOT),
            ("include/applets.src.h", Self::BUSYBOX),
            ("src/mainboard/Kconfig", Self::COREBOOT),
        ];
        if let Some((_, dialect)) = marks.into_iter().find(|(name, _)| has(name)) {
            return Some(dialect);
        }
        if !has("scripts/kconfig/conf.c") {
            return None;
        }
        let makefile = files.read(b"Makefile").ok()?;
        let makefile = String::from_utf8_lossy(&makefile);
        let value = |name: &str| {
            makefile.lines().find_map(|line| {
                let value = line.strip_prefix(name)?.trim_start().strip_prefix('=')?;
                Some(value.trim().to_owned())
            })
        };
        if value("UBOOTVERSION").is_some() {
            return Some(Self::U_BOOT);
        }
        Self::for_kernel_version(&format!("{}.{}", value("VERSION")?, value("PATCHLEVEL")?))
    }

    /// The name in the table above.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether `conf` is followed as it was up to 4.20.
    pub(crate) fn is_early(&self) -> bool {
        self.era <= Era::Early
    }

    /// Whether an active default has a symbol written even where it is `n`.
    pub(crate) fn writes_default_off(&self) -> bool {
        self.era == Era::Old
    }

    /// The rules of evaluation.
    pub fn rules(&self) -> Rules {
        self.rules
    }

    /// What names are prefixed with in `.config` when the environment's `CONFIG_` does not say.
    pub fn prefix(&self) -> &'static str {
        self.prefix
    }
}

impl Default for Dialect {
    /// The newest kernel this library was compared with: 6.12.
    fn default() -> Self {
        Self::LINUX_6_12
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_versions_choose_rules() {
        let rules = |version| Dialect::for_kernel_version(version).map(|dialect| dialect.rules());
        assert_eq!(rules("6.1.158"), Some(Rules::Linux6_1));
        assert_eq!(rules("6.12.57"), Some(Rules::Linux6_12));
        assert_eq!(rules("7.0.0-rc1"), Some(Rules::Linux6_12));
        assert_eq!(rules("next"), None);
    }

    #[test]
    fn every_name_finds_its_dialect() {
        for dialect in Dialect::ALL {
            assert_eq!(Dialect::by_name(dialect.name()).as_ref(), Some(dialect));
        }
    }
}
