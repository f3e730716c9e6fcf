//! Simplification of expressions.
//!
//! What `conf` simplifies, and what it leaves alone, shows in messages and decides which entries
//! become a submenu, so each step here does neither more nor less. The 6.12 steps are functions
//! of the expression and remembered; the 6.1 steps differ where that version works in place.

use crate::dialect::Rules;
use crate::expr::{Comparison, Expr, ExprId, ExprPool};
use crate::symbol::{SymbolId, SymbolTable, SymbolType};

use Comparison::{Equal, Unequal};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Join {
    And,
    Or,
}

/// Simplifies expressions of one tree; keeps what it found.
pub(crate) struct Simplifier {
    rules: Rules,
    changes: u32,
    transformed: Vec<Option<ExprId>>,
    deduplicated: Vec<Option<ExprId>>,
    compared: Vec<[Option<ExprId>; 2]>,
    /// What `conf` prints on standard output meanwhile.
    pub(crate) output: Vec<u8>,
}

impl Simplifier {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            changes: 0,
            transformed: Vec::new(),
            deduplicated: Vec::new(),
            compared: Vec::new(),
            output: Vec::new(),
        }
    }

    /// Turns `m` into `m && MODULES`.
    pub(crate) fn rewrite_m(
        &mut self,
        pool: &mut ExprPool,
        modules: SymbolId,
        e: Option<ExprId>,
    ) -> Option<ExprId> {
        e.map(|e| rewrite_m(pool, modules, e))
    }

    /// Rewrites comparisons of booleans with literals, and pushes `!` inwards.
    pub(crate) fn transform(
        &mut self,
        pool: &mut ExprPool,
        symbols: &SymbolTable,
        e: ExprId,
    ) -> ExprId {
        if let Some(known) = recall(&self.transformed, e) {
            return known;
        }
        let before = self.output.len();
        let result = self.transform_new(pool, symbols, e);
        if self.output.len() == before {
            remember(&mut self.transformed, e, result);
        }
        result
    }

    fn transform_new(&mut self, pool: &mut ExprPool, symbols: &SymbolTable, e: ExprId) -> ExprId {
        let e = match pool.get(e) {
            Expr::And(a, b) => {
                let (a, b) = (
                    self.transform(pool, symbols, a),
                    self.transform(pool, symbols, b),
                );
                pool.both(a, b)
            }
            Expr::Or(a, b) => {
                let (a, b) = (
                    self.transform(pool, symbols, a),
                    self.transform(pool, symbols, b),
                );
                pool.either(a, b)
            }
            Expr::Not(a) => {
                let a = self.transform(pool, symbols, a);
                pool.not(a)
            }
            _ => e,
        };
        match pool.get(e) {
            Expr::Compare(how @ (Equal | Unequal), a, literal)
                if symbols.symbols[a.index()].type_ == SymbolType::Bool =>
            {
                self.transform_boolean(pool, symbols, e, how, a, literal)
            }
            Expr::Not(inner) => match pool.get(inner) {
                Expr::Not(twice) => match self.rules {
                    Rules::Linux6_1 => self.transform(pool, symbols, twice),
                    Rules::Linux6_12 => twice,
                },
                Expr::Compare(how, a, b) => pool.intern(Expr::Compare(how.negate(), a, b)),
                Expr::Or(a, b) => {
                    let (a, b) = (pool.not(a), pool.not(b));
                    let e = pool.both(a, b);
                    self.transform(pool, symbols, e)
                }
                Expr::And(a, b) => {
                    let (a, b) = (pool.not(a), pool.not(b));
                    let e = pool.either(a, b);
                    self.transform(pool, symbols, e)
                }
                Expr::Symbol(SymbolId::YES) => pool.symbol(SymbolId::NO),
                Expr::Symbol(SymbolId::MOD) => pool.symbol(SymbolId::MOD),
                Expr::Symbol(SymbolId::NO) => pool.symbol(SymbolId::YES),
                _ => e,
            },
            _ => e,
        }
    }

    fn transform_boolean(
        &mut self,
        pool: &mut ExprPool,
        symbols: &SymbolTable,
        e: ExprId,
        how: Comparison,
        a: SymbolId,
        literal: SymbolId,
    ) -> ExprId {
        let positive = pool.symbol(a);
        match (how, literal) {
            (Equal, SymbolId::NO) | (Unequal, SymbolId::YES) => pool.not(positive),
            (Equal, SymbolId::YES) | (Unequal, SymbolId::NO) => positive,
            (_, SymbolId::MOD) => {
                let forced = if how == Equal {
                    SymbolId::NO
                } else {
                    SymbolId::YES
                };
                self.output.extend_from_slice(b"boolean symbol ");
                self.output.extend_from_slice(symbols.name(a));
                self.output
                    .extend_from_slice(b" tested for 'm'? test forced to '");
                self.output.extend_from_slice(symbols.name(forced));
                self.output.extend_from_slice(b"'\n");
                pool.symbol(forced)
            }
            _ => e,
        }
    }

    /// Joins operands of one `&&` or `||` that repeat or contain one another.
    pub(crate) fn eliminate_duplicates(
        &mut self,
        pool: &mut ExprPool,
        symbols: &SymbolTable,
        e: ExprId,
    ) -> ExprId {
        if let Some(known) = recall(&self.deduplicated, e) {
            return known;
        }
        let result = match self.rules {
            Rules::Linux6_1 => crate::simplify_in_place::eliminate_duplicates(pool, symbols, e),
            Rules::Linux6_12 => self.eliminate_duplicates_new(pool, symbols, e),
        };
        remember(&mut self.deduplicated, e, result);
        result
    }

    fn eliminate_duplicates_new(
        &mut self,
        pool: &mut ExprPool,
        symbols: &SymbolTable,
        e: ExprId,
    ) -> ExprId {
        let kept = self.changes;
        let mut e = e;
        loop {
            self.changes = 0;
            if let Some((join, a, b)) = operands(pool, e) {
                let mut a = self.eliminate_duplicates(pool, symbols, a);
                let mut b = self.eliminate_duplicates(pool, symbols, b);
                self.join_leaves(pool, symbols, join, &mut a, &mut b);
                e = combine(pool, join, a, b);
            }
            e = eliminate_constants(pool, self.rules, e);
            if self.changes == 0 {
                break;
            }
        }
        self.changes = kept;
        e
    }

    fn join_leaves(
        &mut self,
        pool: &mut ExprPool,
        symbols: &SymbolTable,
        join: Join,
        first: &mut ExprId,
        second: &mut ExprId,
    ) {
        if let Some((kind, mut a, mut b)) = operands(pool, *first)
            && kind == join
        {
            self.join_leaves(pool, symbols, join, &mut a, second);
            self.join_leaves(pool, symbols, join, &mut b, second);
            *first = combine(pool, join, a, b);
            return;
        }
        if let Some((kind, mut a, mut b)) = operands(pool, *second)
            && kind == join
        {
            self.join_leaves(pool, symbols, join, first, &mut a);
            self.join_leaves(pool, symbols, join, first, &mut b);
            *second = combine(pool, join, a, b);
            return;
        }
        let joined = match join {
            Join::Or => join_or(pool, symbols, self.rules, *first, *second),
            Join::And => join_and(pool, symbols, self.rules, *first, *second),
        };
        if let Some(joined) = joined {
            *first = neutral(pool, join);
            *second = joined;
            self.changes += 1;
        }
    }

    /// `e != n` (or `e = n` when not `unequal`), with the comparison pushed to the leaves.
    pub(crate) fn compare_with_no(
        &mut self,
        pool: &mut ExprPool,
        e: Option<ExprId>,
        how: Comparison,
    ) -> ExprId {
        let Some(e) = e else {
            let no = pool.symbol(SymbolId::NO);
            return if how == Unequal { pool.not(no) } else { no };
        };
        let slot = usize::from(how == Unequal);
        if let Some(known) = self.compared.get(e.index()).and_then(|pair| pair[slot]) {
            return known;
        }
        let result = match pool.get(e) {
            Expr::And(a, b) | Expr::Or(a, b) => {
                let first = self.compare_with_no(pool, Some(a), Equal);
                let second = self.compare_with_no(pool, Some(b), Equal);
                let both = match pool.get(e) {
                    Expr::And(..) => pool.either(first, second),
                    _ => pool.both(first, second),
                };
                if how == Unequal { pool.not(both) } else { both }
            }
            Expr::Not(a) => {
                let how = if how == Equal { Unequal } else { Equal };
                self.compare_with_no(pool, Some(a), how)
            }
            Expr::Symbol(a) => pool.intern(Expr::Compare(how, a, SymbolId::NO)),
            _ if how == Equal => pool.not(e),
            _ => e,
        };
        if self.compared.len() <= e.index() {
            self.compared
                .resize(pool.len().max(e.index() + 1), [None; 2]);
        }
        self.compared[e.index()][slot] = Some(result);
        result
    }

    /// Removes the operands two expressions have in common.
    pub(crate) fn eliminate_common(
        &mut self,
        pool: &mut ExprPool,
        first: ExprId,
        second: ExprId,
    ) -> (ExprId, ExprId) {
        eliminate_common(pool, self.rules, first, second)
    }
}

