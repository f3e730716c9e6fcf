//! Negative controls: without any one of the rules that protect the kernel or the program, the guest
//! tests do not pass. A rule that nothing misses is a rule that nothing tests.

use std::time::Instant;

use crate::guest::{boot_within, verdict};
use crate::kernel::{Build, DEVMEM, KML, Missing, SMP, STATS};
use crate::{ALL_MODES, patched};

/// One rule, and how it is taken out of the patched tree.
struct Control {
    rule: &'static str,
    file: &'static str,
    old: &'static str,
    new: &'static str,
}

impl Control {
    /// Edits the tree, and returns what the file was.
    fn apply(&self, build: &Build) -> String {
        build.edit(self.file, self.old, self.new)
    }
}

const ENTRY: &str = "arch/x86/entry/entry_64.S";
const POLICY: &str = "arch/x86/kernel/kml.c";

/// Two rules are not here. That the registers after a bad IRET are the user's: QEMU's IRET loads an address that
/// is not canonical without a fault, and with another selector the registers are the user's anyway. That what
/// ptrace sets is loaded: a tracee that stopped was switched out, and has its FPU's registers to load, so it
/// leaves by the full path without being told.
const CONTROLS: &[Control] = &[
    Control {
        rule: "vectors without an interrupt stack use the entry stack",
        file: "arch/x86/kernel/idt.c",
        old: "if (idt_use_kml_ist && !desc->bits.ist)",
        new: "if (idt_use_kml_ist && desc->bits.ist > 7)",
    },
    Control {
        rule: "a kernel RIP with a user RSP is the user's",
        file: ENTRY,
        old: "\tcmpq\t$0, (7*8)(%rsp)\t\t\t/* RSP */\n\tjns\t.Lkml_user\n",
        new: "",
    },
    Control {
        rule: "a user RIP with a kernel RSP is the user's if GS is",
        file: ENTRY,
        old: "\ttestl\t%edx, %edx\n\tpopq\t%rdx\n\tjs\t.Lkml_kernel\n",
        new: "\tpopq\t%rdx\n\tjmp\t.Lkml_kernel\n",
    },
    Control {
        rule: "NMI, #DB and #MC know a user in CPL 0",
        file: ENTRY,
        old: "\tjnz\t.Lkml_marked_\\@\n\tmovq\t$__USER_CS, (\\rip+8)(%rsp)\n",
        new: "\tjmp\t.Lkml_marked_\\@\n\tmovq\t$__USER_CS, (\\rip+8)(%rsp)\n",
    },
    Control {
        rule: "SYSRET is not for users in CPL 0",
        file: ENTRY,
        old: "\tjnz\tkml_syscall_return\n",
        new: "",
    },
    Control {
        rule: "a call by SYSCALL keeps the flags",
        file: ENTRY,
        old: "\tcmpl\t$(X86_EFLAGS_IF | X86_EFLAGS_FIXED), %r11d\n\tje\tkml_return\n",
        new: "\tjmp\tkml_return\n",
    },
    Control {
        rule: "work on entry keeps a call from the short path",
        file: ENTRY,
        old: "\tcmpq\t$0, TASK_TI_syscall_work(%rcx)\n\tjne\t.Lkml_full_path\n",
        new: "",
    },
    Control {
        rule: "work on exit keeps a call from the short path",
        file: ENTRY,
        old: "\ttestl\t$KML_EXIT_WORK, TASK_TI_flags(%rcx)\n\tjnz\t.Lkml_exit_work\n",
        new: "",
    },
    Control {
        rule: "a number beyond the table is not looked up",
        file: ENTRY,
        old: "\tcmpq\t$__NR_syscalls, %rax\n\tjae\t.Lkml_full_path\n",
        new: "",
    },
    Control {
        rule: "the upper half of a number is not looked up",
        file: ENTRY,
        old: "\tcmpq\t$__NR_syscalls, %rax\n",
        new: "\tcmpl\t$__NR_syscalls, %eax\n",
    },
    Control {
        rule: "a page fault of a user in CPL 0 is a user's",
        file: "arch/x86/mm/fault.c",
        old: "\t\terror_code |= X86_PF_USER;\n\t\tregs->flags |= X86_EFLAGS_IF;\n",
        new: "\t\tregs->flags |= X86_EFLAGS_IF;\n",
    },
    Control {
        rule: "no CLI outlives a page fault",
        file: "arch/x86/mm/fault.c",
        old: "\t\terror_code |= X86_PF_USER;\n\t\tregs->flags |= X86_EFLAGS_IF;\n",
        new: "\t\terror_code |= X86_PF_USER;\n",
    },
    Control {
        rule: "signal frames show no address in the kernel",
        file: "arch/x86/kernel/signal.c",
        old: "\tkml_fixup_ip(regs);\n",
        new: "",
    },
    Control {
        rule: "an exec ends the way in CPL 0",
        file: POLICY,
        old: "\tclear_thread_flag(TIF_KML);\n",
        new: "",
    },
    Control {
        rule: "a user namespace is not believed about /trusted",
        file: POLICY,
        old: "\tif (current_user_ns() != &init_user_ns)\n\t\treturn false;\n",
        new: "",
    },
    Control {
        rule: "a mark is used up by the exec",
        file: POLICY,
        old: "\tti->status &= ~TS_KML_EXEC;\n\tif (kml_mode == KML_OFF)\n",
        new: "\tif (kml_mode == KML_OFF)\n",
    },
    Control {
        rule: "a mark is not inherited",
        file: "arch/x86/include/asm/kml.h",
        old: "\ttask_thread_info(child)->status &= ~TS_KML_EXEC;\n",
        new: "",
    },
    Control {
        rule: "SMEP is off",
        file: POLICY,
        old: "\tsetup_clear_cpu_cap(X86_FEATURE_SMEP);\n",
        new: "",
    },
];

