//! Values for the symbols of a tree.

use std::sync::Arc;

use crate::dialect::Rules;
use crate::expr::ExprPool;
use crate::kconfig::Kconfig;
use crate::menu::NodeId;
use crate::symbol::{SymbolId, SymbolType, Tristate};
use crate::value;

/// Where the text of a value is.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Name(SymbolId),
    Fixed(&'static [u8]),
    Owned(Arc<[u8]>),
}

/// What is known about one symbol's value.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) valid: bool,
    pub(crate) write: bool,
    pub(crate) tri: Tristate,
    pub(crate) text: Option<Content>,
    pub(crate) visible: Tristate,
    pub(crate) direct: Tristate,
    pub(crate) reverse: Tristate,
    pub(crate) implied: Tristate,
    pub(crate) has_user: bool,
    pub(crate) user_tri: Tristate,
    pub(crate) user_text: Option<Arc<[u8]>>,
    /// The member a 6.1 choice stands at, and the one its user asked for.
    pub(crate) picked: Option<SymbolId>,
    pub(crate) user_pick: Option<SymbolId>,
    /// A 6.1 choice (or member) whose members still need values.
    pub(crate) set_members: bool,
}

pub(crate) const UNKNOWN: u8 = 3;

/// Values for the symbols of one tree: what the user asked for, and what follows from it.
///
/// Values are computed when asked for and kept until something they depend on changes.
///
/// ```
/// use lupine_kconfig::{Configuration, Dialect, Environment, Kconfig, MemoryFiles, RefuseShell};
/// let text = "config A\n\tbool \"a\"\n\nconfig B\n\tbool \"b\"\n\tdepends on A\n\tdefault y\n";
/// let files = MemoryFiles::from([("Kconfig", text)]);
/// let tree = Kconfig::load(
///     &files, "Kconfig", &Environment::new(), &RefuseShell, Dialect::LINUX_6_12)?;
/// let mut config = Configuration::new(&tree);
/// assert_eq!(config.value("B"), Some("n".into()));
/// config.set("A", "y");
/// assert_eq!(config.value("B"), Some("y".into()));
/// assert!(config.write().ends_with(b"CONFIG_A=y\nCONFIG_B=y\n"));
/// # Ok::<(), lupine_kconfig::LoadError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Configuration<'a> {
    pub(crate) tree: &'a Kconfig,
    pub(crate) states: Vec<State>,
    pub(crate) expr_values: Vec<u8>,
    /// How visible each prompt of a symbol was when its visibility was last computed: what `conf`
    /// asks, even where another value has been forgotten since.
    pub(crate) prompts: Vec<Tristate>,
    /// Members of each choice, the one asked for last in front (6.12).
    pub(crate) priorities: Vec<Vec<SymbolId>>,
    pub(crate) modules_value: Tristate,
    pub(crate) stderr: Vec<u8>,
    pub(crate) unmet: u32,
    pub(crate) read_warnings: u32,
    pub(crate) changed: bool,
    pub(crate) warn_unknown: bool,
    /// Computations going on inside one another.
    pub(crate) depth: u32,
    /// Symbols that the user changed since values were computed.
    pub(crate) pending: Vec<SymbolId>,
    /// Expressions of the tree and those that comparing them needed.
    pub(crate) scratch: Option<Box<ExprPool>>,
}

impl<'a> Configuration<'a> {
    /// No user values: every symbol has its default.
    pub fn new(tree: &'a Kconfig) -> Self {
        let mut states = vec![State::default(); tree.symbols.symbols.len()];
        for (index, tri) in [Tristate::No, Tristate::Mod, Tristate::Yes]
            .into_iter()
            .enumerate()
        {
            states[index] = State {
                valid: true,
                tri,
                text: Some(Content::Fixed(tri.as_str().as_bytes())),
                ..State::default()
            };
        }
        Self {
            tree,
            states,
            expr_values: vec![UNKNOWN; tree.exprs.len()],
            prompts: vec![Tristate::No; tree.properties.len()],
            priorities: tree
                .choices
                .iter()
                .map(|choice| choice.members.clone())
                .collect(),
            modules_value: Tristate::No,
            stderr: Vec::new(),
            unmet: 0,
            read_warnings: 0,
            changed: true,
            warn_unknown: false,
            depth: 0,
            pending: Vec::new(),
            scratch: None,
        }
    }

