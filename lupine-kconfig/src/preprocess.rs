//! The macro language: variables, user functions and built-in functions.

use std::collections::{BTreeMap, HashMap};

use crate::shell::{Shell, ShellError};

/// Names and values of environment variables.
pub type Environment = BTreeMap<Vec<u8>, Vec<u8>>;

/// Commands give at most this many bytes of output.
const SHELL_OUTPUT: usize = 4095;
const MAX_ARGUMENTS: usize = 16;
/// Depth of nested references, and of a function calling itself.
const MAX_DEPTH: u32 = 1000;
/// No expansion may grow beyond this.
const MAX_LENGTH: usize = 16 << 20;

/// How a variable was assigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavor {
    /// `=`: expanded when used.
    Recursive,
    /// `:=`: expanded when assigned.
    Simple,
    /// `+=`: as before, or recursive.
    Append,
}

/// Why an expansion stops the reading of the tree.
#[derive(Debug)]
pub(crate) enum MacroError {
    /// The message of `conf`.
    Message(Vec<u8>),
    /// A command had no answer.
    Shell { command: Vec<u8>, error: ShellError },
}

struct Variable {
    value: Vec<u8>,
    flavor: Flavor,
    expanding: u32,
}

/// Where an expansion happens.
pub(crate) struct Place<'a> {
    pub(crate) file: &'a [u8],
    pub(crate) line: u32,
}

/// What an expansion printed.
#[derive(Default)]
pub(crate) struct Printed {
    pub(crate) out: Vec<u8>,
    pub(crate) err: Vec<u8>,
    /// Messages of `warning-if`, whole lines as on standard error.
    pub(crate) warnings: Vec<Vec<u8>>,
}

/// A reading of the tree before the real one, which announces commands instead of running them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ahead {
    /// Up to the first entry: there, by custom, the tools are asked for their versions, one answer
    /// after another. Every command is announced, unless it holds another's answer.
    Head,
    /// All of it. Commands that nothing waits for are announced and answered `y`; the others run.
    Whole,
}

/// Stands for the answer of an announced command in [`Ahead::Head`]: no text of a tree holds it.
const UNKNOWN: &[u8] = b"\x01";

/// State of the macro language while a tree is read.
pub(crate) struct Macros<'a> {
    environment: &'a Environment,
    shell: &'a dyn Shell,
    variables: HashMap<Vec<u8>, Variable>,
    /// Environment variables that were used, in order of first use.
    pub(crate) used: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) printed: Printed,
    /// Which reading ahead this is, if it is one.
    pub(crate) ahead: Option<Ahead>,
    deferrable: bool,
    depth: u32,
}

impl<'a> Macros<'a> {
    pub(crate) fn new(environment: &'a Environment, shell: &'a dyn Shell) -> Self {
        Self {
            environment,
            shell,
            variables: HashMap::new(),
            used: Vec::new(),
            printed: Printed::default(),
            ahead: None,
            deferrable: false,
            depth: 0,
        }
    }

    /// Expands every reference in `input`.
    pub(crate) fn expand(
        &mut self,
        input: &[u8],
        place: &Place<'_>,
    ) -> Result<Vec<u8>, MacroError> {
        self.deferrable = self.ahead == Some(Ahead::Whole);
        let result = self.expand_with(input, &[], place);
        self.deferrable = false;
        result
    }

    /// Assigns a variable; the value is expanded now for the simple flavor.
    pub(crate) fn assign(
        &mut self,
        name: &[u8],
        value: &[u8],
        flavor: Flavor,
        place: &Place<'_>,
    ) -> Result<(), MacroError> {
        let known = self.variables.get(name).map(|variable| variable.flavor);
        let append = flavor == Flavor::Append && known.is_some();
        let flavor = match flavor {
            Flavor::Append => known.unwrap_or(Flavor::Recursive),
            other => other,
        };
        let value = match flavor {
            Flavor::Simple => self.expand_with(value, &[], place)?,
            _ => value.to_vec(),
        };
        let variable = self.variables.entry(name.to_vec()).or_insert(Variable {
            value: Vec::new(),
            flavor,
            expanding: 0,
        });
        variable.flavor = flavor;
        if append {
            variable.value.push(b' ');
            variable.value.extend_from_slice(&value);
        } else {
            variable.value = value;
        }
        Ok(())
    }