/// NMI handlers take a page fault and do nothing else. For the test of what nests in what.
const FAULTING_NMIS: Control = Control {
    rule: "NMIs are handled",
    file: "arch/x86/kernel/nmi.c",
    old: "\t\tdefault_do_nmi(regs);\n",
    new: concat!(
        "\t{\n\t\tunsigned long word = 0;\n\n",
        "\t\tcopy_from_kernel_nofault(&word, (void *)0xfffffe8000000000UL, 8);\n",
        "\t\tif (word)\n\t\t\tdefault_do_nmi(regs);\n\t}\n",
    ),
};

/// An interrupt can hit between STI and the jump back to the user, as it can after an NMI there.
const NO_STI_SHADOW: Control = Control {
    rule: "no interrupt is taken after STI",
    file: ENTRY,
    old: "\tsti\n\t/* No interrupt is taken between",
    new: "\tsti\n\tnop\n\t/* No interrupt is taken between",
};

/// The NOP of [`NO_STI_SHADOW`] is of the way back, too: after an NMI an interrupt hits it as well.
const NOP_IS_ON_THE_WAY: [Control; 2] = [
    Control {
        rule: "signal frames show no address in the kernel",
        file: POLICY,
        old: "\telse if (regs->ip == (unsigned long)kml_return_jmp)\n",
        new: "\telse if (regs->ip == (unsigned long)kml_return_jmp || regs->ip == (unsigned long)kml_return_jmp - 1)\n",
    },
    Control {
        rule: "the jump back to the user is the user's",
        file: ENTRY,
        old: "\tcmpq\t$kml_return_jmp, %rax\n",
        new: "\tcmpq\t$(kml_return_jmp - 1), %rax\n\tje\t.Lkml_user\n\tcmpq\t$kml_return_jmp, %rax\n",
    },
];

/// What only NMIs, or an interrupt after one, can miss.
const NMI_CONTROLS: &[Control] = &[
    Control {
        rule: "the jump back to the user is the user's",
        file: ENTRY,
        old: "\tcmpq\t$kml_return_jmp, %rax\n\tje\t.Lkml_user\n",
        new: "",
    },
    Control {
        rule: "what faults in an NMI leaves the interrupted frame alone",
        file: "arch/x86/include/asm/kml.h",
        old: "regs->sp >= top - sizeof(struct entry_stack))",
        new: "regs->sp >= top)",
    },
];

/// Seconds that a guest with all rules has.
const LIMIT: u32 = 600;
/// A guest without a rule is taken for hung after so many times what the one with all rules took.
const PATIENCE: u32 = 4;

/// Passes with all rules, and with each one removed does not.
fn each_is_missed(
    build: &Build,
    controls: &[Control],
    append: &str,
    extra: &[&str],
) -> Result<(), Missing> {
    let passes = |limit| -> Result<Result<(), String>, Missing> {
        let console = boot_within(limit, &build.vmlinux(), append, extra)?;
        Ok(verdict(&console, ALL_MODES).map_err(|why| why + "\n" + &console))
    };
    build.vmlinux();
    let began = Instant::now();
    assert_eq!(passes(LIMIT)?, Ok(()), "with all rules");
    let limit = u32::try_from(began.elapsed().as_secs() + 1).unwrap() * PATIENCE;
    let mut not_missed = Vec::new();
    for control in controls {
        let whole = control.apply(build);
        match passes(limit)? {
            Ok(()) => not_missed.push(control.rule),
            Err(why) => eprintln!("without \"{}\": {}", control.rule, brief(&why)),
        }
        build.replace(control.file, &whole);
    }
    assert!(not_missed.is_empty(), "nothing misses {not_missed:#?}");
    Ok(())
}

/// The rules that one processor can miss.
pub(crate) fn every_rule_is_needed(version: &str) -> Result<(), Missing> {
    patched(version, &[KML, STATS]).scratch(|build| each_is_missed(build, CONTROLS, "", &[]))
}

/// The tests pass in a storm of NMIs that fault, but not without the rules made for it.
pub(crate) fn nmis_find_every_rule(version: &str) -> Result<(), Missing> {
    patched(version, &[KML, STATS, SMP, DEVMEM]).scratch(|build| {
        FAULTING_NMIS.apply(build);
        NO_STI_SHADOW.apply(build);
        for place in &NOP_IS_ON_THE_WAY {
            place.apply(build);
        }
        each_is_missed(build, NMI_CONTROLS, "kml_nmis", &["-smp", "2"])
    })
}

/// The first few lines of a long reason.
fn brief(why: &str) -> String {
    why.lines()
        .take(4)
        .map(str::trim)
        .collect::<Vec<_>>()
        .join(" ")
}
