//! Symbols: named values, with ids in the order they were first mentioned.

use crate::dialect::Rules;
use crate::expr::ExprId;
use crate::menu::NodeId;
use crate::property::PropertyId;

/// A value of three-valued logic, ordered `n < m < y`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tristate {
    /// Off.
    #[default]
    No,
    /// Built as a module.
    Mod,
    /// On.
    Yes,
}

impl Tristate {
    /// `n`, `m` or `y`.
    pub fn as_str(self) -> &'static str {
        match self {
            Tristate::No => "n",
            Tristate::Mod => "m",
            Tristate::Yes => "y",
        }
    }

    pub(crate) fn negate(self) -> Self {
        match self {
            Tristate::No => Tristate::Yes,
            Tristate::Mod => Tristate::Mod,
            Tristate::Yes => Tristate::No,
        }
    }
}

/// The type a symbol was declared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SymbolType {
    /// Mentioned but never declared, or declared without a type; also every literal.
    #[default]
    Unknown,
    /// `bool`
    Bool,
    /// `tristate`
    Tristate,
    /// `int`
    Int,
    /// `hex`
    Hex,
    /// `string`
    String,
}

impl SymbolType {
    /// The name `conf` uses in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            SymbolType::Unknown => "unknown",
            SymbolType::Bool => "bool",
            SymbolType::Tristate => "tristate",
            SymbolType::Int => "integer",
            SymbolType::Hex => "hex",
            SymbolType::String => "string",
        }
    }

    /// Whether values are `n`, `m` and `y`.
    pub fn is_logical(self) -> bool {
        matches!(self, SymbolType::Bool | SymbolType::Tristate)
    }

    /// Whether values are numbers.
    pub fn is_numeric(self) -> bool {
        matches!(self, SymbolType::Int | SymbolType::Hex)
    }
}

/// Names a symbol of one [`Kconfig`](crate::Kconfig).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SymbolId(pub(crate) u32);

impl SymbolId {
    /// The constant `n`.
    pub const NO: SymbolId = SymbolId(0);
    /// The constant `m`.
    pub const MOD: SymbolId = SymbolId(1);
    /// The constant `y`.
    pub const YES: SymbolId = SymbolId(2);

    /// Position in [`Kconfig::symbols`](crate::Kconfig::symbols).
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A symbol: what was declared about it, in all places together.
#[derive(Clone, Debug, Default)]
pub struct Symbol {
    pub(crate) name: (u32, u32),
    pub(crate) constant: bool,
    pub(crate) choice: bool,
    pub(crate) optional: bool,
    pub(crate) no_write: bool,
    pub(crate) transitional: bool,
    /// `option allnoconfig_y`.
    pub(crate) allno_yes: bool,
    pub(crate) named: bool,
    pub(crate) type_: SymbolType,
    pub(crate) nodes: Vec<NodeId>,
    pub(crate) properties: Vec<PropertyId>,
    pub(crate) direct: Option<ExprId>,
    pub(crate) reverse: Option<ExprId>,
    pub(crate) implied: Option<ExprId>,
    /// Whether the symbol is listed among a choice's members.
    pub(crate) member: bool,
    /// The choice's node (6.12) found by walking up, or the choice (6.1) the symbol joined.
    pub(crate) choice_node: Option<NodeId>,
    pub(crate) choice_symbol: Option<SymbolId>,
}

impl Symbol {
    /// The declared type.
    pub fn symbol_type(&self) -> SymbolType {
        self.type_
    }

    /// Whether this is a literal (`"text"`, `y`, `m`, `n`) rather than a name.
    pub fn is_constant(&self) -> bool {
        self.constant
    }

    /// Whether this stands for a `choice` block.
    pub fn is_choice(&self) -> bool {
        self.choice
    }

    /// Whether the symbol has at least one declaration (`config`, `menuconfig` or `choice`).
    pub fn is_defined(&self) -> bool {
        !self.nodes.is_empty()
    }

    /// The places of declaration, in file order.
    pub fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    /// Prompts, defaults, selects, implies and ranges, in file order.
    pub fn properties(&self) -> &[PropertyId] {
        &self.properties
    }

    /// Direct dependency: the `or` of the dependencies of all declarations that have any;
    /// `None` means `y`.
    pub fn direct_dependency(&self) -> Option<ExprId> {
        self.direct
    }

    /// Reverse dependency: the `or` of `SELECTOR && condition` over every `select`; `None`: `n`.
    pub fn reverse_dependency(&self) -> Option<ExprId> {
        self.reverse
    }

    /// Weak reverse dependency: as above over every `imply`.
    pub fn implied_dependency(&self) -> Option<ExprId> {
        self.implied
    }

