//! Properties: what a declaration says about its symbol.

use crate::expr::ExprId;
use crate::menu::NodeId;
use crate::source::{FileId, Text};

/// Names a property of one [`Kconfig`](crate::Kconfig).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PropertyId(pub(crate) u32);

impl PropertyId {
    /// Position in the list of all properties, in file order.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What kind of property.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PropertyKind {
    /// The question put to the user.
    Prompt,
    /// The text of a `comment`.
    Comment,
    /// The title of a `menu`, or the prompt of a `menuconfig`.
    Menu,
    /// A default value.
    Default,
    /// `select`
    Select,
    /// `imply`
    Imply,
    /// `range`
    Range,
    /// Membership of a choice (6.1 rules); the expression is the choice.
    Choice,
    /// A declaration (6.1 rules); it has no expression.
    Symbol,
}

impl PropertyKind {
    /// The word `conf` uses in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            PropertyKind::Prompt => "prompt",
            PropertyKind::Comment => "comment",
            PropertyKind::Menu => "menu",
            PropertyKind::Default => "default",
            PropertyKind::Select => "select",
            PropertyKind::Imply => "imply",
            PropertyKind::Range => "range",
            PropertyKind::Choice => "choice",
            PropertyKind::Symbol => "symbol",
        }
    }
}

/// One line of a declaration, or the title of a menu or comment.
#[derive(Clone, Debug)]
pub struct Property {
    pub(crate) kind: PropertyKind,
    pub(crate) text: Option<Text>,
    pub(crate) condition: Option<ExprId>,
    pub(crate) expr: Option<ExprId>,
    pub(crate) node: NodeId,
    pub(crate) file: FileId,
    pub(crate) line: u32,
}

impl Property {
    /// What it is.
    pub fn kind(&self) -> PropertyKind {
        self.kind
    }

    /// When it applies: its own `if` and the dependencies of everything around it (and for
    /// prompts every `visible if` around); `None` means always.
    pub fn condition(&self) -> Option<ExprId> {
        self.condition
    }

    /// A default's value, the symbol selected or implied, or the bounds of a range.
    pub fn expr(&self) -> Option<ExprId> {
        self.expr
    }

    /// The declaration it belongs to.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// File of its line.
    pub fn file(&self) -> FileId {
        self.file
    }

    /// Line number in that file, from 1.
    pub fn line(&self) -> u32 {
        self.line
    }
}
