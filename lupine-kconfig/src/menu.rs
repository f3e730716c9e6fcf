//! The menu tree: what a person sees, in file order.

use crate::expr::ExprId;
use crate::property::PropertyId;
use crate::source::FileId;
use crate::symbol::SymbolId;

/// Names a node of one [`Kconfig`](crate::Kconfig)'s menu tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    /// The root, whose prompt is the title of the whole tree.
    pub const ROOT: NodeId = NodeId(0);

    /// Position in the list of all nodes.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where a help text begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HelpRef {
    pub(crate) file: FileId,
    pub(crate) at: u32,
}

/// A declaration, choice, menu, comment or `if`.
#[derive(Clone, Debug)]
pub struct MenuNode {
    pub(crate) next: Option<NodeId>,
    pub(crate) parent: Option<NodeId>,
    pub(crate) list: Option<NodeId>,
    pub(crate) symbol: Option<SymbolId>,
    pub(crate) prompt: Option<PropertyId>,
    pub(crate) visibility: Option<ExprId>,
    pub(crate) dependency: Option<ExprId>,
    pub(crate) help: Option<HelpRef>,
    pub(crate) file: FileId,
    pub(crate) line: u32,
}

impl MenuNode {
    /// The symbol declared here (a choice has one, without a name); `None` for menus, comments
    /// and `if`.
    pub fn symbol(&self) -> Option<SymbolId> {
        self.symbol
    }

    /// Prompt, menu title or comment text.
    pub fn prompt(&self) -> Option<PropertyId> {
        self.prompt
    }

    /// Everything that must hold for this place: `depends on` here and around it.
    pub fn dependency(&self) -> Option<ExprId> {
        self.dependency
    }

    /// The menu's own `visible if`.
    pub fn visibility(&self) -> Option<ExprId> {
        self.visibility
    }

    /// The node around this one, after submenus were formed.
    pub fn parent(&self) -> Option<NodeId> {
        self.parent
    }

    /// The next node on the same level.
    pub fn next(&self) -> Option<NodeId> {
        self.next
    }

    /// The first node inside.
    pub fn first_child(&self) -> Option<NodeId> {
        self.list
    }

    /// File of the declaration.
    pub fn file(&self) -> FileId {
        self.file
    }

    /// Line of the declaration, from 1.
    pub fn line(&self) -> u32 {
        self.line
    }
}

/// A choice and its members, in the order they were written.
#[derive(Clone, Debug)]
pub struct Choice {
    pub(crate) symbol: SymbolId,
    pub(crate) node: NodeId,
    pub(crate) members: Vec<SymbolId>,
}

impl Choice {
    /// The symbol that stands for the choice.
    pub fn symbol(&self) -> SymbolId {
        self.symbol
    }

    /// Its place in the menu tree.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The members, in file order.
    pub fn members(&self) -> &[SymbolId] {
        &self.members
    }
}