fn recall(memo: &[Option<ExprId>], e: ExprId) -> Option<ExprId> {
    memo.get(e.index()).copied().flatten()
}

fn remember(memo: &mut Vec<Option<ExprId>>, e: ExprId, result: ExprId) {
    if memo.len() <= e.index() {
        memo.resize((e.index() + 1).next_power_of_two(), None);
    }
    memo[e.index()] = Some(result);
}

fn rewrite_m(pool: &mut ExprPool, modules: SymbolId, e: ExprId) -> ExprId {
    match pool.get(e) {
        Expr::Not(a) => {
            let a = rewrite_m(pool, modules, a);
            pool.not(a)
        }
        Expr::And(a, b) => {
            let (a, b) = (rewrite_m(pool, modules, a), rewrite_m(pool, modules, b));
            pool.both(a, b)
        }
        Expr::Or(a, b) => {
            let (a, b) = (rewrite_m(pool, modules, a), rewrite_m(pool, modules, b));
            pool.either(a, b)
        }
        Expr::Symbol(SymbolId::MOD) => {
            let modules = pool.symbol(modules);
            pool.both(e, modules)
        }
        _ => e,
    }
}

fn operands(pool: &ExprPool, e: ExprId) -> Option<(Join, ExprId, ExprId)> {
    match pool.get(e) {
        Expr::And(a, b) => Some((Join::And, a, b)),
        Expr::Or(a, b) => Some((Join::Or, a, b)),
        _ => None,
    }
}

