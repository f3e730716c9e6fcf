//! Expressions as text, with the values they have.

use crate::configuration::Configuration;
use crate::expr::{Expr, ExprId};
use crate::kconfig::Kconfig;
use crate::symbol::{SymbolId, SymbolType, Tristate};

/// Binding strength: an expression inside a stronger one needs parentheses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    None,
    Or,
    And,
    Not,
    Value,
}

fn strength(e: Expr) -> Strength {
    match e {
        Expr::Or(..) => Strength::Or,
        Expr::And(..) => Strength::And,
        Expr::Not(..) => Strength::Not,
        _ => Strength::Value,
    }
}

fn print(
    tree: &Kconfig,
    out: &mut Vec<u8>,
    e: ExprId,
    around: Strength,
    name: &mut dyn FnMut(&mut Vec<u8>, SymbolId),
) {
    // Chains group from the left and may be long: gather their operands first.
    let node = tree.expr(e);
    let parentheses = around > strength(node);
    if parentheses {
        out.push(b'(');
    }
    match node {
        Expr::Symbol(symbol) => name(out, symbol),
        Expr::Not(inner) => {
            out.push(b'!');
            print(tree, out, inner, Strength::Not, name);
        }
        Expr::Compare(how, a, b) => {
            name(out, a);
            out.extend_from_slice(how.as_str().as_bytes());
            name(out, b);
        }
        Expr::Range(a, b) => {
            out.push(b'[');
            name(out, a);
            out.push(b' ');
            name(out, b);
            out.push(b']');
        }
        Expr::And(..) | Expr::Or(..) => {
            let own = strength(node);
            let mut operands = Vec::new();
            let mut at = e;
            loop {
                match tree.expr(at) {
                    Expr::And(left, right) if own == Strength::And => {
                        operands.push(right);
                        at = left;
                    }
                    Expr::Or(left, right) if own == Strength::Or => {
                        operands.push(right);
                        at = left;
                    }
                    _ => break,
                }
            }
            print(tree, out, at, own, name);
            let operator: &[u8] = if own == Strength::And {
                b" && "
            } else {
                b" || "
            };
            for operand in operands.into_iter().rev() {
                out.extend_from_slice(operator);
                print(tree, out, operand, own, name);
            }
        }
    }
    if parentheses {
        out.push(b')');
    }
}

impl Kconfig {
    /// An expression as it would be written.
    pub fn expr_text(&self, e: ExprId) -> Vec<u8> {
        let mut out = Vec::new();
        print(self, &mut out, e, Strength::None, &mut |out, symbol| {
            out.extend_from_slice(self.display_name(symbol));
        });
        out
    }
}

impl Configuration<'_> {
    /// Appends an expression, each declared symbol followed by ` [=value]`.
    pub(crate) fn print_expr(&self, out: &mut Vec<u8>, e: Option<ExprId>) {
        let Some(e) = e else {
            out.push(b'y');
            return;
        };
        print(self.tree, out, e, Strength::None, &mut |out, symbol| {
            out.extend_from_slice(self.tree.display_name(symbol));
            if self.tree.name(symbol).is_some()
                && self.tree.get(symbol).type_ != SymbolType::Unknown
            {
                out.extend_from_slice(b" [=");
                out.extend_from_slice(self.string_value(symbol));
                out.push(b']');
            }
        });
    }

    /// Appends the alternatives of a reverse dependency that have a value, one per line.
    pub(crate) fn print_reasons(
        &mut self,
        out: &mut Vec<u8>,
        e: Option<ExprId>,
        value: Tristate,
        title: &str,
    ) {
        let Some(e) = e else { return };
        let mut stack = vec![e];
        let mut titled = false;
        while let Some(e) = stack.pop() {
            if let Expr::Or(left, right) = self.tree.expr(e) {
                stack.push(right);
                stack.push(left);
                continue;
            }
            if self.expr_value(Some(e)) != value {
                continue;
            }
            if !titled {
                out.extend_from_slice(title.as_bytes());
                titled = true;
            }
            out.extend_from_slice(b"  - ");
            self.print_expr(out, Some(e));
            out.push(b'\n');
        }
    }
}
