//! A loaded tree: symbols, properties, menu and expressions.

use std::sync::OnceLock;

use crate::diagnostic::{Diagnostic, LoadError};
use crate::dialect::{Dialect, Rules};
use crate::expr::{Expr, ExprId, ExprPool};
use crate::files::Files;
use crate::incremental::Dependents;
use crate::loader;
use crate::menu::{Choice, MenuNode, NodeId};
use crate::preprocess::Environment;
use crate::property::{Property, PropertyId, PropertyKind};
use crate::shell::Shell;
use crate::source::{FileId, SourceFile, Text};
use crate::symbol::{Symbol, SymbolId, SymbolTable};

/// A Kconfig tree, read and finalised. It does not change; values are kept in a
/// [`Configuration`](crate::Configuration).
#[derive(Clone, Debug)]
pub struct Kconfig {
    pub(crate) dialect: Dialect,
    pub(crate) symbols: SymbolTable,
    pub(crate) exprs: ExprPool,
    pub(crate) properties: Vec<Property>,
    pub(crate) nodes: Vec<MenuNode>,
    pub(crate) choices: Vec<Choice>,
    pub(crate) texts: Vec<u8>,
    pub(crate) files: Vec<SourceFile>,
    pub(crate) modules: SymbolId,
    pub(crate) hash_order: Vec<SymbolId>,
    pub(crate) prefix: Vec<u8>,
    pub(crate) used_environment: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    /// Made when a configuration is changed after it was evaluated.
    pub(crate) dependents: OnceLock<Dependents>,
}

impl Kconfig {
    /// Reads the file `root` and everything it includes.
    ///
    /// File names are looked up as spelled, then below the environment's `srctree`; macros see
    /// `environment` and `shell`, nothing else.
    ///
    /// # Errors
    ///
    /// When the tree has errors; all of them are in the [`LoadError`].
    ///
    /// ```
    /// use lupine_kconfig::{Dialect, Environment, Kconfig, MemoryFiles, RefuseShell};
    /// let files = MemoryFiles::from([("Kconfig", "config NET\n\tbool \"Networking\"\n")]);
    /// let tree = Kconfig::load(
    ///     &files, "Kconfig", &Environment::new(), &RefuseShell, Dialect::LINUX_6_12)?;
    /// assert!(tree.symbol("NET").is_some());
    /// # Ok::<(), lupine_kconfig::LoadError>(())
    /// ```
    pub fn load(
        files: &dyn Files,
        root: &str,
        environment: &Environment,
        shell: &dyn Shell,
        dialect: Dialect,
    ) -> Result<Kconfig, LoadError> {
        loader::load(files, root.as_bytes(), environment, shell, dialect)
    }

    /// Warnings found while loading.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// The dialect it was read with.
    pub fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    pub(crate) fn empty(dialect: Dialect, prefix: Vec<u8>) -> Self {
        let root = MenuNode {
            next: None,
            parent: None,
            list: None,
            symbol: None,
            prompt: None,
            visibility: None,
            dependency: None,
            help: None,
            file: FileId(0),
            line: 0,
        };
        Self {
            dialect,
            symbols: SymbolTable::new(),
            exprs: ExprPool::new(),
            properties: Vec::new(),
            nodes: vec![root],
            choices: Vec::new(),
            texts: Vec::new(),
            files: Vec::new(),
            modules: SymbolId::NO,
            hash_order: Vec::new(),
            prefix,
            used_environment: Vec::new(),
            diagnostics: Vec::new(),
            stdout: Vec::new(),
            stderr: Vec::new(),
            dependents: OnceLock::new(),
        }
    }

    pub(crate) fn rules(&self) -> Rules {
        self.dialect.rules()
    }

    /// What `conf` prints on standard output while loading.
    pub fn stdout(&self) -> &[u8] {
        &self.stdout
    }

    /// What `conf` prints on standard error while loading.
    pub fn stderr(&self) -> &[u8] {
        &self.stderr
    }

    /// The symbol of that name (without `CONFIG_`), declared or only mentioned; `y`, `m` and `n`
    /// are the constants.
    pub fn symbol(&self, name: impl AsRef<[u8]>) -> Option<SymbolId> {
        self.symbols.find(name.as_ref(), false)
    }

    /// What is known about a symbol.
    pub fn get(&self, id: SymbolId) -> &Symbol {
        &self.symbols.symbols[id.index()]
    }

    /// The symbol's name, or a literal's text; `None` for a choice without a name.
    pub fn name(&self, id: SymbolId) -> Option<&[u8]> {
        self.get(id).named.then(|| self.symbols.name(id))
    }

