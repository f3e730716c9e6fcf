//! The names of quantities: the same words for every subject, in tables, plots and JSON.

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

/// GETs of redis.
pub const REDIS_GET: &str = "GET requests";
/// SETs of redis.
pub const REDIS_SET: &str = "SET requests";
/// HTTP requests, each with a connection of its own.
pub const HTTP_CONNECTION: &str = "requests, a connection each";
/// HTTP requests over kept connections.
pub const HTTP_KEPT: &str = "requests, connection kept";

/// A byte to another process and back, through two pipes.
pub const PIPE: &str = "pipe latency";
/// The same by one process alone.
pub const PIPE_TO_ITSELF: &str = "pipe to itself";
/// From one process to another.
pub const CONTEXT_SWITCH: &str = "context switch 2p/0K";
