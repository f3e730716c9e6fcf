//! When a piece of the kernel is part of it: options combined by and, or, not.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A condition on a configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// In every kernel.
    Always,
    /// In no kernel for x86-64.
    Never,
    /// Where this option, without `CONFIG_`, is on.
    Option(String),
    /// Where the condition does not hold.
    Not(Box<Condition>),
    /// Where all hold.
    All(Vec<Condition>),
    /// Where one of them holds.
    Any(Vec<Condition>),
}

impl Condition {
    /// An option; those that x86-64 fixes are decided at once.
    #[must_use]
    pub fn option(name: &str) -> Condition {
        match name {
            "X86_64" | "64BIT" | "X86" | "MMU" => Condition::Always,
            "X86_32" | "UML" => Condition::Never,
            _ => Condition::Option(name.to_owned()),
        }
    }

    /// Both hold.
    #[must_use]
    pub fn and(self, other: Condition) -> Condition {
        match (self, other) {
            (Condition::Never, _) | (_, Condition::Never) => Condition::Never,
            (Condition::Always, one) | (one, Condition::Always) => one,
            (one, other) if one == other => one,
            (one, other) => {
                let mut parts = one.parts_of_all();
                for part in other.parts_of_all() {
                    if !parts.contains(&part) {
                        parts.push(part);
                    }
                }
                Condition::All(parts)
            }
        }
    }

    /// One of both holds.
    #[must_use]
    pub fn or(self, other: Condition) -> Condition {
        match (self, other) {
            (Condition::Always, _) | (_, Condition::Always) => Condition::Always,
            (Condition::Never, one) | (one, Condition::Never) => one,
            (one, other) if one == other => one,
            (one, other) if one == other.clone().negated() => Condition::Always,
            (one, other) => {
                let mut parts = one.parts_of_any();
                for part in other.parts_of_any() {
                    if !parts.contains(&part) {
                        parts.push(part);
                    }
                }
                Condition::Any(parts)
            }
        }
    }

    /// It does not hold.
    #[must_use]
    pub fn negated(self) -> Condition {
        match self {
            Condition::Always => Condition::Never,
            Condition::Never => Condition::Always,
            Condition::Not(inner) => *inner,
            other => Condition::Not(Box::new(other)),
        }
    }

    fn parts_of_all(self) -> Vec<Condition> {
        match self {
            Condition::All(parts) => parts,
            other => vec![other],
        }
    }

    fn parts_of_any(self) -> Vec<Condition> {
        match self {
            Condition::Any(parts) => parts,
            other => vec![other],
        }
    }

    /// Whether it holds in a configuration, which says of an option's name
    /// whether it is on.
    #[must_use]
    pub fn holds(&self, is_on: &dyn Fn(&str) -> bool) -> bool {
        match self {
            Condition::Always => true,
            Condition::Never => false,
            Condition::Option(name) => is_on(name),
            Condition::Not(inner) => !inner.holds(is_on),
            Condition::All(parts) => parts.iter().all(|part| part.holds(is_on)),
            Condition::Any(parts) => parts.iter().any(|part| part.holds(is_on)),
        }
    }

    /// The fewest options to turn on (`y`) or off (`n`) so that it holds; the
    /// first written among equals. Nothing where it cannot hold.
    #[must_use]
    pub fn options(&self) -> Option<BTreeMap<String, String>> {
        match self {
            Condition::Always => Some(BTreeMap::new()),
            Condition::Never => None,
            Condition::Option(name) => Some(BTreeMap::from([(name.clone(), "y".to_owned())])),
            Condition::Not(inner) => match &**inner {
                Condition::Option(name) => Some(BTreeMap::from([(name.clone(), "n".to_owned())])),
                Condition::All(parts) => first_smallest(parts.iter().map(Condition::off)),
                Condition::Any(parts) => together(parts.iter().map(Condition::off)),
                Condition::Always | Condition::Never | Condition::Not(_) => None,
            },
            Condition::All(parts) => together(parts.iter().map(Condition::options)),
            Condition::Any(parts) => first_smallest(parts.iter().map(Condition::options)),
        }
    }

    fn off(&self) -> Option<BTreeMap<String, String>> {
        self.clone().negated().options()
    }
}

fn together(
    parts: impl Iterator<Item = Option<BTreeMap<String, String>>>,
) -> Option<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for part in parts {
        for (name, value) in part? {
            if all.get(&name).is_some_and(|other| *other != value) {
                return None;
            }
            all.insert(name, value);
        }
    }
    Some(all)
}

fn first_smallest(
    parts: impl Iterator<Item = Option<BTreeMap<String, String>>>,
) -> Option<BTreeMap<String, String>> {
    parts.flatten().min_by_key(BTreeMap::len)
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, parts: &[Condition], between: &str| {
            for (index, part) in parts.iter().enumerate() {
                if index > 0 {
                    f.write_str(between)?;
                }
                match part {
                    Condition::All(_) | Condition::Any(_) => write!(f, "({part})")?,
                    _ => write!(f, "{part}")?,
                }
            }
            Ok(())
        };
        match self {
            Condition::Always => f.write_str("always"),
            Condition::Never => f.write_str("never"),
            Condition::Option(name) => f.write_str(name),
            Condition::Not(inner) => write!(f, "!({inner})"),
            Condition::All(parts) => list(f, parts, " && "),
            Condition::Any(parts) => list(f, parts, " || "),
        }
    }
}

