//! Kconfig, evaluated exactly as the kernel's own `conf` does.
//!
//! A [`Kconfig`] is a tree of symbols read from a kernel source tree; a [`Configuration`] holds
//! values for it.
//!
//! ```
//! use lupine_kconfig::{Configuration, Dialect, Environment, Kconfig, MemoryFiles, RefuseShell};
//!
//! let files = MemoryFiles::from([("Kconfig", "config NET\n\tbool \"Networking\"\n")]);
//! let environment = Environment::new();
//! let tree =
//!     Kconfig::load(&files, "Kconfig", &environment, &RefuseShell, Dialect::LINUX_6_12)?;
//! let mut config = Configuration::new(&tree);
//! config.read(b"CONFIG_NET=y\n");
//! assert_eq!(config.value("NET").as_deref(), Some("y"));
//! # Ok::<(), lupine_kconfig::LoadError>(())
//! ```
//!
//! | question | answer, with an example |
//! |---|---|
//! | What does a tree declare? | [`Kconfig::load`], [`Kconfig::walk`] |
//! | Which language is it written in? | [`Dialect`], [`Dialect::detect`] |
//! | What is an option's value under a `.config`? | [`Configuration`] |
//! | What changes when one is set? | [`Configuration::update`], [`graph::consequences`] |
//! | Why has it its value? | [`explain::why`] |
//! | What would give it another one? | [`solve::least_changes`] |
//! | Which configuration meets these requirements? | [`solve::solve`] |
//! | What can go from a configuration? | [`prune::prune`] |
//! | Who selects it, what does it need, what leads to it? | [`graph::Graph`] |
//! | What differs between two files? | [`difference::differences`] |
//! | What would `conf` do? | [`run`] |
//! | What is wrong with a tree? | [`LoadError::diagnostics`], [`Kconfig::diagnostics`] |

mod ask;
mod block;
mod bulk;
mod choice;
mod configuration;
mod diagnostic;
mod dialect;
pub mod difference;
mod dotconfig;
mod entry;
mod evaluate;
pub mod explain;
mod expr;
mod files;
mod finalize;
mod glob;
mod grammar;
pub mod graph;
mod help;
mod include;
mod incremental;
mod kconfig;
mod lexer;
mod loader;
mod menu;
mod output;
mod preprocess;
mod print;
mod property;
pub mod prune;
mod random;
mod recursion;
mod session;
mod shell;
mod simplify;
mod simplify_in_place;
pub mod solve;
mod source;
mod statement;
mod symbol;
mod value;

pub use configuration::Configuration;
pub use diagnostic::{Diagnostic, LoadError, Severity};
pub use dialect::{Dialect, Rules};
pub use expr::{Comparison, Expr, ExprId};
pub use files::{DirFiles, Files, MemoryFiles};
pub use kconfig::{Kconfig, Walk};
pub use menu::{Choice, MenuNode, NodeId};
pub use preprocess::Environment;
pub use property::{Property, PropertyId, PropertyKind};
pub use session::{Console, FileAction, MemoryConsole, Mode, Outcome, Request, WriteKind, run};
pub use shell::{RecordedShell, RecordingShell, RefuseShell, Shell, ShellError, ShellOutput};
pub use source::{FileId, SourceFile};
pub use symbol::{Symbol, SymbolId, SymbolType, Tristate};
