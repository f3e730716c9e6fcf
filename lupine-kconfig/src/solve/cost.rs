//! Estimates of how many options have to change.

use crate::configuration::Configuration;
use crate::expr::{Comparison, Expr, ExprId};
use crate::property::PropertyKind;
use crate::symbol::{SymbolId, Tristate};

/// Cannot be reached.
pub(super) const NEVER: u32 = 1 << 24;

/// Rounds after which estimates are good enough.
const ROUNDS: usize = 40;

/// How many options have to change, from one configuration, to turn a symbol or an expression on
/// (not `n`) or off (`n`). Common dependencies of the parts of an `&&` are counted more than once.
#[derive(Debug)]
pub(super) struct Costs {
    symbol_on: Vec<u32>,
    symbol_off: Vec<u32>,
    on: Vec<u32>,
    off: Vec<u32>,
}

impl Costs {
    /// Estimates from `config`.
    pub(super) fn new(config: &mut Configuration<'_>) -> Self {
        let tree = config.tree();
        let (symbols, exprs) = (tree.symbols().len(), tree.expr_count());
        let mut costs = Self {
            symbol_on: vec![NEVER; symbols],
            symbol_off: vec![NEVER; symbols],
            on: vec![NEVER; exprs],
            off: vec![NEVER; exprs],
        };
        for symbol in tree.symbols() {
            let known = match config.tristate(symbol) {
                Tristate::No => &mut costs.symbol_off,
                _ => &mut costs.symbol_on,
            };
            known[symbol.index()] = 0;
        }
        let present: Vec<Tristate> = (0..exprs)
            .map(|index| config.evaluate(Some(ExprId::new(index))))
            .collect();
        for _ in 0..ROUNDS {
            costs.update_exprs(config, &present);
            if !costs.update_symbols(config) {
                break;
            }
        }
        costs
    }

    /// To turn an expression on.
    pub(super) fn on(&self, e: ExprId) -> u32 {
        self.on[e.index()]
    }

    /// To turn an expression off.
    pub(super) fn off(&self, e: ExprId) -> u32 {
        self.off[e.index()]
    }

    /// To turn a symbol on.
    pub(super) fn symbol_on(&self, symbol: SymbolId) -> u32 {
        self.symbol_on[symbol.index()]
    }

    fn on_or_always(&self, e: Option<ExprId>) -> u32 {
        e.map_or(0, |e| self.on(e))
    }

    /// Parts of an expression have smaller ids than the expression.
    fn update_exprs(&mut self, config: &Configuration<'_>, present: &[Tristate]) {
        let tree = config.tree();
        for (index, value) in present.iter().enumerate() {
            let (on, off) = match tree.expr(ExprId::new(index)) {
                Expr::Symbol(symbol) => (
                    self.symbol_on[symbol.index()],
                    self.symbol_off[symbol.index()],
                ),
                Expr::Not(a) => (self.off(a), self.on(a)),
                Expr::And(a, b) => (sum(self.on(a), self.on(b)), self.off(a).min(self.off(b))),
                Expr::Or(a, b) => (self.on(a).min(self.on(b)), sum(self.off(a), self.off(b))),
                Expr::Compare(how, a, b) => {
                    let equal = match (a, b) {
                        (a, SymbolId::NO) | (SymbolId::NO, a) => self.symbol_off[a.index()],
                        (a, SymbolId::YES | SymbolId::MOD) | (SymbolId::YES | SymbolId::MOD, a) => {
                            self.symbol_on[a.index()]
                        }
                        _ => 2,
                    };
                    match how {
                        Comparison::Unequal => (1, equal),
                        _ => (equal, 1),
                    }
                }
                Expr::Range(..) => (NEVER, NEVER),
            };
            self.on[index] = if *value == Tristate::No { on } else { 0 };
            self.off[index] = if *value == Tristate::No { 0 } else { off };
        }
    }

    fn update_symbols(&mut self, config: &Configuration<'_>) -> bool {
        let tree = config.tree();
        let mut changed = false;
        for id in tree.symbols() {
            let symbol = tree.get(id);
            if !symbol.is_defined() || !symbol.symbol_type().is_logical() {
                continue;
            }
            let direct = self.on_or_always(symbol.direct_dependency());
            let reverse = symbol.reverse_dependency();
            let mut on = reverse.map_or(NEVER, |e| sum(self.on(e), direct));
            let mut prompted = false;
            let mut off_by_defaults = 0;
            for property in symbol.properties() {
                let known = tree.property(*property);
                let condition = self.on_or_always(known.condition());
                match known.kind() {
                    PropertyKind::Prompt | PropertyKind::Menu => {
                        prompted = true;
                        on = on.min(sum(1, condition));
                    }
                    PropertyKind::Default => {
                        on = on.min(sum(sum(condition, direct), self.on_or_always(known.expr())));
                        let off = known
                            .condition()
                            .map_or(NEVER, |e| self.off(e))
                            .min(known.expr().map_or(NEVER, |e| self.off(e)));
                        off_by_defaults = sum(off_by_defaults, off);
                    }
                    _ => {}
                }
            }
            let mut off = reverse.map_or(0, |e| self.off(e));
            off = sum(off, if prompted { 1 } else { off_by_defaults });
            for (known, found) in [
                (&mut self.symbol_on[id.index()], on),
                (&mut self.symbol_off[id.index()], off),
            ] {
                if found < *known {
                    *known = found;
                    changed = true;
                }
            }
        }
        changed
    }
}

fn sum(a: u32, b: u32) -> u32 {
    a.saturating_add(b).min(NEVER)
}
