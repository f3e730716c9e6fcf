//! Random Kconfig files: small, legal for one release, and full of what seldom meets in a tree.

use crate::random::Random;
use crate::reference::Version;
use std::fmt::Write as _;

/// What a symbol of a generated file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bool,
    Tristate,
    Int,
    Hex,
    String,
}

/// A generated file and what fits it.
pub(crate) struct Generated {
    /// The Kconfig file.
    pub(crate) kconfig: String,
    symbols: Vec<(String, Kind)>,
}

/// The file of `seed` for `version`.
pub(crate) fn generate(version: Version, seed: u64) -> Generated {
    let mut random = Random::new(seed);
    let count = 4 + random.below(20);
    let mut symbols = Vec::new();
    for index in 0..count {
        let kind = random.pick(&[
            Kind::Bool,
            Kind::Bool,
            Kind::Bool,
            Kind::Tristate,
            Kind::Tristate,
            Kind::Tristate,
            Kind::Int,
            Kind::Hex,
            Kind::String,
        ]);
        symbols.push((format!("S{index}"), kind));
    }
    let mut writer = Writer {
        version,
        random,
        symbols,
        next: 0,
        choices: 0,
        text: String::new(),
        backward_only: !seed.is_multiple_of(8),
        choice: None,
    };
    if writer.random.chance(70) {
        writer
            .text
            .push_str("mainmenu \"Generated $(ARCH) file\"\n\n");
    }
    if writer.random.chance(85) {
        writer
            .text
            .push_str("config MODULES\n\tbool \"modules\"\n\tmodules\n");
        if writer.random.chance(70) {
            writer.text.push_str("\tdefault y\n");
        }
        writer.text.push('\n');
    }
    while writer.next < writer.symbols.len() {
        writer.entry(0);
    }
    Generated {
        kconfig: writer.text,
        symbols: writer.symbols,
    }
}

impl Generated {
    /// A `.config` that mentions most symbols.
    pub(crate) fn config(&self, random: &mut Random) -> String {
        let mut text = String::new();
        if random.chance(80) {
            text.push_str(random.pick(&["CONFIG_MODULES=y\n", "# CONFIG_MODULES is not set\n"]));
        }
        for (name, kind) in &self.symbols {
            for _ in 0..random.pick(&[0, 1, 1, 1, 1, 1, 2]) {
                let value = match kind {
                    _ if random.chance(3) => random.pick(&["", "y", "\"x\"", "7"]),
                    Kind::Bool | Kind::Tristate => random.pick(&["y", "y", "m", "n"]),
                    Kind::Int => random.pick(&["0", "5", "10", "100", "-3", "007"]),
                    Kind::Hex => random.pick(&["0x0", "0x10", "ff", "0X1F", "0xfff"]),
                    Kind::String => random.pick(&["\"\"", "\"a\"", "\"y\"", "\"q\\\"q\\\\\""]),
                };
                if value == "n" {
                    let _ = writeln!(text, "# CONFIG_{name} is not set");
                } else {
                    let _ = writeln!(text, "CONFIG_{name}={value}");
                }
            }
        }
        text
    }

    /// Lines for someone who is asked about everything.
    pub(crate) fn answers(&self, random: &mut Random) -> Vec<u8> {
        let mut text = Vec::new();
        for _ in 0..random.below(120) {
            let answer = random.pick(&[
                "", "", "y", "n", "m", "?", "1", "2", "3?", "0x10", "5", "text", "Y", " m", "no",
                "yes", "mod", "-1", "99",
            ]);
            text.extend(answer.as_bytes());
            text.push(b'\n');
        }
        text
    }
}

/// Writes one file.
struct Writer {
    version: Version,
    random: Random,
    symbols: Vec<(String, Kind)>,
    next: usize,
    choices: usize,
    text: String,
    /// Expressions mention earlier symbols only, so that nothing depends on itself.
    backward_only: bool,
    /// The first member of the choice being written: members do not mention one another.
    choice: Option<usize>,
}