fn combine(pool: &mut ExprPool, join: Join, a: ExprId, b: ExprId) -> ExprId {
    match join {
        Join::And => pool.both(a, b),
        Join::Or => pool.either(a, b),
    }
}

fn neutral(pool: &mut ExprPool, join: Join) -> ExprId {
    pool.symbol(match join {
        Join::And => SymbolId::YES,
        Join::Or => SymbolId::NO,
    })
}

/// Removes literals from `&&` and `||`. In 6.12 an operand that only became simpler inside is
/// given back as it was.
pub(crate) fn eliminate_constants(pool: &mut ExprPool, rules: Rules, e: ExprId) -> ExprId {
    let Some((join, a, b)) = operands(pool, e) else {
        return e;
    };
    let left = eliminate_constants(pool, rules, a);
    let right = eliminate_constants(pool, rules, b);
    let (absorbing, neutral) = match join {
        Join::And => (SymbolId::NO, SymbolId::YES),
        Join::Or => (SymbolId::YES, SymbolId::NO),
    };
    match (pool.get(left), pool.get(right)) {
        (Expr::Symbol(symbol), _) if symbol == absorbing => left,
        (Expr::Symbol(symbol), _) if symbol == neutral => right,
        (_, Expr::Symbol(symbol)) if symbol == absorbing => right,
        (_, Expr::Symbol(symbol)) if symbol == neutral => left,
        _ if rules == Rules::Linux6_1 => combine(pool, join, left, right),
        _ => e,
    }
}

fn eliminate_common(
    pool: &mut ExprPool,
    rules: Rules,
    mut first: ExprId,
    mut second: ExprId,
) -> (ExprId, ExprId) {
    if let Some((join, ..)) = operands(pool, first) {
        eliminate_common_leaves(pool, rules, join, &mut first, &mut second);
    }
    let kind = operands(pool, first).map(|(join, ..)| join);
    if let Some((join, ..)) = operands(pool, second)
        && kind != Some(join)
    {
        eliminate_common_leaves(pool, rules, join, &mut first, &mut second);
    }
    (
        eliminate_constants(pool, rules, first),
        eliminate_constants(pool, rules, second),
    )
}

fn eliminate_common_leaves(
    pool: &mut ExprPool,
    rules: Rules,
    join: Join,
    first: &mut ExprId,
    second: &mut ExprId,
) {
    if let Some((kind, mut a, mut b)) = operands(pool, *first)
        && kind == join
    {
        eliminate_common_leaves(pool, rules, join, &mut a, second);
        eliminate_common_leaves(pool, rules, join, &mut b, second);
        *first = combine(pool, join, a, b);
        return;
    }
    if let Some((kind, mut a, mut b)) = operands(pool, *second)
        && kind == join
    {
        eliminate_common_leaves(pool, rules, join, first, &mut a);
        eliminate_common_leaves(pool, rules, join, first, &mut b);
        *second = combine(pool, join, a, b);
        return;
    }
    let literal = |symbol| symbol == SymbolId::YES || symbol == SymbolId::NO;
    if *first == *second && matches!(pool.get(*first), Expr::Symbol(symbol) if literal(symbol)) {
        return;
    }
    if equal(pool, rules, *first, *second) {
        *first = neutral(pool, join);
        *second = *first;
    }
}

