//! System calls that a C file defines, and C files that it includes, with the
//! `#if` around each.

use super::condition::{Condition, of_expression};

/// What a C file holds, in order, each with the condition that the preprocessor
/// puts on it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// The names of `SYSCALL_DEFINEn(name, ...)`.
    pub(super) calls: Vec<(String, Condition)>,
    /// The files of `#include "file.c"`.
    pub(super) files: Vec<(String, Condition)>,
}

/// Reads a C file.
pub(super) fn held(text: &str) -> Held {
    let mut stack: Vec<Branch> = Vec::new();
    let mut found = Held::default();
    let around = |stack: &[Branch]| {
        let conditions = stack.iter().map(|branch| branch.condition.clone());
        conditions.fold(Condition::Always, Condition::and)
    };
    let mut comment = false;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let code = without_comments(line, &mut comment);
        let code = code.trim();
        if let Some(directive) = code.strip_prefix('#') {
            let mut directive = directive.trim().to_owned();
            while directive.ends_with('\\') {
                directive.pop();
                let Some(next) = lines.next() else { break };
                directive.push_str(&without_comments(next, &mut comment));
                directive.truncate(directive.trim_end().len());
            }
            match included(&directive) {
                Some(file) => found.files.push((file.to_owned(), around(&stack))),
                None => follow(&directive, &mut stack),
            }
        } else if let Some(rest) = after_macro(code) {
            // The name may stand on the next line.
            let mut name = rest.trim().to_owned();
            if name.is_empty() {
                name = lines
                    .peek()
                    .map(|next| next.trim().to_owned())
                    .unwrap_or_default();
            }
            let end = name
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(name.len());
            name.truncate(end);
            if !name.is_empty() {
                found.calls.push((name, around(&stack)));
            }
        }
    }
    found
}

/// The C file of `include "file.c"`.
fn included(directive: &str) -> Option<&str> {
    let rest = directive.strip_prefix("include")?.trim();
    let file = rest.strip_prefix('"')?.split('"').next()?;
    file.ends_with(".c").then_some(file)
}

/// One level of `#if`.
struct Branch {
    condition: Condition,
    /// What the branches before were taken for.
    before: Condition,
}

fn follow(directive: &str, stack: &mut Vec<Branch>) {
    let end = directive
        .find(|c: char| !c.is_alphanumeric())
        .unwrap_or(directive.len());
    let (word, rest) = directive.split_at(end);
    let rest = rest.trim();
    let one = |negate: bool| {
        let option = rest.strip_prefix("CONFIG_").map(Condition::option);
        // An unknown name says nothing, whichever way it is asked.
        match option {
            Some(condition) if negate => condition.negated(),
            Some(condition) => condition,
            None => Condition::Always,
        }
    };
    match word {
        "if" | "ifdef" | "ifndef" => {
            let (condition, known) = match word {
                "if" => {
                    let found = of_expression(rest);
                    let known = found.is_some();
                    (found.unwrap_or(Condition::Always), known)
                }
                _ => (one(word == "ifndef"), rest.starts_with("CONFIG_")),
            };
            // Behind an unknown condition `#else` is as possible.
            let before = if known {
                condition.clone()
            } else {
                Condition::Never
            };
            stack.push(Branch { condition, before });
        }
        "elif" => {
            if let Some(branch) = stack.last_mut() {
                let condition = of_expression(rest).unwrap_or(Condition::Always);
                branch.condition = condition.clone().and(branch.before.clone().negated());
                branch.before = branch.before.clone().or(condition);
            }
        }
        "else" => {
            if let Some(branch) = stack.last_mut() {
                branch.condition = branch.before.clone().negated();
            }
        }
        "endif" => {
            stack.pop();
        }
        _ => {}
    }
}

/// What follows `SYSCALL_DEFINEn(` at the start of a line.
fn after_macro(code: &str) -> Option<&str> {
    let rest = code.strip_prefix("SYSCALL_DEFINE")?;
    let rest = rest.strip_prefix(|c: char| c.is_ascii_digit())?;
    rest.trim_start().strip_prefix('(')
}

fn without_comments(line: &str, inside: &mut bool) -> String {
    let mut out = String::new();
    let mut rest = line;
    loop {
        if *inside {
            let Some(end) = rest.find("*/") else {
                return out;
            };
            rest = &rest[end + 2..];
            *inside = false;
        }
        match (rest.find("/*"), rest.find("//")) {
            (Some(block), to_end) if to_end.is_none_or(|to_end| block < to_end) => {
                out.push_str(&rest[..block]);
                rest = &rest[block + 2..];
                *inside = true;
            }
            (_, Some(to_end)) => {
                out.push_str(&rest[..to_end]);
                return out;
            }
            _ => {
                out.push_str(rest);
                return out;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_around_definitions() {
        let text = "\
SYSCALL_DEFINE0(plain)
#ifdef CONFIG_A /* a
 SYSCALL_DEFINE0(commented) */
SYSCALL_DEFINE1(in_a, int, x)
# if defined(CONFIG_B) && \\
     defined(CONFIG_C)
SYSCALL_DEFINE2(in_abc, int, x, int, y)
# else
SYSCALL_DEFINE2(
\tnot_bc, int, x, int, y)
# endif
#elif defined(CONFIG_D)
SYSCALL_DEFINE0(in_d)
#endif
#ifdef __ARCH_WANT_X
SYSCALL_DEFINE0(wanted)
#else
SYSCALL_DEFINE0(unwanted)
#endif
COMPAT_SYSCALL_DEFINE0(other)
#ifdef CONFIG_M
# include \"member.c\"
#endif
#include \"header.h\"
";
        let held = held(text);
        let files = held
            .files
            .into_iter()
            .map(|(file, c)| (file, c.to_string()));
        let files: Vec<(String, String)> = files.collect();
        assert_eq!(files, [("member.c".to_owned(), "M".to_owned())]);
        let found: Vec<(String, String)> = held
            .calls
            .into_iter()
            .map(|(name, condition)| (name, condition.to_string()))
            .collect();
        let expected = [
            ("plain", "always"),
            ("in_a", "A"),
            ("in_abc", "A && B && C"),
            ("not_bc", "A && !(B && C)"),
            ("in_d", "D && !(A)"),
            ("wanted", "always"),
            ("unwanted", "always"),
        ];
        let expected = expected.map(|(name, text)| (name.to_owned(), text.to_owned()));
        assert_eq!(found, expected);
    }
}
