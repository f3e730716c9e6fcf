//! System call sites: where they are, what they call, why they are believed to be code.

use serde::{Deserialize, Serialize};

use crate::rewrite::plan::Plan;

/// Why bytes are believed to be a `syscall` instruction: how decoding got there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
#[non_exhaustive]
pub enum Evidence {
    /// Decoded from the start of an unwind entry (FDE), which covers exactly one function's code.
    UnwindEntry {
        /// Address at which the entry starts.
        start: u64,
    },
    /// Decoded from the start of a function symbol.
    Symbol {
        /// Address of the symbol.
        start: u64,
    },
    /// Reached from the entry point, or the initialiser or finaliser that the headers name.
    Entry,
    /// Reached through a direct branch or call.
    Branch {
        /// Address of the branch.
        from: u64,
    },
    /// Reached from an address that code takes, by a trace that looks like code to its end.
    Reference {
        /// Address of the instruction that takes it.
        from: u64,
    },
    /// Reached from an address that a relocation or a table of data holds, by such a trace.
    Pointer,
    /// Reached through an entry of a jump table, by such a trace.
    JumpTable {
        /// Address of the table.
        table: u64,
    },
}

/// Which call a site makes, as far as constant propagation within its function tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Number {
    /// One of these numbers (at most four, ascending).
    Known(Vec<u64>),
    /// The function's own integer argument, counted from 0 (`rdi`): a wrapper such as `syscall(2)`.
    Argument(u8),
    /// Computed, loaded from memory, or set in another function.
    Unknown,
}

/// The function that holds a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionRef {
    /// Its symbol, if it has one; bytes that are not ASCII are escaped as in a Rust byte string.
    pub name: Option<String>,
    /// First address.
    pub start: u64,
    /// Address behind the last byte.
    pub end: u64,
}

/// One `syscall` instruction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// File offset in bytes.
    pub offset: u64,
    /// Virtual address as the file states it (without load bias).
    pub address: u64,
    /// The function around it, where one is known.
    pub function: Option<FunctionRef>,
    /// What it calls.
    pub number: Number,
    /// Why it is believed to be code.
    pub evidence: Evidence,
    /// How it is rewritten, or why not.
    pub plan: Plan,
}