    /// The node of the choice this symbol is a member of.
    pub fn choice_node(&self) -> Option<NodeId> {
        self.choice_node
    }
}

const NONE: u32 = u32::MAX;

/// All symbols and the names they are found by.
#[derive(Clone, Debug)]
pub(crate) struct SymbolTable {
    pub(crate) symbols: Vec<Symbol>,
    names: Vec<u8>,
    hashes: Vec<u32>,
    heads: Vec<u32>,
    nexts: Vec<u32>,
}

impl SymbolTable {
    pub(crate) fn new() -> Self {
        let mut table = Self {
            symbols: Vec::new(),
            names: Vec::new(),
            hashes: Vec::new(),
            heads: vec![NONE; 1 << 15],
            nexts: Vec::new(),
        };
        for name in [b"n", b"m", b"y"] {
            let id = table.push(name, 0);
            let symbol = &mut table.symbols[id.index()];
            symbol.constant = true;
            symbol.type_ = SymbolType::Tristate;
        }
        table
    }

    fn push(&mut self, name: &[u8], hash: u32) -> SymbolId {
        let id = SymbolId(self.symbols.len() as u32);
        let start = self.names.len() as u32;
        self.names.extend_from_slice(name);
        self.symbols.push(Symbol {
            name: (start, self.names.len() as u32),
            named: true,
            ..Symbol::default()
        });
        self.hashes.push(hash);
        self.nexts.push(NONE);
        id
    }

    pub(crate) fn name(&self, id: SymbolId) -> &[u8] {
        let (start, end) = self.symbols[id.index()].name;
        &self.names[start as usize..end as usize]
    }

    /// Finds without creating; constants only when asked for.
    pub(crate) fn find(&self, name: &[u8], constant: bool) -> Option<SymbolId> {
        match name {
            b"n" => return Some(SymbolId::NO),
            b"m" => return Some(SymbolId::MOD),
            b"y" => return Some(SymbolId::YES),
            _ => {}
        }
        self.find_hashed(name, constant, hash(name))
    }

    fn find_hashed(&self, name: &[u8], constant: bool, hash: u32) -> Option<SymbolId> {
        let mut at = self.heads[hash as usize & (self.heads.len() - 1)];
        while at != NONE {
            let symbol = &self.symbols[at as usize];
            if self.hashes[at as usize] == hash
                && symbol.constant == constant
                && !symbol.choice
                && self.name(SymbolId(at)) == name
            {
                return Some(SymbolId(at));
            }
            at = self.nexts[at as usize];
        }
        None
    }

    /// Finds or creates.
    pub(crate) fn intern(&mut self, name: &[u8], constant: bool) -> SymbolId {
        match name {
            b"n" => return SymbolId::NO,
            b"m" => return SymbolId::MOD,
            b"y" => return SymbolId::YES,
            _ => {}
        }
        let hash = hash(name);
        if let Some(id) = self.find_hashed(name, constant, hash) {
            return id;
        }
        let id = self.push(name, hash);
        self.symbols[id.index()].constant = constant;
        let bucket = hash as usize & (self.heads.len() - 1);
        self.nexts[id.index()] = self.heads[bucket];
        self.heads[bucket] = id.0;
        id
    }

    /// A new choice, which no name finds.
    pub(crate) fn add_choice(&mut self, name: Option<&[u8]>) -> SymbolId {
        let id = self.push(name.unwrap_or_default(), name.map_or(0, hash));
        let symbol = &mut self.symbols[id.index()];
        symbol.choice = true;
        symbol.named = name.is_some();
        id
    }

    /// Every symbol but the three constants in the order of `conf`'s hash table, which rules the
    /// order of generated headers and of warnings.
    pub(crate) fn hash_order(&self, rules: Rules) -> Vec<SymbolId> {
        let buckets = match rules {
            Rules::Linux6_1 => 9973,
            Rules::Linux6_12 => 1 << 14,
        };
        let mut order: Vec<SymbolId> = (3..self.symbols.len() as u32).map(SymbolId).collect();
        order.sort_unstable_by_key(|id| (self.hashes[id.index()] % buckets, NONE - id.0));
        order
    }
}

/// 32-bit FNV as the kernel's tools compute it, over signed characters.
fn hash(name: &[u8]) -> u32 {
    name.iter().fold(2_166_136_261_u32, |hash, byte| {
        (hash ^ (*byte as i8 as i32 as u32)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_names_are_different_symbols() {
        let mut table = SymbolTable::new();
        let name = table.intern(b"A", false);
        let literal = table.intern(b"A", true);
        assert_ne!(name, literal);
        assert_eq!(table.intern(b"A", false), name);
        assert_eq!(table.find(b"A", true), Some(literal));
        assert_eq!(table.intern(b"y", true), SymbolId::YES);
    }

    #[test]
    fn hash_is_fnv_over_signed_characters() {
        assert_eq!(hash(b"a"), 0xe40c_292c);
        assert_eq!(hash(b""), 2_166_136_261);
    }
}