impl Writer {
    fn entry(&mut self, depth: usize) {
        match self.random.below(if depth < 3 { 20 } else { 11 }) {
            0..10 => self.config(),
            10 => {
                let text = format!("comment \"comment {}\"\n", self.random.below(100));
                self.text.push_str(&text);
                if self.random.chance(60) {
                    let condition = self.expression(2);
                    let _ = writeln!(self.text, "\tdepends on {condition}");
                }
                self.text.push('\n');
            }
            11..13 => {
                let condition = self.expression(2);
                let _ = writeln!(self.text, "if {condition}\n");
                self.entries(depth);
                self.text.push_str("endif\n\n");
            }
            13..16 => {
                let number = self.random.below(100);
                let _ = writeln!(self.text, "menu \"menu {number}\"");
                if self.random.chance(40) {
                    let condition = self.expression(1);
                    let _ = writeln!(self.text, "\tdepends on {condition}");
                }
                if self.random.chance(40) {
                    let condition = self.expression(1);
                    let _ = writeln!(self.text, "\tvisible if {condition}");
                }
                self.text.push('\n');
                self.entries(depth);
                self.text.push_str("endmenu\n\n");
            }
            _ => self.choice(),
        }
    }

    fn entries(&mut self, depth: usize) {
        for _ in 0..=self.random.below(4) {
            if self.next < self.symbols.len() {
                self.entry(depth + 1);
            }
        }
    }

    fn config(&mut self) {
        let index = self.next;
        self.next += 1;
        let (name, kind) = self.symbols[index].clone();
        self.definition(&name, kind, index, false);
        // A second definition elsewhere.
        if self.random.chance(6) {
            self.definition(&name, kind, index, false);
        }
    }

    fn definition(&mut self, name: &str, kind: Kind, index: usize, member: bool) {
        let keyword = if !member && self.random.chance(15) {
            "menuconfig"
        } else {
            "config"
        };
        let _ = writeln!(self.text, "{keyword} {name}");
        let prompt = member || keyword == "menuconfig" || self.random.chance(75);
        let typed = match kind {
            Kind::Bool => "bool",
            Kind::Tristate => "tristate",
            Kind::Int => "int",
            Kind::Hex => "hex",
            Kind::String => "string",
        };
        let condition = self.condition(25);
        if prompt {
            let _ = writeln!(self.text, "\t{typed} \"prompt of {name}\"{condition}");
        } else if matches!(kind, Kind::Bool | Kind::Tristate) && self.random.chance(50) {
            let short = if kind == Kind::Bool {
                "def_bool"
            } else {
                "def_tristate"
            };
            let value = self.expression(1);
            let _ = writeln!(self.text, "\t{short} {value}{condition}");
        } else {
            let _ = writeln!(self.text, "\t{typed}");
        }
        if self.random.chance(35) {
            let condition = self.expression(2);
            let _ = writeln!(self.text, "\tdepends on {condition}");
        }
        if !member {
            for _ in 0..self.random.below(3) {
                let value = self.value(kind);
                let condition = self.condition(50);
                let _ = writeln!(self.text, "\tdefault {value}{condition}");
            }
        }
        if matches!(kind, Kind::Int | Kind::Hex) && self.random.chance(50) {
            let (low, high) = match kind {
                Kind::Int => self.random.pick(&[("0", "8"), ("5", "50"), ("-5", "5")]),
                _ => self
                    .random
                    .pick(&[("0x1", "0x1f"), ("0", "ff"), ("0x20", "0x40")]),
            };
            let condition = self.condition(30);
            let _ = writeln!(self.text, "\trange {low} {high}{condition}");
        }
        if matches!(kind, Kind::Bool | Kind::Tristate) {
            for keyword in ["select", "imply"] {
                while self.random.chance(22) {
                    let Some(target) = self.later(index) else {
                        break;
                    };
                    let condition = self.condition(40);
                    let _ = writeln!(self.text, "\t{keyword} {target}{condition}");
                }
            }
        }
        if self.random.chance(25) {
            let _ = writeln!(
                self.text,
                "\thelp\n\t  Help of {name}.\n\n\t    indented\n\t  end"
            );
        }
        self.text.push('\n');
    }

