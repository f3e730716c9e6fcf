//! What an application requires of the kernel, and why we believe it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::kernel::syscalls::Syscalls;

/// One thing that the kernel must offer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Requirement {
    /// A system call, by its name in the kernel.
    Call(String),
    /// Sockets of a family, such as `INET`.
    Socket(String),
    /// A path under /proc, /sys or /dev.
    Path(String),
    /// A behaviour that is neither a call nor a path, such as `network card`.
    Behaviour(String),
    /// An option that the user names.
    Option(String),
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Requirement::Call(name) => write!(f, "{name}()"),
            Requirement::Socket(family) => write!(f, "AF_{family} sockets"),
            Requirement::Path(path) => f.write_str(path),
            Requirement::Behaviour(what) => f.write_str(what),
            Requirement::Option(name) => write!(f, "CONFIG_{name}"),
        }
    }
}

/// Whether an application runs without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strength {
    /// The application is believed to fail without it.
    Required,
    /// The application asks for it and is believed to go on without it.
    Optional,
}

/// Where a requirement was seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Evidence {
    /// A file of the image imports a function.
    Import {
        /// Path in the image.
        file: String,
        /// The function.
        symbol: String,
        /// Where it is called, in the file's own addresses; absent where its
        /// address is only taken.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<u64>,
    },
    /// A file of the image makes a system call itself.
    Site {
        /// Path in the image.
        file: String,
        /// The function around it, where it has a name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        function: Option<String>,
        /// Address of the instruction.
        address: u64,
    },
    /// A file of the image holds a string.
    Text {
        /// Path in the image.
        file: String,
        /// The string.
        text: String,
    },
    /// A file of the image is of a kind that needs it.
    File {
        /// Path in the image.
        file: String,
        /// What it is.
        what: String,
    },
    /// The image's configuration or the manifest says it.
    Configured {
        /// What is said, and where.
        what: String,
    },
    /// The application was seen to ask for it.
    Traced {
        /// The system call by which it did.
        call: String,
        /// The error number by which the kernel said that it lacks it, where
        /// it did so each time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<i32>,
    },
    /// The application was run with all refused that an option offers.
    Refused {
        /// The option, without `CONFIG_`.
        option: String,
        /// Whether its health check passed all the same.
        ready: bool,
    },
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Evidence::Import {
                file,
                symbol,
                address: Some(address),
            } => write!(f, "{file} calls {symbol} at {address:#x}"),
            Evidence::Import { file, symbol, .. } => write!(f, "{file} imports {symbol}"),
            Evidence::Site {
                file,
                function,
                address,
            } => {
                write!(f, "{file} has the instruction at {address:#x}")?;
                match function {
                    Some(name) => write!(f, " in {name}"),
                    None => Ok(()),
                }
            }
            Evidence::Text { file, text } => write!(f, "{file} holds {text:?}"),
            Evidence::File { file, what } => write!(f, "{file} is {what}"),
            Evidence::Configured { what } => f.write_str(what),
            Evidence::Traced { call, error: None } => write!(f, "seen in a trace: {call}"),
            Evidence::Traced {
                call,
                error: Some(error),
            } => {
                let reason = std::io::Error::from_raw_os_error(*error);
                write!(f, "seen in a trace: {call} failed: {reason}")
            }
            Evidence::Refused { option, ready } => {
                let ready = if *ready { "ready" } else { "not ready" };
                write!(
                    f,
                    "{ready} where all that CONFIG_{option} offers was refused"
                )
            }
        }
    }
}

impl Evidence {
    /// The file of the image that it was seen in.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        match self {
            Evidence::Import { file, .. }
            | Evidence::Site { file, .. }
            | Evidence::Text { file, .. }
            | Evidence::File { file, .. } => Some(file),
            Evidence::Configured { .. } | Evidence::Traced { .. } | Evidence::Refused { .. } => {
                None
            }
        }
    }
}

/// Who says that something is required.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Analysis, the image's configuration or the manifest.
    Analysis,
    /// A trace alone.
    Trace,
    /// Analysis and a trace.
    Both,
}

/// Where analysis and a trace differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disagreement {
    /// Analysis requires it; until the application was ready, it did not ask.
    NeverSeen,
    /// The application asked for it; analysis did not see that it would.
    NotAnalysed,
    /// Analysis requires it; the kernel lacked it, and the application was
    /// ready all the same.
    DoneWithout,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Disagreement::NeverSeen => "analysis: required; trace: never asked for until ready",
            Disagreement::NotAnalysed => "trace: asked for; not seen by analysis",
            Disagreement::DoneWithout => "analysis: required; trace: ready without",
        })
    }
}

/// A requirement with its strength and evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// What is required.
    pub requirement: Requirement,
    /// How much.
    pub strength: Strength,
    /// Why we believe it; at least one.
    pub evidence: Vec<Evidence>,
    /// The kernel options that offer it, without `CONFIG_`, with their values;
    /// empty where every kernel offers it, and for system calls until a kernel
    /// tree has been asked ([`Needs::resolve`]).
    pub options: BTreeMap<String, String>,
    /// Where analysis and a trace differ about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disagreement: Option<Disagreement>,
}

impl Need {
    /// Who says that it is required.
    #[must_use]
    pub fn origin(&self) -> Origin {
        let traced = |evidence: &Evidence| {
            matches!(evidence, Evidence::Traced { .. } | Evidence::Refused { .. })
        };
        match (
            self.evidence.iter().any(traced),
            self.evidence.iter().all(traced),
        ) {
            (true, true) => Origin::Trace,
            (true, false) => Origin::Both,
            (false, _) => Origin::Analysis,
        }
    }
}

