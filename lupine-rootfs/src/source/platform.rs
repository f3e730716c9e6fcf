//! Platforms of images: operating system, architecture, variant.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A platform, in the words of Go's `GOOS` and `GOARCH` that image indexes use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// Operating system: `linux`.
    pub os: String,
    /// Architecture: `amd64`, `arm64`, ...
    pub architecture: String,
    /// Variant of the architecture, such as `v8`; any where this is `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Default for Platform {
    /// `linux/amd64`
    fn default() -> Self {
        Self {
            os: "linux".to_owned(),
            architecture: "amd64".to_owned(),
            variant: None,
        }
    }
}

/// A text that is no platform.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no platform: expected `os/architecture` or `os/architecture/variant`")]
pub struct ParsePlatformError(pub String);

impl FromStr for Platform {
    type Err = ParsePlatformError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match *parts {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => return Err(ParsePlatformError(text.to_owned())),
        };
        if parts.iter().any(|part| part.is_empty()) {
            return Err(ParsePlatformError(text.to_owned()));
        }
        Ok(Self {
            os: os.to_owned(),
            architecture: normal(architecture).to_owned(),
            variant: variant.map(ToOwned::to_owned),
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl Platform {
    /// Whether an image of `other` runs where this platform is asked for. Parts an image leaves
    /// open are no objection.
    pub fn accepts(&self, other: &Platform) -> bool {
        let same = |wanted: &str, found: &str| found.is_empty() || wanted == found;
        same(&self.os, &other.os)
            && same(normal(&self.architecture), normal(&other.architecture))
            && match (&self.variant, &other.variant) {
                (Some(wanted), Some(found)) => wanted == found,
                _ => true,
            }
    }
}

/// One name for an architecture that has several.
fn normal(architecture: &str) -> &str {
    match architecture {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for text in ["linux/amd64", "linux/arm64/v8"] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), text);
        }
        let same: Platform = "linux/x86_64".parse().unwrap();
        assert_eq!(same, Platform::default());
        for text in ["", "linux", "linux/", "a/b/c/d"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }

    #[test]
    fn open_parts_match_anything() {
        let wanted = Platform::default();
        let platform = |text: &str| text.parse::<Platform>().unwrap();
        assert!(wanted.accepts(&platform("linux/amd64/v2")));
        assert!(!wanted.accepts(&platform("linux/arm64")));
        assert!(!wanted.accepts(&platform("windows/amd64")));
        assert!(!platform("linux/arm/v7").accepts(&platform("linux/arm/v6")));
    }
}
