//! Expressions over symbols, each distinct one stored once.

use crate::symbol::SymbolId;

/// Names an expression of one [`Kconfig`](crate::Kconfig); equal expressions have equal ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExprId(std::num::NonZeroU32);

impl ExprId {
    pub(crate) fn new(index: usize) -> Self {
        let next = u32::try_from(index + 1)
            .ok()
            .and_then(std::num::NonZeroU32::new);
        Self(next.unwrap_or(std::num::NonZeroU32::MAX))
    }

    /// Position in the list of all expressions.
    pub fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`
    Unequal,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// Whether it holds of two values in this order.
    pub(crate) fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Comparison::Equal => order.is_eq(),
            Comparison::Unequal => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        }
    }

    /// The operator as written.
    pub fn as_str(self) -> &'static str {
        match self {
            Comparison::Equal => "=",
            Comparison::Unequal => "!=",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        }
    }

    pub(crate) fn negate(self) -> Self {
        match self {
            Comparison::Equal => Comparison::Unequal,
            Comparison::Unequal => Comparison::Equal,
            Comparison::Less => Comparison::GreaterOrEqual,
            Comparison::LessOrEqual => Comparison::Greater,
            Comparison::Greater => Comparison::LessOrEqual,
            Comparison::GreaterOrEqual => Comparison::Less,
        }
    }
}

/// One node of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expr {
    /// The value of a symbol.
    Symbol(SymbolId),
    /// `!e`
    Not(ExprId),
    /// `a && b`: the smaller value.
    And(ExprId, ExprId),
    /// `a || b`: the larger value.
    Or(ExprId, ExprId),
    /// A comparison: `y` or `n`.
    Compare(Comparison, SymbolId, SymbolId),
    /// The bounds of a `range`; not a logical value.
    Range(SymbolId, SymbolId),
}

const EMPTY: u32 = 0;

/// All expressions of a tree. Building an expression that exists returns its id.
#[derive(Clone, Debug)]
pub(crate) struct ExprPool {
    nodes: Vec<Expr>,
    table: Vec<u32>,
}

impl ExprPool {
    pub(crate) fn new() -> Self {
        let mut pool = Self {
            nodes: Vec::with_capacity(1 << 16),
            table: vec![EMPTY; 1 << 18],
        };
        for symbol in [SymbolId::NO, SymbolId::MOD, SymbolId::YES] {
            pool.intern(Expr::Symbol(symbol));
        }
        pool
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn get(&self, id: ExprId) -> Expr {
        self.nodes[id.index()]
    }

    pub(crate) fn intern(&mut self, expr: Expr) -> ExprId {
        if self.nodes.len() * 2 > self.table.len() {
            self.grow();
        }
        let mask = self.table.len() - 1;
        let mut at = hash(expr) as usize & mask;
        loop {
            let found = self.table[at];
            if found == EMPTY {
                self.nodes.push(expr);
                self.table[at] = self.nodes.len() as u32;
                return ExprId::new(self.nodes.len() - 1);
            }
            if self.nodes[found as usize - 1] == expr {
                return ExprId::new(found as usize - 1);
            }
            at = (at + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let mask = self.table.len() * 2 - 1;
        let mut table = vec![EMPTY; mask + 1];
        for (index, expr) in self.nodes.iter().enumerate() {
            let mut at = hash(*expr) as usize & mask;
            while table[at] != EMPTY {
                at = (at + 1) & mask;
            }
            table[at] = index as u32 + 1;
        }
        self.table = table;
    }

    /// Drops the room kept for growth.
    pub(crate) fn shrink(&mut self) {
        self.nodes.shrink_to_fit();
    }

    pub(crate) fn symbol(&mut self, id: SymbolId) -> ExprId {
        self.intern(Expr::Symbol(id))
    }

    pub(crate) fn not(&mut self, e: ExprId) -> ExprId {
        self.intern(Expr::Not(e))
    }

    pub(crate) fn both(&mut self, a: ExprId, b: ExprId) -> ExprId {
        self.intern(Expr::And(a, b))
    }

    pub(crate) fn either(&mut self, a: ExprId, b: ExprId) -> ExprId {
        self.intern(Expr::Or(a, b))
    }

    /// `a && b`, where nothing stands for `y`.
    pub(crate) fn and(&mut self, a: Option<ExprId>, b: Option<ExprId>) -> Option<ExprId> {
        match (a, b) {
            (Some(a), Some(b)) => Some(self.both(a, b)),
            (a, b) => a.or(b),
        }
    }

    /// `a || b`, where nothing stands for an expression still to be found.
    pub(crate) fn or(&mut self, a: Option<ExprId>, b: Option<ExprId>) -> Option<ExprId> {
        match (a, b) {
            (Some(a), Some(b)) => Some(self.either(a, b)),
            (a, b) => a.or(b),
        }
    }

    pub(crate) fn is_yes(&self, e: Option<ExprId>) -> bool {
        e.is_none_or(|e| self.get(e) == Expr::Symbol(SymbolId::YES))
    }

    /// Whether the expression mentions the symbol.
    pub(crate) fn contains(&self, e: ExprId, symbol: SymbolId) -> bool {
        match self.get(e) {
            Expr::And(a, b) | Expr::Or(a, b) => {
                self.contains(a, symbol) || self.contains(b, symbol)
            }
            Expr::Not(a) => self.contains(a, symbol),
            Expr::Symbol(a) => a == symbol,
            Expr::Compare(_, a, b) => a == symbol || b == symbol,
            Expr::Range(..) => false,
        }
    }

    /// Whether the expression is `n` for certain while the symbol is.
    pub(crate) fn depends(&self, e: ExprId, symbol: SymbolId) -> bool {
        match self.get(e) {
            Expr::And(a, b) => self.depends(a, symbol) || self.depends(b, symbol),
            Expr::Symbol(a) => a == symbol,
            Expr::Compare(Comparison::Equal, a, b) => {
                a == symbol && (b == SymbolId::YES || b == SymbolId::MOD)
            }
            Expr::Compare(Comparison::Unequal, a, b) => a == symbol && b == SymbolId::NO,
            _ => false,
        }
    }
}

fn hash(expr: Expr) -> u32 {
    let (tag, a, b): (u32, u32, u32) = match expr {
        Expr::Symbol(a) => (1, a.0, 0),
        Expr::Not(a) => (2, a.0.get(), 0),
        Expr::And(a, b) => (3, a.0.get(), b.0.get()),
        Expr::Or(a, b) => (4, a.0.get(), b.0.get()),
        Expr::Compare(how, a, b) => (5 + how as u32, a.0, b.0),
        Expr::Range(a, b) => (11, a.0, b.0),
    };
    let mixed = (u64::from(a) | u64::from(b) << 32)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(u64::from(tag))
        .wrapping_mul(0xd6e8_feb8_6659_fd93);
    (mixed >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_expressions_have_equal_ids() {
        let mut pool = ExprPool::new();
        let a = pool.symbol(SymbolId(7));
        let b = pool.symbol(SymbolId(8));
        let first = pool.both(a, b);
        assert_eq!(pool.both(a, b), first);
        assert_ne!(pool.both(b, a), first);
        for n in 0..300_000 {
            pool.symbol(SymbolId(n));
        }
        assert_eq!(pool.both(a, b), first);
    }
}