/// Everything that an application requires, sorted by requirement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// The needs.
    pub needs: Vec<Need>,
    /// What analysis could not see, in words.
    pub unknown: Vec<String>,
}

/// How many pieces of evidence one need keeps.
const MOST_EVIDENCE: usize = 8;

impl Needs {
    /// Adds a requirement, merging it with an equal one: the stronger strength
    /// stays, evidence adds up (at most eight pieces, to stay readable), what
    /// made it stronger first.
    pub fn add(&mut self, requirement: Requirement, strength: Strength, evidence: Evidence) {
        match self
            .needs
            .binary_search_by(|need| need.requirement.cmp(&requirement))
        {
            Ok(at) => {
                let Some(need) = self.needs.get_mut(at) else {
                    return;
                };
                let stronger = strength < need.strength;
                need.strength = need.strength.min(strength);
                if !need.evidence.contains(&evidence) {
                    let last = need.evidence.len();
                    let place = if stronger { 0 } else { last };
                    need.evidence.insert(place, evidence);
                    need.evidence.truncate(MOST_EVIDENCE);
                }
            }
            Err(at) => {
                let options = super::table::options_of(&requirement);
                let evidence = vec![evidence];
                self.needs.insert(
                    at,
                    Need {
                        requirement,
                        strength,
                        evidence,
                        options,
                        disagreement: None,
                    },
                );
            }
        }
    }

    /// Fills in the options of system calls from a kernel tree.
    pub fn resolve(&mut self, syscalls: &Syscalls) {
        for need in &mut self.needs {
            if let Requirement::Call(name) = &need.requirement {
                need.options = syscalls.options(name);
            }
        }
    }

    /// Makes those that `weak` names optional.
    pub(super) fn weaken(&mut self, weak: impl Fn(&Requirement) -> bool) {
        for need in &mut self.needs {
            if weak(&need.requirement) {
                need.strength = Strength::Optional;
            }
        }
    }

    /// Adds an option that the user states.
    pub fn state(&mut self, symbol: &str, value: &str) {
        let requirement = Requirement::Option(symbol.to_owned());
        let what = "the manifest asks for it".to_owned();
        self.add(
            requirement.clone(),
            Strength::Required,
            Evidence::Configured { what },
        );
        let find = |need: &&mut Need| need.requirement == requirement;
        if let Some(need) = self.needs.iter_mut().find(find) {
            need.options = BTreeMap::from([(symbol.to_owned(), value.to_owned())]);
        }
    }

    /// Adds what a machine of several processors needs; the kernel has room for no more of them.
    pub fn have_processors(&mut self, processors: u8) {
        if processors < 2 {
            return;
        }
        let what = format!("the machine has {processors} processors");
        let requirement = Requirement::Behaviour("several processors".to_owned());
        let evidence = Evidence::Configured { what };
        self.add(requirement.clone(), Strength::Required, evidence);
        let found = |need: &&mut Need| need.requirement == requirement;
        if let Some(need) = self.needs.iter_mut().find(found) {
            let count = processors.to_string();
            need.options.insert("NR_CPUS".to_owned(), count);
        }
    }

    /// The options to ask for: symbol, value, and the reason in words. Each
    /// symbol once, for the first need that wants it; needs of `strength` or
    /// stronger.
    #[must_use]
    pub fn options(&self, strength: Strength) -> Vec<OptionNeed> {
        let mut options: BTreeMap<&str, OptionNeed> = BTreeMap::new();
        for need in self.needs.iter().filter(|need| need.strength <= strength) {
            for (symbol, value) in &need.options {
                options.entry(symbol).or_insert_with(|| {
                    let evidence = need.evidence.first().map(|e| format!(": {e}"));
                    OptionNeed {
                        symbol: symbol.clone(),
                        value: value.clone(),
                        because: format!("{}{}", need.requirement, evidence.unwrap_or_default()),
                    }
                });
            }
        }
        options.into_values().collect()
    }
}

/// A kernel option that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptionNeed {
    /// The option, without `CONFIG_`.
    pub symbol: String,
    /// Its value, as in a `.config`, strings without quotes.
    pub value: String,
    /// Why, in words.
    pub because: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import(symbol: &str) -> Evidence {
        Evidence::Import {
            file: "/bin/x".to_owned(),
            symbol: symbol.to_owned(),
            address: None,
        }
    }

    #[test]
    fn equal_requirements_merge() {
        let mut needs = Needs::default();
        let inet = || Requirement::Socket("INET".to_owned());
        needs.add(inet(), Strength::Optional, import("a"));
        needs.add(inet(), Strength::Required, import("b"));
        needs.add(inet(), Strength::Optional, import("b"));
        assert_eq!(needs.needs.len(), 1);
        assert_eq!(needs.needs[0].strength, Strength::Required);
        assert_eq!(needs.needs[0].evidence.len(), 2);
        let options = needs.options(Strength::Required);
        assert_eq!(options[0].symbol, "INET");
        assert_eq!(options[0].because, "AF_INET sockets: /bin/x imports b");
    }

    #[test]
    fn what_makes_a_need_required_is_among_much_evidence() {
        let mut needs = Needs::default();
        let call = || Requirement::Call("accept".to_owned());
        for number in 0..20 {
            needs.add(call(), Strength::Optional, import(&number.to_string()));
        }
        needs.add(call(), Strength::Required, import("accept"));
        let evidence = &needs.needs[0].evidence;
        assert_eq!(evidence.len(), MOST_EVIDENCE);
        assert_eq!(evidence[0], import("accept"));
    }
}