    /// The value of an environment variable, remembered as used.
    pub(crate) fn environment(&mut self, name: &[u8]) -> Option<Vec<u8>> {
        if name.is_empty() {
            return None;
        }
        let value = self.environment.get(name)?;
        if !self.used.iter().any(|(used, _)| used == name) {
            self.used.push((name.to_vec(), value.clone()));
        }
        Some(value.clone())
    }

    fn expand_with(
        &mut self,
        input: &[u8],
        arguments: &[Vec<u8>],
        place: &Place<'_>,
    ) -> Result<Vec<u8>, MacroError> {
        let mut out = Vec::with_capacity(input.len());
        let mut rest = input;
        while let Some(dollar) = memchr::memchr(b'$', rest) {
            out.extend_from_slice(&rest[..dollar]);
            rest = &rest[dollar + 1..];
            if rest.first() != Some(&b'(') {
                out.push(b'$');
                continue;
            }
            let Some(end) = closing(&rest[1..]) else {
                return Err(message(&[
                    b"unterminated reference to '",
                    &rest[1..],
                    b"': missing ')'",
                ]));
            };
            let expansion = self.clause(&rest[1..=end], arguments, place)?;
            out.extend_from_slice(&expansion);
            if out.len() > MAX_LENGTH {
                return Err(message(&[b"expansion is longer than 16 MiB"]));
            }
            rest = &rest[end + 2..];
        }
        out.extend_from_slice(rest);
        Ok(out)
    }

    fn clause(
        &mut self,
        text: &[u8],
        arguments: &[Vec<u8>],
        place: &Place<'_>,
    ) -> Result<Vec<u8>, MacroError> {
        if let Some(argument) = argument_number(text).and_then(|n| arguments.get(n - 1)) {
            return Ok(argument.clone());
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            self.depth = 0;
            return Err(message(&[b"Too deep recursive expansion"]));
        }
        let result = self.call(text, arguments, place);
        self.depth = self.depth.saturating_sub(1);
        result
    }

    fn call(
        &mut self,
        text: &[u8],
        arguments: &[Vec<u8>],
        place: &Place<'_>,
    ) -> Result<Vec<u8>, MacroError> {
        let parts = split_arguments(text)?;
        let deferrable = std::mem::replace(&mut self.deferrable, false);
        let mut expanded = parts
            .into_iter()
            .map(|part| self.expand_with(part, arguments, place))
            .collect::<Result<Vec<_>, _>>()?;
        self.deferrable = deferrable;
        let name = expanded.remove(0);
        if let Some(result) = self.variable(&name, &expanded, place)? {
            return Ok(result);
        }
        if let Some(result) = self.builtin(&name, &expanded, place)? {
            return Ok(result);
        }
        if expanded.is_empty()
            && let Some(value) = self.environment(&name)
        {
            return Ok(value);
        }
        Ok(Vec::new())
    }

    fn variable(
        &mut self,
        name: &[u8],
        arguments: &[Vec<u8>],
        place: &Place<'_>,
    ) -> Result<Option<Vec<u8>>, MacroError> {
        let Some(variable) = self.variables.get_mut(name) else {
            return Ok(None);
        };
        if arguments.is_empty() && variable.expanding > 0 {
            return Err(message(&[
                b"Recursive variable '",
                name,
                b"' references itself (eventually)",
            ]));
        }
        if variable.flavor != Flavor::Recursive {
            return Ok(Some(variable.value.clone()));
        }
        if variable.expanding > MAX_DEPTH {
            return Err(message(&[b"Too deep recursive expansion"]));
        }
        variable.expanding += 1;
        let value = variable.value.clone();
        let result = self.expand_with(&value, arguments, place);
        if let Some(variable) = self.variables.get_mut(name) {
            variable.expanding -= 1;
        }
        result.map(Some)
    }

