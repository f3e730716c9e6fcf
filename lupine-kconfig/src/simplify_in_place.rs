//! Joining of duplicate operands as 6.1 does it: inside one tree that it changes while walking.
//!
//! The order of operands that are left differs from the functional form of 6.12 and shows in
//! messages, so the walk over a tree of its own is kept.

use crate::dialect::Rules;
use crate::expr::{Expr, ExprId, ExprPool};
use crate::simplify::{eliminate_constants, join_and, join_or};
use crate::symbol::{SymbolId, SymbolTable};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Join {
    And,
    Or,
}

#[derive(Clone, Copy)]
enum Node {
    Leaf(ExprId),
    Pair(Join, usize, usize),
}

/// A tree of slots; operands are replaced by overwriting their slot.
struct Tree<'a> {
    slots: Vec<Node>,
    pool: &'a mut ExprPool,
    symbols: &'a SymbolTable,
    changes: u32,
}

pub(crate) fn eliminate_duplicates(
    pool: &mut ExprPool,
    symbols: &SymbolTable,
    e: ExprId,
) -> ExprId {
    let mut e = e;
    loop {
        let mut tree = Tree {
            slots: Vec::new(),
            pool,
            symbols,
            changes: 0,
        };
        let root = tree.insert(e);
        if let Node::Pair(join, ..) = tree.slots[root] {
            tree.join(join, root, root);
        }
        let changes = tree.changes;
        e = tree.expr(root);
        if changes == 0 {
            return e;
        }
        e = eliminate_constants(pool, Rules::Linux6_1, e);
    }
}

impl Tree<'_> {
    fn insert(&mut self, e: ExprId) -> usize {
        let node = match self.pool.get(e) {
            Expr::And(a, b) => {
                let (a, b) = (self.insert(a), self.insert(b));
                Node::Pair(Join::And, a, b)
            }
            Expr::Or(a, b) => {
                let (a, b) = (self.insert(a), self.insert(b));
                Node::Pair(Join::Or, a, b)
            }
            _ => Node::Leaf(e),
        };
        self.slots.push(node);
        self.slots.len() - 1
    }

    fn expr(&mut self, slot: usize) -> ExprId {
        match self.slots[slot] {
            Node::Leaf(e) => e,
            Node::Pair(join, a, b) => {
                let (a, b) = (self.expr(a), self.expr(b));
                match join {
                    Join::And => self.pool.both(a, b),
                    Join::Or => self.pool.either(a, b),
                }
            }
        }
    }

    fn join(&mut self, join: Join, first: usize, second: usize) {
        if let Node::Pair(kind, a, b) = self.slots[first]
            && kind == join
        {
            self.join(join, a, second);
            self.join(join, b, second);
            return;
        }
        if let Node::Pair(kind, a, b) = self.slots[second]
            && kind == join
        {
            self.join(join, first, a);
            self.join(join, first, b);
            return;
        }
        if first == second {
            return;
        }
        if let Node::Pair(kind, ..) = self.slots[first] {
            self.join(kind, first, first);
        }
        let (a, b) = (self.expr(first), self.expr(second));
        let joined = match join {
            Join::Or => join_or(self.pool, self.symbols, Rules::Linux6_1, a, b),
            Join::And => join_and(self.pool, self.symbols, Rules::Linux6_1, a, b),
        };
        if let Some(joined) = joined {
            let neutral = if join == Join::Or {
                SymbolId::NO
            } else {
                SymbolId::YES
            };
            self.slots[first] = Node::Leaf(self.pool.symbol(neutral));
            let replacement = self.insert(joined);
            self.slots[second] = self.slots[replacement];
            self.changes += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_operands_are_joined() {
        let mut symbols = SymbolTable::new();
        let mut pool = ExprPool::new();
        let a = symbols.intern(b"A", false);
        let b = symbols.intern(b"B", false);
        let (a, b) = (pool.symbol(a), pool.symbol(b));
        let ab = pool.both(a, b);
        let aba = pool.both(ab, a);
        let result = eliminate_duplicates(&mut pool, &symbols, aba);
        let ba = pool.both(b, a);
        assert_eq!(result, ba);
    }
}