    fn choice(&mut self) {
        let old = self.version == Version::V6_1;
        let number = self.choices;
        self.choices += 1;
        let tristate = old && self.random.chance(30);
        if old && self.random.chance(20) {
            let _ = writeln!(self.text, "choice NAMED{number}");
        } else {
            self.text.push_str("choice\n");
        }
        let condition = self.condition(25);
        let _ = writeln!(self.text, "\tprompt \"choice {number}\"{condition}");
        if tristate {
            self.text.push_str("\ttristate\n");
        } else if old && self.random.chance(60) {
            self.text.push_str("\tbool\n");
        }
        if old && self.random.chance(20) {
            self.text.push_str("\toptional\n");
        }
        if self.random.chance(30) {
            let condition = self.expression(1);
            let _ = writeln!(self.text, "\tdepends on {condition}");
        }
        let members = 1 + self.random.below(4);
        let first = self.next;
        if self.random.chance(50) {
            let chosen = (first + self.random.below(members)).min(self.symbols.len() - 1);
            let condition = self.condition(40);
            let _ = writeln!(self.text, "\tdefault {}{condition}", self.symbols[chosen].0);
        }
        self.text.push('\n');
        self.choice = Some(first);
        let nested = self.random.chance(20);
        if nested {
            let condition = self.expression(1);
            let _ = writeln!(self.text, "if {condition}\n");
        }
        for _ in 0..members {
            let index = self.next;
            if index < self.symbols.len() {
                self.next += 1;
                let kind = if tristate { Kind::Tristate } else { Kind::Bool };
                self.symbols[index].1 = kind;
                let name = self.symbols[index].0.clone();
                self.definition(&name, kind, index, true);
            }
        }
        if nested {
            self.text.push_str("endif\n\n");
        }
        self.choice = None;
        self.text.push_str("endchoice\n\n");
    }

    fn condition(&mut self, percent: usize) -> String {
        if self.random.chance(percent) {
            format!(" if {}", self.expression(2))
        } else {
            String::new()
        }
    }

    /// The name of a symbol that an expression may mention.
    fn earlier(&mut self, logical: bool) -> Option<String> {
        let limit = if self.backward_only {
            self.next.saturating_sub(1)
        } else {
            self.symbols.len()
        };
        let fits: Vec<&(String, Kind)> = self.symbols[..limit]
            .iter()
            .filter(|(_, kind)| matches!(kind, Kind::Bool | Kind::Tristate) == logical)
            .collect();
        if fits.is_empty() {
            return None;
        }
        let chosen = self.random.below(fits.len());
        Some(fits[chosen].0.clone())
    }

    /// The name of a later symbol, for `select` and `imply`.
    fn later(&mut self, index: usize) -> Option<String> {
        let fits: Vec<&(String, Kind)> = self.symbols[index + 1..]
            .iter()
            .filter(|(_, kind)| matches!(kind, Kind::Bool | Kind::Tristate))
            .collect();
        if fits.is_empty() {
            return None;
        }
        let chosen = self.random.below(fits.len());
        Some(fits[chosen].0.clone())
    }

    fn expression(&mut self, depth: usize) -> String {
        if depth > 0 && self.random.chance(45) {
            let (left, right) = (self.expression(depth - 1), self.expression(depth - 1));
            return match self.random.below(5) {
                0 | 1 => format!("{left} && {right}"),
                2 | 3 => format!("({left} || {right})"),
                _ => format!("!({left})"),
            };
        }
        match self.random.below(20) {
            0 => "y".to_owned(),
            1 => "n".to_owned(),
            2 => "m".to_owned(),
            3 => "UNDEFINED".to_owned(),
            4 => "MODULES".to_owned(),
            5..9 => self.comparison(),
            9 | 10 => self
                .earlier(true)
                .map_or_else(|| "!n".to_owned(), |name| format!("!{name}")),
            _ => self.earlier(true).unwrap_or_else(|| "y".to_owned()),
        }
    }

    fn comparison(&mut self) -> String {
        let logical = self.random.chance(50);
        let Some(left) = self.earlier(logical) else {
            return "y".to_owned();
        };
        let operator = self.random.pick(&["=", "!=", "<", "<=", ">", ">="]);
        let right = if self.random.chance(25) {
            self.earlier(logical).unwrap_or_else(|| "y".to_owned())
        } else if logical {
            self.random.pick(&["y", "m", "n", "\"m\""]).to_owned()
        } else {
            self.random
                .pick(&["0", "10", "0x10", "\"\"", "\"a\"", "5", "UNDEFINED"])
                .to_owned()
        };
        format!("{left} {operator} {right}")
    }

    fn value(&mut self, kind: Kind) -> String {
        match kind {
            Kind::Bool | Kind::Tristate => {
                if self.random.chance(50) {
                    self.random.pick(&["y", "m", "n"]).to_owned()
                } else {
                    self.expression(1)
                }
            }
            Kind::Int => self.random.pick(&["0", "3", "20", "-7", "64"]).to_owned(),
            Kind::Hex => self.random.pick(&["0x0", "0x10", "ff", "0X2A"]).to_owned(),
            Kind::String => self
                .random
                .pick(&["\"\"", "\"a\"", "\"some text\"", "'y'"])
                .to_owned(),
        }
    }
}
