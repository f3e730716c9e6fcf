//! The kinds of kernel that one application can be given, as the paper names
//! them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A kind of kernel (paper, section 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// Specialised, and the application runs in kernel mode.
    #[default]
    Lupine,
    /// Specialised, the application in user mode.
    LupineNokml,
    /// As `Lupine`, with what any of the paper's twenty applications needs.
    LupineGeneral,
    /// As `Lupine`, with space before time.
    LupineTiny,
    /// What the others are compared with: an ordinary kernel for microVMs, not
    /// specialised, the application in user mode.
    Microvm,
}

impl Variant {
    /// Every variant, in the paper's order.
    pub const ALL: [Variant; 5] = [
        Variant::Lupine,
        Variant::LupineNokml,
        Variant::LupineGeneral,
        Variant::LupineTiny,
        Variant::Microvm,
    ];

    /// The name that `--variant` takes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Variant::Lupine => "lupine",
            Variant::LupineNokml => "lupine-nokml",
            Variant::LupineGeneral => "lupine-general",
            Variant::LupineTiny => "lupine-tiny",
            Variant::Microvm => "microvm",
        }
    }

    /// Whether the application runs in kernel mode.
    #[must_use]
    pub fn has_kml(self) -> bool {
        !matches!(self, Variant::LupineNokml | Variant::Microvm)
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no variant's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "no variant {0:?}; there are lupine, lupine-nokml, lupine-general, lupine-tiny and microvm"
)]
pub struct UnknownVariant(pub String);

impl FromStr for Variant {
    type Err = UnknownVariant;

    fn from_str(name: &str) -> Result<Variant, UnknownVariant> {
        let found = Variant::ALL
            .into_iter()
            .find(|variant| variant.name() == name);
        found.ok_or_else(|| UnknownVariant(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for variant in Variant::ALL {
            assert_eq!(variant.name().parse(), Ok(variant));
        }
        assert!("lupin".parse::<Variant>().is_err());
    }
}
