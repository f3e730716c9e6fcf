//! The lists of objects in the kernel's Makefiles: what is built when.

use std::collections::BTreeMap;

use super::condition::Condition;

/// A directory's `Makefile` or `Kbuild`, as far as it lists objects.
#[derive(Debug, Default)]
pub(super) struct Makefile {
    /// Variable, such as `obj-y`, to its words and when each is in it.
    lists: BTreeMap<String, Vec<(String, Condition)>>,
}

/// The variables that the build starts from.
const ROOTS: &[&str] = &["obj-y", "lib-y", "core-y", "drivers-y", "net-y"];

/// How many variables and composite objects may lie between.
const MAX_DEPTH: usize = 6;

impl Makefile {
    /// Reads the assignments and the conditionals around them.
    pub(super) fn parse(text: &str) -> Makefile {
        let mut makefile = Makefile::default();
        let mut stack: Vec<(Condition, bool)> = Vec::new();
        let mut joined = String::new();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default().trim_end();
            if let Some(part) = line.strip_suffix('\\') {
                joined.push_str(part);
                joined.push(' ');
                continue;
            }
            joined.push_str(line);
            let line = std::mem::take(&mut joined);
            let line = line.trim();
            if let Some(rest) = line.strip_prefix("else") {
                if let Some((condition, known)) = stack.pop() {
                    let other = if known {
                        condition.negated()
                    } else {
                        Condition::Always
                    };
                    let further = question(rest.trim());
                    let known = known && further.as_ref().is_none_or(|(_, known)| *known);
                    let further = further.map_or(Condition::Always, |(condition, _)| condition);
                    stack.push((other.and(further), known));
                }
            } else if line.starts_with("endif") {
                stack.pop();
            } else if let Some(asked) = question(line) {
                stack.push(asked);
            } else if let Some((name, words)) = assignment(line) {
                let around = stack.iter().map(|(condition, _)| condition.clone());
                let around = around.fold(Condition::Always, Condition::and);
                makefile.assign(name, words, around);
            }
        }
        makefile
    }

    fn assign(&mut self, name: &str, words: &str, around: Condition) {
        let (name, condition) = match name.split_once('$') {
            None => (name.to_owned(), around),
            Some((prefix, rest)) => {
                let own = options_in(rest).fold(Condition::Always, Condition::and);
                (format!("{prefix}y"), around.and(own))
            }
        };
        let list = self.lists.entry(name).or_default();
        list.extend(
            words
                .split_whitespace()
                .map(|word| (word.to_owned(), condition.clone())),
        );
    }

    /// When an object (`madvise.o`) or a directory (`notify/`) is part of the
    /// kernel image, as far as this file says.
    pub(super) fn condition_of(&self, object: &str) -> Condition {
        ROOTS.iter().fold(Condition::Never, |found, root| {
            found.or(self.within(root, object, MAX_DEPTH))
        })
    }

    fn within(&self, list: &str, object: &str, depth: usize) -> Condition {
        let mut found = Condition::Never;
        if depth == 0 {
            return found;
        }
        for (word, condition) in self.lists.get(list).into_iter().flatten() {
            let inner = if word == object {
                Condition::Always
            } else if let Some(variable) = word.strip_prefix("$(").and_then(|w| w.strip_suffix(')'))
            {
                self.within(variable, object, depth - 1)
            } else if let Some(composite) = word.strip_suffix(".o") {
                let lists = [format!("{composite}-y"), format!("{composite}-objs")];
                lists.iter().fold(Condition::Never, |found, list| {
                    found.or(self.within(list, object, depth - 1))
                })
            } else {
                Condition::Never
            };
            found = found.or(condition.clone().and(inner));
        }
        found
    }
}

/// The options that a piece of a Makefile refers to.
fn options_in(text: &str) -> impl Iterator<Item = Condition> {
    text.split("CONFIG_").skip(1).map(|rest| {
        let end = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        Condition::option(&rest[..end])
    })
}

/// The condition of `ifdef`, `ifndef`, `ifeq`, `ifneq`, and whether it is one
/// on options alone.
fn question(line: &str) -> Option<(Condition, bool)> {
    let end = line
        .find(|c: char| !c.is_alphanumeric())
        .unwrap_or(line.len());
    let (word, rest) = line.split_at(end);
    let positive = match word {
        "ifdef" => true,
        "ifndef" => false,
        "ifeq" | "ifneq" => {
            // ($(CONFIG_X),y) or ($(CONFIG_X),)
            let value = rest.rsplit(',').next().unwrap_or_default();
            let empty = value.trim().trim_end_matches(')').trim().is_empty();
            (word == "ifeq") != empty
        }
        _ => return None,
    };
    let mut options = options_in(rest);
    match (options.next(), options.next()) {
        (Some(option), None) if positive => Some((option, true)),
        (Some(option), None) => Some((option.negated(), true)),
        _ => Some((Condition::Always, false)),
    }
}

fn assignment(line: &str) -> Option<(&str, &str)> {
    let (name, words) = line.split_once('=')?;
    let name = name.trim_end_matches(['+', ':', '?']).trim();
    let is_list = !name.is_empty() && !name.contains(char::is_whitespace);
    is_list.then_some((name, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_variables_and_composites() {
        let makefile = Makefile::parse(
            "mmu-y := nommu.o\n\
             mmu-$(CONFIG_MMU) := mmap.o \\\n\
             \tmlock.o # comment\n\
             ifdef CONFIG_CROSS\n\
             mmu-$(CONFIG_MMU) += process.o\n\
             endif\n\
             obj-y := plain.o $(mmu-y) sub/\n\
             obj-$(CONFIG_A) += a.o both.o\n\
             ifeq ($(CONFIG_T),y)\n\
             obj-y += timers.o\n\
             else\n\
             obj-y += stubs.o\n\
             endif\n\
             both-y := left.o\n\
             both-$(CONFIG_B) += right.o\n\
             ifneq ($(SRCARCH),um)\n\
             obj-$(CONFIG_C) += c.o\n\
             endif\n",
        );
        for (object, expected) in [
            ("plain.o", "always"),
            ("sub/", "always"),
            ("mlock.o", "always"),
            ("process.o", "CROSS"),
            ("a.o", "A"),
            ("timers.o", "T"),
            ("stubs.o", "!(T)"),
            ("left.o", "A"),
            ("right.o", "A && B"),
            ("c.o", "C"),
            ("nowhere.o", "never"),
        ] {
            assert_eq!(
                makefile.condition_of(object).to_string(),
                expected,
                "{object}"
            );
        }
        // A list that holds itself ends.
        let circle = Makefile::parse("obj-y := $(a)\na := $(a) $(a) $(a) $(a)\n");
        assert_eq!(circle.condition_of("x.o"), Condition::Never);
    }
}