    /// The name, or `<choice>`, as messages print it.
    pub(crate) fn display_name(&self, id: SymbolId) -> &[u8] {
        self.name(id).unwrap_or(b"<choice>")
    }

    /// Every symbol, literals included, in the order of first mention.
    pub fn symbols(&self) -> impl ExactSizeIterator<Item = SymbolId> + use<> {
        (0..self.symbols.symbols.len() as u32).map(SymbolId)
    }

    /// Every symbol in the order of generated headers.
    pub fn symbols_in_hash_order(&self) -> &[SymbolId] {
        &self.hash_order
    }

    /// An expression's outermost node.
    pub fn expr(&self, id: ExprId) -> Expr {
        self.exprs.get(id)
    }

    /// Number of distinct expressions; ids run below it.
    pub fn expr_count(&self) -> usize {
        self.exprs.len()
    }

    /// A property.
    pub fn property(&self, id: PropertyId) -> &Property {
        &self.properties[id.index()]
    }

    /// Number of properties; ids run below it.
    pub fn property_count(&self) -> usize {
        self.properties.len()
    }

    /// A node of the menu tree.
    pub fn node(&self, id: NodeId) -> &MenuNode {
        &self.nodes[id.index()]
    }

    /// Number of nodes; ids run below it.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// All nodes below `root`, depth first, in the order they are shown.
    pub fn walk(&self, root: NodeId) -> Walk<'_> {
        Walk {
            tree: self,
            root,
            at: Some(root),
        }
    }

    /// The nodes directly inside.
    pub fn children(&self, node: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        std::iter::successors(self.node(node).list, |child| self.node(*child).next)
    }

    /// All choices, in file order.
    pub fn choices(&self) -> &[Choice] {
        &self.choices
    }

    /// The files read, in the order of first inclusion.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// A file's name.
    pub fn file_name(&self, id: FileId) -> &[u8] {
        &self.files[id.index()].name
    }

    /// The symbol that turns modules on, the constant `n` when there is none.
    pub fn modules(&self) -> SymbolId {
        self.modules
    }

    /// The prompt, title or comment text of a property.
    pub fn property_text(&self, id: PropertyId) -> Option<&[u8]> {
        self.property(id).text.map(|text| self.text(text))
    }

    /// The prompt of a node, else its symbol's name.
    pub fn node_prompt(&self, id: NodeId) -> Option<&[u8]> {
        let node = self.node(id);
        match node.prompt {
            Some(prompt) => self.property_text(prompt),
            None => node.symbol.and_then(|symbol| self.name(symbol)),
        }
    }

    /// The help text of a node, without the common indent.
    pub fn help(&self, id: NodeId) -> Option<Vec<u8>> {
        let help = self.node(id).help?;
        let mut text = Vec::new();
        crate::lexer::help(
            &self.files[help.file.index()].bytes,
            help.at as usize,
            Some(&mut text),
        );
        Some(text)
    }

    pub(crate) fn text(&self, text: Text) -> &[u8] {
        &self.texts[text.start as usize..text.end as usize]
    }

    pub(crate) fn title(&self) -> &[u8] {
        self.node_prompt(NodeId::ROOT).unwrap_or_default()
    }

    /// The properties of one kind, in file order.
    pub fn properties_of(
        &self,
        id: SymbolId,
        kind: PropertyKind,
    ) -> impl Iterator<Item = PropertyId> + '_ {
        let all = self.get(id).properties.iter().copied();
        all.filter(move |property| self.property(*property).kind == kind)
    }

    /// The symbol a property is about: the one selected, implied, or given as default.
    pub fn property_symbol(&self, id: PropertyId) -> Option<SymbolId> {
        match self.expr(self.property(id).expr?) {
            Expr::Symbol(symbol) => Some(symbol),
            _ => None,
        }
    }

    /// The choice whose block is at `node`.
    pub fn choice_at(&self, node: NodeId) -> Option<&Choice> {
        let symbol = self.node(node).symbol?;
        self.choices.iter().find(|choice| choice.symbol == symbol)
    }
}

/// Depth-first walk over menu nodes.
#[derive(Clone, Debug)]
pub struct Walk<'a> {
    tree: &'a Kconfig,
    root: NodeId,
    at: Option<NodeId>,
}

impl Iterator for Walk<'_> {
    type Item = NodeId;

    fn next(&mut self) -> Option<NodeId> {
        let mut at = self.at?;
        self.at = self.tree.node(at).list.or_else(|| {
            while at != self.root && self.tree.node(at).next.is_none() {
                at = self.tree.node(at).parent?;
            }
            if at == self.root {
                None
            } else {
                self.tree.node(at).next
            }
        });
        self.at
    }
}
