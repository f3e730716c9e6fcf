//! Reading `.config`.

use std::collections::HashMap;
use std::sync::Arc;

use crate::configuration::Configuration;
use crate::dialect::Rules;
use crate::property::PropertyKind;
use crate::symbol::{SymbolId, SymbolType, Tristate};
use crate::value;

/// A line's assignment.
enum Line<'l> {
    Assign { name: &'l [u8], value: &'l [u8] },
    Ignored,
    Unexpected,
}

/// A value of a symbol as a file gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FileValue {
    Logical(Tristate),
    Text(Arc<[u8]>),
}

/// What reading a line's value gave.
enum Parsed {
    Value(FileValue),
    /// A text without quotes: neither a value nor an error.
    Nothing,
    Invalid(Vec<u8>),
}

/// Values of the last generated `auto.conf`.
#[derive(Debug, Default)]
pub(crate) struct Generated {
    pub(crate) values: HashMap<SymbolId, FileValue>,
    /// Names no symbol has any more.
    pub(crate) gone: Vec<Vec<u8>>,
}

impl Configuration<'_> {
    /// Reads a `.config`, replacing every user value, and computes all values. Warnings are kept
    /// for [`Configuration::take_warnings`], each beginning with `.config:LINE:`.
    pub fn read(&mut self, bytes: &[u8]) {
        self.read_named(b".config", bytes);
    }

    /// As [`Configuration::read`], under the file name that warnings show.
    pub fn read_named(&mut self, name: &[u8], bytes: &[u8]) {
        self.changed = false;
        self.read_user(name, bytes);
        self.settle_read();
    }

    /// Reads user values without computing anything.
    pub(crate) fn read_user(&mut self, name: &[u8], bytes: &[u8]) {
        self.read_warnings = 0;
        let old = self.tree.rules() == Rules::Linux6_1;
        for (index, state) in self.states.iter_mut().enumerate() {
            let choice = self.tree.symbols.symbols[index].choice;
            state.has_user = old && choice;
            state.user_tri = Tristate::No;
            state.user_text = None;
            state.user_pick = None;
        }
        self.clear_computed();
        self.lines(name, bytes, false, |config, line, id, value| {
            let parsed = config.parse_value(id, value);
            let had = config.states[id.index()].has_user;
            if had {
                let shown = config.tree.display_name(id).to_vec();
                config.warn(name, line, &[b"override: reassigning to symbol ", &shown]);
            }
            match parsed {
                Parsed::Value(FileValue::Logical(tri)) => {
                    let state = &mut config.states[id.index()];
                    state.user_tri = tri;
                    state.has_user = true;
                }
                Parsed::Value(FileValue::Text(text)) => {
                    let state = &mut config.states[id.index()];
                    state.user_text = Some(text);
                    state.has_user = true;
                }
                Parsed::Nothing => {}
                Parsed::Invalid(message) => {
                    config.warn(name, line, &[&message]);
                    return;
                }
            }
            if old {
                config.note_choice_state(name, line, id);
            } else {
                config.move_to_front(id);
            }
        });
    }

    /// What a line says about the choice its symbol is in (6.1).
    fn note_choice_state(&mut self, file: &[u8], line: u32, id: SymbolId) {
        let Some(choice) = self.tree.get(id).choice_symbol else {
            return;
        };
        let shown = self.tree.display_name(id).to_vec();
        let value = self.states[id.index()].user_tri;
        let state = self.states[choice.index()].user_tri;
        match value {
            Tristate::No => {}
            Tristate::Mod => {
                if state == Tristate::Yes {
                    self.warn(file, line, &[&shown, b" creates inconsistent choice state"]);
                    self.states[choice.index()].has_user = false;
                }
            }
            Tristate::Yes => {
                if state != Tristate::No {
                    self.warn(
                        file,
                        line,
                        &[b"override: ", &shown, b" changes choice state"],
                    );
                }
                self.states[choice.index()].user_pick = Some(id);
            }
        }
        let state = &mut self.states[choice.index()];
        state.user_tri = state.user_tri.max(value);
    }

    /// Computes all values and finds out whether writing would change the file.
    pub(crate) fn settle_read(&mut self) {
        let tree = self.tree;
        self.calculate(tree.modules);
        let mut unsaved = false;
        for id in &tree.hash_order {
            self.calculate(*id);
            let symbol = tree.get(*id);
            if symbol.choice || symbol.no_write {
                continue;
            }
            let state = &self.states[id.index()];
            if state.has_user && state.write {
                let agrees = if symbol.type_.is_logical() {
                    state.user_tri == state.tri
                } else {
                    state.user_text.as_deref() == Some(self.string_value(*id))
                };
                if agrees {
                    continue;
                }
            } else if !state.has_user && !state.write {
                continue;
            }
            unsaved = true;
        }
        if tree.rules() == Rules::Linux6_1 {
            unsaved = self.drop_useless(unsaved);
        }
        self.changed |= unsaved || self.read_warnings > 0;
    }

    /// Forgets user values that cannot be used (6.1).
    fn drop_useless(&mut self, mut unsaved: bool) -> bool {
        let tree = self.tree;
        for id in &tree.hash_order {
            if !self.states[id.index()].has_user || tree.get(*id).member {
                continue;
            }
            if self.states[id.index()].visible == Tristate::No && !unsaved {
                self.states[id.index()].has_user = false;
            }
            if matches!(
                tree.get(*id).type_,
                SymbolType::String | SymbolType::Int | SymbolType::Hex
            ) {
                let text = self.states[id.index()].user_text.clone();
                if !self.text_within_range(*id, text.as_deref().unwrap_or_default()) {
                    let state = &mut self.states[id.index()];
                    state.valid = false;
                    state.has_user = false;
                    unsaved = true;
                }
            }
        }
        unsaved
    }

    /// Whether a number or text is a value of the symbol's type within its active range.
    pub(crate) fn text_within_range(&mut self, id: SymbolId, text: &[u8]) -> bool {
        let type_ = self.tree.get(id).type_;
        if !value::is_valid(type_, text) {
            return false;
        }
        if type_ == SymbolType::String {
            return true;
        }
        let Some((property, _)) = self.active_property(id, PropertyKind::Range) else {
            return true;
        };
        let Some(crate::expr::Expr::Range(low, high)) =
            self.tree.property(property).expr.map(|e| self.tree.expr(e))
        else {
            return true;
        };
        let base = if type_ == SymbolType::Int { 10 } else { 16 };
        let number = value::signed(text, base);
        number >= self.bound(low, base) && number <= self.bound(high, base)
    }

    /// Reads the values of a generated `auto.conf`.
    pub(crate) fn read_generated(&mut self, name: &[u8], bytes: &[u8]) -> Generated {
        self.read_warnings = 0;
        let mut generated = Generated::default();
        let gone = self.lines(name, bytes, true, |config, line, id, value| {
            if generated.values.contains_key(&id) {
                let shown = config.tree.display_name(id).to_vec();
                config.warn(name, line, &[b"override: reassigning to symbol ", &shown]);
            }
            let type_ = config.tree.get(id).type_;
            let parsed = match type_ {
                SymbolType::Bool | SymbolType::Tristate => logical(type_, value),
                SymbolType::Unknown => None,
                _ => value::is_valid(type_, value).then(|| FileValue::Text(Arc::from(value))),
            };
            if let Some(parsed) = parsed {
                generated.values.insert(id, parsed);
            }
        });
        generated.gone = gone;
        generated
    }

    /// Calls `assign` for every assignment to a known symbol; gives the unknown names when they
    /// are wanted.
    fn lines(
        &mut self,
        name: &[u8],
        bytes: &[u8],
        want_unknown: bool,
        mut assign: impl FnMut(&mut Self, u32, SymbolId, &[u8]),
    ) -> Vec<Vec<u8>> {
        let mut unknown = Vec::new();
        let rules = self.tree.rules();
        let mut rest = bytes;
        let mut number = 0;
        while !rest.is_empty() {
            number += 1;
            let end = memchr::memchr(b'\n', rest);
            let line = &rest[..end.unwrap_or(rest.len())];
            rest = end.map_or(&[], |end| &rest[end + 1..]);
            let line = if end.is_some() {
                line.strip_suffix(b"\r").unwrap_or(line)
            } else {
                line
            };
            // A zero byte ends a C string.
            let line = &line[..memchr::memchr(0, line).unwrap_or(line.len())];
            match split(rules, &self.tree.prefix, line) {
                Line::Ignored => {}
                Line::Unexpected => self.warn(name, number, &[b"unexpected data: ", line]),
                Line::Assign {
                    name: symbol,
                    value,
                } => match self.tree.symbol(symbol) {
                    Some(id) => assign(self, number, id, value),
                    None if want_unknown => unknown.push(symbol.to_vec()),
                    None => {
                        if self.warn_unknown {
                            self.warn(name, number, &[b"unknown symbol: ", symbol]);
                        }
                        self.changed = true;
                    }
                },
            }
        }
        unknown
    }

    fn warn(&mut self, file: &[u8], line: u32, message: &[&[u8]]) {
        self.stderr.extend_from_slice(file);
        self.stderr
            .extend_from_slice(format!(":{line}:warning: ").as_bytes());
        for part in message {
            self.stderr.extend_from_slice(part);
        }
        self.stderr.push(b'\n');
        self.read_warnings += 1;
    }

    fn parse_value(&self, id: SymbolId, text: &[u8]) -> Parsed {
        let type_ = self.tree.get(id).type_;
        let invalid = |text: &[u8]| {
            let name = self.tree.display_name(id);
            Parsed::Invalid([b"symbol value '", text, b"' invalid for ", name].concat())
        };
        match type_ {
            SymbolType::Unknown => Parsed::Nothing,
            SymbolType::Bool | SymbolType::Tristate => match logical(type_, text) {
                Some(value) => Parsed::Value(value),
                None => invalid(text),
            },
            SymbolType::String => match text.strip_prefix(b"\"") {
                None => Parsed::Nothing,
                Some(inside) if self.tree.dialect.plain_texts => match inside.strip_suffix(b"\"") {
                    Some(text) => Parsed::Value(FileValue::Text(Arc::from(text))),
                    None => Parsed::Invalid(b"invalid string found".to_vec()),
                },
                Some(inside) => match unescape(inside) {
                    Some(text) => Parsed::Value(FileValue::Text(Arc::from(text))),
                    None => Parsed::Invalid(b"invalid string found".to_vec()),
                },
            },
            SymbolType::Int | SymbolType::Hex if value::is_valid(type_, text) => {
                Parsed::Value(FileValue::Text(Arc::from(text)))
            }
            SymbolType::Int | SymbolType::Hex => invalid(text),
        }
    }
}