    fn builtin(
        &mut self,
        name: &[u8],
        arguments: &[Vec<u8>],
        place: &Place<'_>,
    ) -> Result<Option<Vec<u8>>, MacroError> {
        let wanted = match name {
            b"error-if" | b"warning-if" => 2,
            b"filename" | b"lineno" => 0,
            b"info" | b"shell" => 1,
            _ => return Ok(None),
        };
        if arguments.len() != wanted {
            let how = if arguments.len() < wanted {
                b"few".as_slice()
            } else {
                b"many"
            };
            return Err(message(&[
                b"too ",
                how,
                b" function arguments passed to '",
                name,
                b"'",
            ]));
        }
        let result = match name {
            b"error-if" => {
                if arguments[0] == b"y" {
                    return Err(MacroError::Message(arguments[1].clone()));
                }
                Vec::new()
            }
            b"warning-if" => {
                if arguments[0] == b"y" {
                    let mut line = place.file.to_vec();
                    line.extend_from_slice(format!(":{}: ", place.line).as_bytes());
                    line.extend_from_slice(&arguments[1]);
                    line.push(b'\n');
                    self.printed.err.extend_from_slice(&line);
                    self.printed.warnings.push(line);
                }
                Vec::new()
            }
            b"info" => {
                self.printed.out.extend_from_slice(&arguments[0]);
                self.printed.out.push(b'\n');
                Vec::new()
            }
            b"filename" => place.file.to_vec(),
            b"lineno" => place.line.to_string().into_bytes(),
            _ => self.shell(&arguments[0])?,
        };
        Ok(Some(result))
    }

    fn shell(&mut self, command: &[u8]) -> Result<Vec<u8>, MacroError> {
        if self.deferrable {
            self.shell.prefetch(command);
            return Ok(b"y".to_vec());
        }
        if self.ahead == Some(Ahead::Head) {
            if memchr::memmem::find(command, UNKNOWN).is_none() {
                self.shell.prefetch(command);
            }
            return Ok(UNKNOWN.to_vec());
        }
        let output = self.shell.run(command).map_err(|error| MacroError::Shell {
            command: command.to_vec(),
            error,
        })?;
        self.printed.err.extend_from_slice(&output.stderr);
        let mut text = output.stdout;
        text.truncate(SHELL_OUTPUT);
        while text.last() == Some(&b'\n') {
            text.pop();
        }
        for byte in &mut text {
            if *byte == b'\n' {
                *byte = b' ';
            }
        }
        // A zero byte ends a C string.
        if let Some(end) = memchr::memchr(0, &text) {
            text.truncate(end);
        }
        Ok(text)
    }
}

fn message(parts: &[&[u8]]) -> MacroError {
    MacroError::Message(parts.concat())
}

/// Offset of the `)` that ends the reference whose inside begins here.
fn closing(text: &[u8]) -> Option<usize> {
    let mut nest = 0_usize;
    text.iter().position(|byte| match byte {
        b'(' => {
            nest += 1;
            false
        }
        b')' if nest == 0 => true,
        b')' => {
            nest -= 1;
            false
        }
        _ => false,
    })
}

fn argument_number(text: &[u8]) -> Option<usize> {
    let text = text.trim_ascii_start();
    std::str::from_utf8(text)
        .ok()?
        .parse()
        .ok()
        .filter(|number| *number > 0)
}