/// Reads the expression of an `#if`. Parts that are no question about options
/// (`defined(__ARCH_WANT_SYS_ALARM)`, `BITS_PER_LONG == 32`) are unknown:
/// `None`, and what is combined with them is as if they were not there.
pub(super) fn of_expression(text: &str) -> Option<Condition> {
    let mut parser = Parser {
        tokens: tokens(text),
        at: 0,
        depth: 0,
    };
    parser.any()
}

fn tokens(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if first.is_alphanumeric() || first == '_' {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len())
        } else if ["&&", "||", "==", "!=", ">=", "<=", "<<", ">>"]
            .iter()
            .any(|two| rest.starts_with(two))
        {
            2
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        out.push(token);
        rest = after.trim_start();
    }
    out
}

/// How deep parentheses may nest; what lies deeper is unknown.
const MAX_DEPTH: usize = 32;

struct Parser<'a> {
    tokens: Vec<&'a str>,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.tokens.get(self.at).copied()
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.peek() == Some(token);
        self.at += usize::from(found);
        found
    }

    fn any(&mut self) -> Option<Condition> {
        let mut left = self.all();
        while self.take("||") {
            let right = self.all();
            left = match (left, right) {
                (Some(left), Some(right)) => Some(left.or(right)),
                (one, other) => one.or(other),
            };
        }
        left
    }

    fn all(&mut self) -> Option<Condition> {
        let mut left = self.comparison();
        while self.take("&&") {
            let right = self.comparison();
            left = match (left, right) {
                (Some(left), Some(right)) => Some(left.and(right)),
                (one, other) => one.or(other),
            };
        }
        left
    }

    fn comparison(&mut self) -> Option<Condition> {
        let mut left = self.one();
        while let Some(token) = self.peek() {
            if matches!(token, "&&" | "||" | ")") {
                break;
            }
            // Arithmetic and comparisons.
            self.at += 1;
            self.one();
            left = None;
        }
        left
    }

    fn one(&mut self) -> Option<Condition> {
        if self.depth >= MAX_DEPTH {
            self.at = self.tokens.len();
            return None;
        }
        self.depth += 1;
        let found = self.one_of_any_depth();
        self.depth -= 1;
        found
    }

    fn one_of_any_depth(&mut self) -> Option<Condition> {
        if self.take("!") {
            return self.one().map(Condition::negated);
        }
        if self.take("(") {
            let inner = self.any();
            self.take(")");
            return inner;
        }
        let word = self.peek()?;
        self.at += 1;
        match word {
            "defined" | "IS_ENABLED" | "IS_BUILTIN" | "IS_REACHABLE" => {
                let parenthesis = self.take("(");
                let name = self.peek()?;
                self.at += 1;
                if parenthesis {
                    self.take(")");
                }
                name.strip_prefix("CONFIG_").map(Condition::option)
            }
            "0" => Some(Condition::Never),
            "1" => Some(Condition::Always),
            _ => {
                if self.take("(") {
                    self.any();
                    self.take(")");
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(expression: &str) -> String {
        of_expression(expression).map_or("unknown".to_owned(), |c| c.to_string())
    }

    #[test]
    fn expressions_are_read() {
        for (expression, expected) in [
            ("defined(CONFIG_A)", "A"),
            ("defined CONFIG_A && !defined(CONFIG_B)", "A && !(B)"),
            (
                "IS_ENABLED(CONFIG_A) || (defined(CONFIG_B) && defined(CONFIG_C))",
                "A || (B && C)",
            ),
            ("defined(CONFIG_A) && defined(__ARCH_WANT_X)", "A"),
            ("BITS_PER_LONG == 32", "unknown"),
            ("!defined(CONFIG_64BIT)", "never"),
            ("0", "never"),
            ("((((", "unknown"),
            ("", "unknown"),
        ] {
            assert_eq!(text(expression), expected, "{expression}");
        }
        let deep = "(".repeat(100_000);
        assert_eq!(of_expression(&deep), None);
    }

    #[test]
    fn the_fewest_options_are_named() {
        let condition = of_expression(
            "(defined(CONFIG_A) && defined(CONFIG_B)) || (defined(CONFIG_C) && !defined(CONFIG_D)) \
             || defined(CONFIG_E)",
        )
        .unwrap();
        let options = condition.options().unwrap();
        assert_eq!(options, BTreeMap::from([("E".to_owned(), "y".to_owned())]));
        assert!(condition.holds(&|name| name == "C"));
        assert!(!condition.holds(&|name| name == "A"));
        let contradiction = of_expression("defined(CONFIG_A) && !defined(CONFIG_A)").unwrap();
        assert_eq!(contradiction.options(), None);
        let either = of_expression("!defined(CONFIG_A) || defined(CONFIG_A)");
        assert_eq!(either, Some(Condition::Always));
    }
}
