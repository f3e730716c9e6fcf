//! The names of quantities: the same words for every subject, in tables, plots and JSON.

use super::report::Group;

/// Options that are on.
pub const OPTIONS: &str = "options";
/// Options that are on and that a person could turn off.
pub const WITH_PROMPT: &str = "options with a prompt";
/// Options with a prompt that something asked for.
pub const NEEDED: &str = "options, base or needed";
/// Options with a prompt that nothing asked for, of the paper's first class.
pub const APPLICATION_SPECIFIC: &str = "options, application specific";
/// Options with a prompt that nothing asked for, of the paper's second class.
pub const MULTI_PROCESSING: &str = "options, multi-processing";
/// Options with a prompt that nothing asked for, of the paper's third class.
pub const HARDWARE_MANAGEMENT: &str = "options, hardware management";

/// The compressed kernel.
pub const BZIMAGE: &str = "bzImage";
/// The kernel's sections in one compression for all.
pub const COMPRESSED: &str = "compressed by xz";
/// The ELF file.
pub const VMLINUX: &str = "vmlinux";
/// Sections with contents.
pub const TEXT_AND_DATA: &str = "vmlinux text and data";
/// Sections of zeros.
pub const BSS: &str = "vmlinux zeros";

/// From the start of the VMM until the application is executed.
pub const TO_INIT: &str = "VMM start to init";
/// From the start of the VMM until the health check passes.
pub const TO_READY: &str = "VMM start to ready";
/// Guest instructions until the application is executed.
pub const BOOT_INSTRUCTIONS: &str = "instructions to the application";

/// The smallest memory that the health check passes with.
pub const SMALLEST_MEMORY: &str = "smallest guest memory";
/// What the VMM occupies of the host's memory.
pub const RESIDENT: &str = "resident size of the VMM";

/// A system call that does nothing.
pub const NULL_CALL: &str = "null call";
/// A read of one byte.
pub const READ: &str = "read";
/// A write of one byte.
pub const WRITE: &str = "write";
/// A `stat` of a path.
pub const STAT: &str = "stat";
/// A file opened and closed.
pub const OPEN_CLOSE: &str = "open and close";
/// A signal handler installed.
pub const SIGNAL_INSTALL: &str = "signal install";
/// A signal delivered to its handler.
pub const SIGNAL_DELIVERY: &str = "signal delivery";
/// A byte through a pipe to another process and back.
pub const PIPE: &str = "pipe latency";
/// The same by one process alone: what of it is not the switch.
pub const PIPE_TO_ITSELF: &str = "pipe to itself";
/// The same through a local socket.
pub const UNIX_SOCKET: &str = "AF_UNIX latency";
/// From one of two processes without data to the other.
pub const CONTEXT_SWITCH: &str = "context switch 2p/0K";
/// A child that ends at once.
pub const FORK_EXIT: &str = "fork and exit";
/// A child that becomes another program.
pub const FORK_EXEC: &str = "fork and exec";
/// A child that becomes a shell, which runs another program.
pub const FORK_SHELL: &str = "fork and sh";
/// A page touched for the first time.
pub const PAGE_FAULT: &str = "page fault";
/// A wake of a futex that nobody waits for.
pub const FUTEX: &str = "futex";
/// A turn given to a thread and back through a futex.
pub const FUTEX_HANDOVER: &str = "futex handover";

/// GETs of redis.
pub const REDIS_GET: &str = "GET requests";
/// SETs of redis.
pub const REDIS_SET: &str = "SET requests";
/// HTTP requests, each with a connection of its own.
pub const HTTP_CONNECTION: &str = "requests, a connection each";
/// HTTP requests over kept connections.
pub const HTTP_KEPT: &str = "requests, connection kept";
/// Transactions of PostgreSQL that read and write.
pub const POSTGRES_WRITING: &str = "transactions, reading and writing";
/// Transactions of PostgreSQL that only read.
pub const POSTGRES_READING: &str = "transactions, reading only";

/// Every name above with its group.
pub(super) const ALL: &[(Group, &[&str])] = &[
    (
        Group::Options,
        &[
            OPTIONS,
            WITH_PROMPT,
            NEEDED,
            APPLICATION_SPECIFIC,
            MULTI_PROCESSING,
            HARDWARE_MANAGEMENT,
        ],
    ),
    (
        Group::Size,
        &[BZIMAGE, COMPRESSED, VMLINUX, TEXT_AND_DATA, BSS],
    ),
    (Group::Boot, &[TO_INIT, TO_READY, BOOT_INSTRUCTIONS]),
    (Group::Memory, &[SMALLEST_MEMORY, RESIDENT]),
    (
        Group::Operations,
        &[
            NULL_CALL,
            READ,
            WRITE,
            STAT,
            OPEN_CLOSE,
            SIGNAL_INSTALL,
            SIGNAL_DELIVERY,
            PIPE,
            UNIX_SOCKET,
            CONTEXT_SWITCH,
            FORK_EXIT,
            FORK_EXEC,
            FORK_SHELL,
            PAGE_FAULT,
            FUTEX,
            FUTEX_HANDOVER,
        ],
    ),
    (
        Group::Application,
        &[
            REDIS_GET,
            REDIS_SET,
            HTTP_CONNECTION,
            HTTP_KEPT,
            POSTGRES_WRITING,
            POSTGRES_READING,
        ],
    ),
];