/// Whether two expressions have the same operands, in any order.
pub(crate) fn equal(pool: &mut ExprPool, rules: Rules, first: ExprId, second: ExprId) -> bool {
    match (pool.get(first), pool.get(second)) {
        (Expr::Not(a), Expr::Not(b)) => equal(pool, rules, a, b),
        (Expr::And(..), Expr::And(..)) | (Expr::Or(..), Expr::Or(..)) => {
            let (first, second) = eliminate_common(pool, rules, first, second);
            first == second && matches!(pool.get(first), Expr::Symbol(_))
        }
        (Expr::Symbol(a), Expr::Symbol(b)) => a == b,
        (Expr::Compare(..), Expr::Compare(..)) => first == second,
        _ => false,
    }
}

/// The symbol two joinable operands are about, when they are about one logical symbol.
fn common_symbol(
    pool: &ExprPool,
    symbols: &SymbolTable,
    first: ExprId,
    second: ExprId,
) -> Option<(SymbolId, SymbolType)> {
    let plain = |e: Expr| match e {
        Expr::Symbol(a) | Expr::Compare(Equal | Unequal, a, _) => Some(a),
        _ => None,
    };
    let a = match pool.get(first) {
        Expr::Not(inner) => plain(pool.get(inner)),
        other => plain(other),
    }?;
    let b = match pool.get(second) {
        Expr::Not(inner) => match pool.get(inner) {
            Expr::Symbol(b) => Some(b),
            _ => None,
        },
        other => plain(other),
    }?;
    let type_ = symbols.symbols[a.index()].type_;
    (a == b && type_.is_logical()).then_some((a, type_))
}

pub(crate) fn join_or(
    pool: &mut ExprPool,
    symbols: &SymbolTable,
    rules: Rules,
    first: ExprId,
    second: ExprId,
) -> Option<ExprId> {
    if equal(pool, rules, first, second) {
        return Some(first);
    }
    let (symbol, type_) = common_symbol(pool, symbols, first, second)?;
    match (pool.get(first), pool.get(second)) {
        (Expr::Compare(Equal, _, b), Expr::Compare(Equal, _, c))
            if type_ == SymbolType::Tristate =>
        {
            let other = third_literal(b, c)?;
            Some(pool.intern(Expr::Compare(Unequal, symbol, other)))
        }
        (Expr::Not(negated), Expr::Symbol(_)) | (Expr::Symbol(_), Expr::Not(negated))
            if type_ == SymbolType::Bool && matches!(pool.get(negated), Expr::Symbol(_)) =>
        {
            Some(pool.symbol(SymbolId::YES))
        }
        _ => None,
    }
}

/// Of `n`, `m`, `y`, the one that is neither of two different others.
fn third_literal(a: SymbolId, b: SymbolId) -> Option<SymbolId> {
    (a.0 < 3 && b.0 < 3 && a != b).then(|| SymbolId(3 - a.0 - b.0))
}

pub(crate) fn join_and(
    pool: &mut ExprPool,
    symbols: &SymbolTable,
    rules: Rules,
    first: ExprId,
    second: ExprId,
) -> Option<ExprId> {
    if equal(pool, rules, first, second) {
        return Some(first);
    }
    let (symbol, type_) = common_symbol(pool, symbols, first, second)?;
    let (a, b) = (pool.get(first), pool.get(second));
    if let (Expr::Symbol(_), Expr::Compare(how, _, literal))
    | (Expr::Compare(how, _, literal), Expr::Symbol(_)) = (a, b)
    {
        return match (how, literal) {
            (Equal, SymbolId::YES) | (Unequal, SymbolId::MOD) => {
                Some(pool.intern(Expr::Compare(Equal, symbol, SymbolId::YES)))
            }
            (Unequal, SymbolId::NO) => Some(pool.symbol(symbol)),
            _ => None,
        };
    }
    if type_ != SymbolType::Tristate {
        return None;
    }
    match (a, b) {
        (Expr::Compare(Equal, _, same), Expr::Compare(Unequal, _, not))
        | (Expr::Compare(Unequal, _, not), Expr::Compare(Equal, _, same)) => {
            let constant = |id: SymbolId| symbols.symbols[id.index()].constant;
            if !constant(same) || !constant(not) {
                return None;
            }
            Some(if same == not {
                pool.symbol(SymbolId::NO)
            } else {
                pool.intern(Expr::Compare(Equal, symbol, same))
            })
        }
        (Expr::Compare(Unequal, _, b), Expr::Compare(Unequal, _, c)) => {
            let other = third_literal(b, c)?;
            Some(pool.intern(Expr::Compare(Equal, symbol, other)))
        }
        _ => None,
    }
}