fn logical(type_: SymbolType, text: &[u8]) -> Option<FileValue> {
    let value = match text.first() {
        Some(b'y') => Tristate::Yes,
        Some(b'm') if type_ == SymbolType::Tristate => Tristate::Mod,
        Some(b'n') => Tristate::No,
        _ => return None,
    };
    Some(FileValue::Logical(value))
}

/// The text up to the closing quote; `None` when there is none.
fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    loop {
        match bytes.next()? {
            b'"' => return Some(out),
            b'\\' => out.push(*bytes.next()?),
            byte => out.push(*byte),
        }
    }
}

fn split<'l>(rules: Rules, prefix: &[u8], line: &'l [u8]) -> Line<'l> {
    if line.is_empty() {
        return Line::Ignored;
    }
    if let Some(comment) = line.strip_prefix(b"#") {
        let Some(assignment) = comment
            .strip_prefix(b" ")
            .and_then(|rest| rest.strip_prefix(prefix))
        else {
            return Line::Ignored;
        };
        let Some(space) = memchr::memchr(b' ', assignment) else {
            return Line::Ignored;
        };
        let (name, rest) = (&assignment[..space], &assignment[space + 1..]);
        let unset = match rules {
            Rules::Linux6_1 => rest.starts_with(b"is not set"),
            Rules::Linux6_12 => rest == b"is not set",
        };
        return if unset {
            Line::Assign { name, value: b"n" }
        } else {
            Line::Ignored
        };
    }
    let Some(assignment) = line.strip_prefix(prefix) else {
        return match (rules, line.first()) {
            (Rules::Linux6_1, Some(b'\r')) => Line::Ignored,
            _ => Line::Unexpected,
        };
    };
    match (memchr::memchr(b'=', assignment), rules) {
        (Some(equal), _) => Line::Assign {
            name: &assignment[..equal],
            value: &assignment[equal + 1..],
        },
        (None, Rules::Linux6_1) => Line::Ignored,
        (None, Rules::Linux6_12) => Line::Unexpected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_ends_at_the_closing_quote() {
        assert_eq!(unescape(b"a\\\"b\\\\c\" junk").unwrap(), b"a\"b\\c");
        assert_eq!(unescape(b"open"), None);
        assert_eq!(unescape(b"open\\"), None);
    }
}