    /// The tree it belongs to.
    pub fn tree(&self) -> &'a Kconfig {
        self.tree
    }

    /// The value of the symbol of that name: `n`, `m`, `y`, a number or a text, as `.config`
    /// would hold it (texts without quotes). `None` for names the tree does not have. Bytes that
    /// are not UTF-8 are replaced; [`Configuration::value_bytes`] keeps them.
    pub fn value(&mut self, name: &str) -> Option<String> {
        let id = self.tree.symbol(name)?;
        Some(String::from_utf8_lossy(self.value_bytes(id)).into_owned())
    }

    /// The value of a symbol.
    pub fn value_bytes(&mut self, id: SymbolId) -> &[u8] {
        self.settle(id);
        self.string_value(id)
    }

    /// The value of a logical symbol or literal; `n` for others.
    pub fn tristate(&mut self, id: SymbolId) -> Tristate {
        self.settle(id);
        self.states[id.index()].tri
    }

    /// The largest value a user can give; `n` when the symbol has no visible prompt.
    pub fn visibility(&mut self, id: SymbolId) -> Tristate {
        self.settle(id);
        self.states[id.index()].visible
    }

    /// Values of the direct, reverse and implied dependency, in this order.
    pub fn dependencies(&mut self, id: SymbolId) -> (Tristate, Tristate, Tristate) {
        self.settle(id);
        let state = &self.states[id.index()];
        (state.direct, state.reverse, state.implied)
    }

    /// Whether `.config` names the symbol.
    pub fn is_written(&mut self, id: SymbolId) -> bool {
        self.settle(id);
        self.states[id.index()].write
    }

    /// The user's value, whether it has an effect or not.
    pub fn user_value(&self, id: SymbolId) -> Option<Vec<u8>> {
        let state = &self.states[id.index()];
        if !state.has_user {
            return None;
        }
        Some(if self.tree.get(id).type_.is_logical() {
            state.user_tri.as_str().as_bytes().to_vec()
        } else {
            state.user_text.as_deref().unwrap_or_default().to_vec()
        })
    }

    /// The value of an expression; `None` is `y`.
    pub fn evaluate(&mut self, e: Option<crate::expr::ExprId>) -> Tristate {
        self.settle(self.tree.modules);
        self.expr_value(e)
    }

    /// Computes the modules switch first, which the type of every tristate depends on.
    fn settle(&mut self, id: SymbolId) {
        self.refresh();
        self.calculate(self.tree.modules);
        self.calculate(id);
    }

    /// Asks for a value, whether the symbol can have it now or not: as a line of `.config` would.
    /// Gives `false`, and changes nothing, when there is no such symbol or the text is not a
    /// value of its type.
    pub fn set(&mut self, name: &str, value: &str) -> bool {
        match self.tree.symbol(name) {
            Some(id) => self.set_bytes(id, value.as_bytes()),
            None => false,
        }
    }

    /// As [`Configuration::set`], by id.
    pub fn set_bytes(&mut self, id: SymbolId, text: &[u8]) -> bool {
        let symbol = self.tree.get(id);
        if symbol.constant || symbol.choice {
            return false;
        }
        match symbol.type_ {
            SymbolType::Bool | SymbolType::Tristate => {
                let tri = match text {
                    b"y" => Tristate::Yes,
                    b"m" if symbol.type_ == SymbolType::Tristate => Tristate::Mod,
                    b"n" => Tristate::No,
                    _ => return false,
                };
                self.states[id.index()].user_tri = tri;
                self.prefer(id, tri);
            }
            SymbolType::Unknown => return false,
            type_ => {
                if !value::is_valid(type_, text) {
                    return false;
                }
                self.states[id.index()].user_text = Some(Arc::from(text));
            }
        }
        self.states[id.index()].has_user = true;
        self.touch(id);
        true
    }

    /// Forgets the user's value.
    pub fn unset(&mut self, id: SymbolId) {
        let state = &mut self.states[id.index()];
        state.has_user = false;
        state.user_tri = Tristate::No;
        state.user_text = None;
        self.touch(id);
    }

    /// A choice member that was asked for goes before the others.
    fn prefer(&mut self, id: SymbolId, tri: Tristate) {
        match self.tree.rules() {
            Rules::Linux6_12 => self.move_to_front(id),
            Rules::Linux6_1 => {
                let Some(choice) = self.tree.get(id).choice_symbol else {
                    return;
                };
                let state = &mut self.states[choice.index()];
                state.has_user = true;
                state.user_tri = state.user_tri.max(tri);
                if tri == Tristate::Yes {
                    state.user_pick = Some(id);
                }
            }
        }
    }

    /// Index of the choice whose member list the symbol stands in.
    pub(crate) fn choice_index(&self, id: SymbolId) -> Option<usize> {
        let node = self.tree.get(id).choice_node?;
        self.choice_index_at(node)
    }

    pub(crate) fn choice_index_at(&self, node: NodeId) -> Option<usize> {
        let symbol = self.tree.node(node).symbol?;
        self.tree
            .choices
            .binary_search_by_key(&symbol, |choice| choice.symbol)
            .ok()
    }

    /// Moves a member to the front of its choice, out of whatever list it stands in.
    pub(crate) fn move_to_front(&mut self, id: SymbolId) {
        let Some(choice) = self.choice_index(id) else {
            return;
        };
        self.remove_member(id);
        self.priorities[choice].insert(0, id);
    }

    pub(crate) fn move_to_back(&mut self, id: SymbolId, choice: usize) {
        self.remove_member(id);
        self.priorities[choice].push(id);
    }

    fn remove_member(&mut self, id: SymbolId) {
        if self.tree.get(id).member {
            for members in &mut self.priorities {
                if let Some(at) = members.iter().position(|member| *member == id) {
                    members.remove(at);
                    return;
                }
            }
        }
    }

    /// Forgets every computed value; all are computed anew when asked for, as if the
    /// configuration had just been read.
    pub fn forget_values(&mut self) {
        // `conf` leaves the visibility of choices' members as it was, and a choice that finds its
        // first member `y` does not look at the others' again.
        for state in &mut self.states {
            state.visible = Tristate::No;
        }
        self.invalidate();
    }

    /// Forgets every computed value, and computes whether modules are on.
    pub(crate) fn invalidate(&mut self) {
        self.clear_computed();
        self.changed = true;
        self.calculate(self.tree.modules);
    }

    pub(crate) fn clear_computed(&mut self) {
        self.pending.clear();
        for state in &mut self.states[3..] {
            state.valid = false;
        }
        self.expr_values.fill(UNKNOWN);
    }

    /// Warnings of evaluation and reading so far, as `conf` prints them on standard error.
    pub fn take_warnings(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.stderr)
    }

    pub(crate) fn content<'s>(&'s self, content: &'s Content) -> &'s [u8] {
        match content {
            Content::Name(id) => self.tree.display_name(*id),
            Content::Fixed(text) => text,
            Content::Owned(text) => text,
        }
    }

    /// The present text of a value, computed or not.
    pub(crate) fn string_value(&self, id: SymbolId) -> &[u8] {
        let state = &self.states[id.index()];
        if self.tree.get(id).type_.is_logical() {
            return state.tri.as_str().as_bytes();
        }
        match &state.text {
            Some(content) => self.content(content),
            None => b"",
        }
    }
}