fn split_arguments(text: &[u8]) -> Result<Vec<&[u8]>, MacroError> {
    let mut parts = Vec::new();
    let mut nest = 0_i64;
    let mut start = 0;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b',' if nest == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            b'(' => nest += 1,
            b')' => nest -= 1,
            _ => {}
        }
    }
    parts.push(&text[start..]);
    if parts.len() > MAX_ARGUMENTS {
        return Err(message(&[b"too many function arguments"]));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::RefuseShell;

    fn expand(lines: &[(&str, &str, Flavor)], input: &str) -> Result<String, String> {
        let environment = Environment::from([(b"ENV".to_vec(), b"e".to_vec())]);
        let mut macros = Macros::new(&environment, &RefuseShell);
        let place = Place {
            file: b"Kconfig",
            line: 7,
        };
        let text = |error| match error {
            MacroError::Message(text) => String::from_utf8(text).unwrap(),
            MacroError::Shell { error, .. } => error.to_string(),
        };
        for (name, value, flavor) in lines {
            macros
                .assign(name.as_bytes(), value.as_bytes(), *flavor, &place)
                .map_err(text)?;
        }
        let result = macros.expand(input.as_bytes(), &place);
        result
            .map(|bytes| String::from_utf8(bytes).unwrap())
            .map_err(text)
    }

    #[test]
    fn functions_take_arguments_with_their_blanks() {
        let f = [("f", "[$(1)|$(2)|$(3)]", Flavor::Recursive)];
        assert_eq!(expand(&f, "$(f, a , b)").unwrap(), "[ a | b|]");
        assert_eq!(expand(&f, "$(f,(x,y))$X${Y}").unwrap(), "[(x,y)||]$X${Y}");
    }

    #[test]
    fn simple_variables_are_expanded_once() {
        let lines = [
            ("X", "a", Flavor::Simple),
            ("Y", "$(X)b", Flavor::Recursive),
            ("Z", "$(X)", Flavor::Simple),
            ("X", "c", Flavor::Simple),
            ("Z", "$(X)", Flavor::Append),
        ];
        assert_eq!(
            expand(&lines, "$(Y) $(Z) $(ENV) <$(nope)>").unwrap(),
            "cb a c e <>"
        );
    }

    #[derive(Default)]
    struct Announced(std::sync::Mutex<Vec<String>>);

    impl Shell for Announced {
        fn run(&self, _: &[u8]) -> Result<crate::shell::ShellOutput, ShellError> {
            Err(ShellError::Refused)
        }

        fn prefetch(&self, command: &[u8]) {
            let command = String::from_utf8_lossy(command).into_owned();
            self.0.lock().unwrap().push(command);
        }
    }

    #[test]
    fn the_head_announces_what_needs_no_other_answer() {
        let environment = Environment::new();
        let shell = Announced::default();
        let mut macros = Macros::new(&environment, &shell);
        macros.ahead = Some(Ahead::Head);
        let place = Place {
            file: b"Kconfig",
            line: 1,
        };
        for (name, value) in [
            ("cc", "$(shell,cc-version)"),
            ("name", "$(shell,set -- $(cc) && echo $1)"),
            ("ld", "$(shell,ld-version)"),
        ] {
            let (name, value) = (name.as_bytes(), value.as_bytes());
            let done = macros.assign(name, value, Flavor::Simple, &place);
            assert!(done.is_ok());
        }
        let asked = macros.expand(b"$(error-if,$(shell,test $(name) = y),no)", &place);
        assert!(asked.is_ok());
        assert_eq!(*shell.0.lock().unwrap(), ["cc-version", "ld-version"]);
    }

    #[test]
    fn loops_and_wrong_calls_end_in_messages() {
        let recursive = [
            ("A", "$(B)", Flavor::Recursive),
            ("B", "$(A)", Flavor::Recursive),
        ];
        let error = expand(&recursive, "$(A)").unwrap_err();
        assert_eq!(
            error,
            "Recursive variable 'A' references itself (eventually)"
        );
        let endless = [("f", "$(f,$(1))", Flavor::Recursive)];
        assert_eq!(
            expand(&endless, "$(f,x)").unwrap_err(),
            "Too deep recursive expansion"
        );
        let error = expand(&[], "$(info)").unwrap_err();
        assert_eq!(error, "too few function arguments passed to 'info'");
        assert_eq!(
            expand(&[], "$(shell,true)").unwrap_err(),
            "running commands is refused"
        );
        assert_eq!(expand(&[], "$(lineno)").unwrap(), "7");
    }
}
