//! The embedded guest programs: static x86-64 ELF files, compiled when this crate is built.

/// The guest's first process. It belongs at [`INIT_PATH`], executable, with its configuration at
/// [`CONFIG_PATH`].
pub const INIT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/init"));

/// The smallest application: prints [`HELLO_GREETING`] and ends.
pub const HELLO: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hello"));

/// The smallest server: prints [`HELLO_GREETING`], then answers every HTTP request at the port
/// that is its argument with it.
pub const SERVE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/serve"));

/// Times single operations of the kernel, and prints what it found: src/guest/c/sample.h has the
/// form.
pub const BENCH: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/bench"));

/// Runs the program that its arguments name, and says on the console what that asks of the kernel:
/// src/guest/c/trace.c has the form. It belongs at [`TRACE_PATH`] where
/// [`InitConfig::trace`](super::InitConfig::trace) is set.
pub const TRACE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/trace"));

/// Says at which privilege level of the processor programs run: src/guest/c/privilege.c has the form.
pub const PRIVILEGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/privilege"));

/// What [`HELLO`] and [`SERVE`] print, without the line break.
pub const HELLO_GREETING: &str = "hello from a Linux of my own";

/// Where the image holds [`INIT`]; the kernel's `init=` parameter.
pub const INIT_PATH: &str = "/.lupine/init";

/// Where [`INIT`] reads its configuration, see [`InitConfig::encode`](super::InitConfig::encode).
pub const CONFIG_PATH: &str = "/.lupine/init.conf";

/// Where the image holds [`TRACE`].
pub const TRACE_PATH: &str = "/.lupine/trace";

#[cfg(test)]
mod tests {
    use super::*;
    use goblin::elf::Elf;
    use goblin::elf::header::{EM_X86_64, ET_EXEC};

    #[test]
    fn the_programs_are_static_and_small() {
        for program in [INIT, HELLO, SERVE, BENCH, TRACE, PRIVILEGE] {
            let elf = Elf::parse(program).unwrap();
            assert_eq!(
                (elf.header.e_machine, elf.header.e_type),
                (EM_X86_64, ET_EXEC)
            );
            assert_eq!(elf.interpreter, None);
            assert!(elf.dynamic.is_none());
            assert!(program.len() < 32 << 10, "{} bytes", program.len());
        }
    }

    #[test]
    fn the_greeting_is_in_the_programs() {
        let greeting = HELLO_GREETING.as_bytes();
        for program in [HELLO, SERVE] {
            let mut windows = program.windows(greeting.len());
            assert!(windows.any(|window| window == greeting));
        }
    }
}
