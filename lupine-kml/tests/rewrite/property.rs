//! Thousands of small generated functions, executed before and after: every register must come out the same.

use std::fmt::Write;
use std::path::Path;

use lupine_kml::rewrite::{Options, Plan, rewrite_file};
use proptest::prelude::*;

use crate::support::{have, run, text};

const PER_PROGRAM: usize = 400;

/// A generator of choices from one seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.roll(from.len() as u64) as usize]
    }

    /// Calls without effect whose results do not change: user and group, or no such call.
    fn call(&mut self) -> u64 {
        match self.roll(4) {
            0 => [102, 104, 107, 108][self.roll(4) as usize],
            _ => 1000 + self.roll(500),
        }
    }

    fn filler(&mut self) -> String {
        let (a, b) = (
            self.pick(&["rdi", "rsi", "rdx", "r8", "r9", "r10"]),
            self.pick(&["rdi", "rsi", "rdx", "r8", "r9", "r10"]),
        );
        let n = self.roll(1 << 30);
        match self.roll(13) {
            0 => format!("mov ${n},%{a}"),
            1 => format!("mov %{b},%{a}"),
            2 => format!("xor %{b},%{a}"),
            3 => format!("add ${},%{a}", n % 100),
            4 => format!(
                "lea data+{}(%rip),%{a}; lea data(%rip),%r11; sub %r11,%{a}",
                n % 64
            ),
            5 => format!("mov data+{}(%rip),%{a}", n % 48),
            6 => format!("push %{a}; pop %{b}"),
            7 => format!("mov %{a},-{}(%rsp)", 8 + n % 14 * 8),
            8 => format!("cmp data+{}(%rip),%{a}", n % 40),
            9 => format!("addq ${},data+{}(%rip)", n % 50, n % 7 * 8),
            10 => format!("bswap %{a}"),
            11 => format!("lea {}(%{b},%{a},2),%{a}", n % 300),
            _ => format!("movabs $0x{n:x}0f05c3,%{a}"),
        }
    }
}

/// One function in assembler.
fn function(index: usize, dice: &mut Dice) -> String {
    let mut out = format!(
        ".p2align {}\n.type f{index},@function\nf{index}:\n",
        [0, 2, 4][dice.roll(3) as usize]
    );
    let mut line = |text: &str| {
        let _ = writeln!(out, "{text}");
    };
    for _ in 0..dice.roll(4) {
        line(&dice.filler());
    }
    let (nr, other) = (dice.call(), dice.call());
    match dice.roll(12) {
        0 | 1 => line(&format!("mov ${nr},%eax; syscall")),
        2 => line(&format!(
            "mov ${nr},%edx; mov $3,%ebx; jmp 1f; .p2align 4; 1: mov %edx,%eax; syscall; dec %ebx; jnz 1b"
        )),
        3 => line(&format!(
            "mov ${nr},%r8d; test $1,%dil; je 1f; mov %r8d,%eax; syscall; jmp 2f; 1: mov ${other},%eax; 2:"
        )),
        4 => line(&format!(
            "mov numbers+{}(%rip),%eax; syscall",
            dice.roll(8) * 4
        )),
        5 => line(&format!(
            "mov ${nr},%eax; test $2,%sil; jz 1f; mov ${other},%eax; {}; 1: syscall",
            dice.pick(&["nop", "nopw 0(%rax,%rax,1)", "mov $5,%r9d"])
        )),
        6 => line(&format!(
            "mov $2,%ebx; 1: {}; mov ${nr},%eax; syscall; dec %ebx; jnz 1b",
            dice.filler()
        )),
        7 => line(&format!("push ${nr}; pop %rax; syscall")),
        8 => line(&format!(
            "mov %rdi,-8(%rsp); mov %rsi,-128(%rsp); mov ${nr},%eax; syscall; mov -8(%rsp),%r9; mov -128(%rsp),%r10"
        )),
        9 => line(&format!(
            "mov ${nr},%eax; cmp $5,%edi; syscall; setb %dl; adc $1,%rsi"
        )),
        10 => line(&format!(
            "mov ${nr},%eax; jmp 1f; ud2; .p2align 4; 1: syscall; mov %rax,%rsi; mov ${other},%eax; syscall"
        )),
        _ => line(&format!(
            "xor %eax,%eax; mov ${nr},%ax; {}; cmp %rdi,%rsi; ja 1f; syscall; 1:",
            dice.filler()
        )),
    }
    line("add %rax,%rdi");
    for _ in 0..dice.roll(3) {
        line(&dice.filler());
    }
    line(&format!("ret\n.size f{index},.-f{index}"));
    out
}

fn program(seed: u64) -> String {
    let mut dice = Dice(seed);
    let mut out = String::from(".text\n.globl first\nfirst:\n");
    for index in 0..PER_PROGRAM {
        out += &function(index, &mut dice);
    }
    out +=
        ".globl last\nlast: ret\n.globl table\n.section .data.rel.ro,\"aw\"\n.p2align 3\ntable:\n";
    for index in 0..PER_PROGRAM {
        let _ = writeln!(out, ".quad f{index}");
    }
    out += ".quad 0\n.data\n.globl data\n.p2align 4\ndata:\n";
    for n in 0..16 {
        let _ = writeln!(out, ".quad {}", 0x0123_4567_89ab_cdefu64.rotate_left(n * 5));
    }
    out += ".section .rodata\n.p2align 2\nnumbers: .long 1000,102,1100,104,1200,107,1300,108\n.section .note.GNU-stack,\"\",@progbits\n";
    out
}

/// Calls each function with known registers and prints all that come back.
const DRIVER: &str = r#"
#include <stdio.h>
extern void (*table[])(void);
extern unsigned long data[16];
unsigned long regs[8];
int main(void) {
    for (int i = 0; table[i]; i++) {
        for (int round = 0; round < 3; round++) {
            __asm__ volatile("sub $256,%%rsp; push %%rbx; sub $8,%%rsp; mov %0,%%r11; mov %1,%%rdi; mov $77,%%esi; mov $3,%%edx; mov $4,%%r8d; mov $5,%%r9d; mov $6,%%r10d; call *%%r11;"
                "add $8,%%rsp; pop %%rbx; add $256,%%rsp; mov %%rax,regs(%%rip); mov %%rdx,regs+8(%%rip); mov %%rsi,regs+16(%%rip); mov %%rdi,regs+24(%%rip);"
                "mov %%r8,regs+32(%%rip); mov %%r9,regs+40(%%rip); mov %%r10,regs+48(%%rip)"
                : : "m"(table[i]), "r"((long)round) : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
            unsigned long h = 0;
            for (int k = 0; k < 7; k++) h = (h ^ regs[k]) * 1099511628211u;
            for (int k = 0; k < 16; k++) h = (h ^ data[k]) * 1099511628211u;
            printf("%d.%d %lx %lx\n", i, round, regs[0], h);
        }
    }
    return 0;
}
"#;

fn check(seed: u64, kind: &str) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("f.s"), program(seed)).unwrap();
    std::fs::write(at("main.c"), DRIVER).unwrap();
    let (before, after) = (at("before"), at("after"));
    text(&run(
        "cc",
        [
            "-O1".as_ref(),
            kind.as_ref(),
            "-o".as_ref(),
            before.as_os_str(),
            at("main.c").as_os_str(),
            at("f.s").as_os_str(),
        ],
    ));
    let done = rewrite_file(&before, &after, &Options::default()).unwrap();
    let expected = text(&run(&before, [] as [&str; 0]));
    assert_eq!(expected.lines().count(), PER_PROGRAM * 3);
    assert_eq!(
        text(&run(&after, [] as [&str; 0])),
        expected,
        "seed {seed} {kind}"
    );
    let ours = |path: &Path| {
        let listing = text(&run("nm", [path]));
        ["first", "last"].map(|n| {
            u64::from_str_radix(
                listing
                    .lines()
                    .find(|l| l.ends_with(&format!(" {n}")))
                    .unwrap()
                    .split(' ')
                    .next()
                    .unwrap(),
                16,
            )
            .unwrap()
        })
    };
    let [first, last] = ours(&before);
    let sites: Vec<_> = done
        .report
        .scan
        .sites
        .iter()
        .filter(|s| (first..last).contains(&s.address))
        .collect();
    let rewritten = sites
        .iter()
        .filter(|s| !matches!(s.plan, Plan::Native { .. }))
        .count();
    assert!(
        sites.len() >= PER_PROGRAM && rewritten * 100 >= sites.len() * 80,
        "{rewritten} of {}: {:?}",
        sites.len(),
        sites
            .iter()
            .filter(|s| matches!(s.plan, Plan::Native { .. }))
            .map(|s| &s.plan)
            .take(40)
            .collect::<Vec<_>>()
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn generated_functions_do_the_same(seed in any::<u64>()) {
        if have("cc") && have("nm") {
            for kind in ["-no-pie", "-pie", "-static"] {
                check(seed, kind);
            }
        }
    }
}

/// A long jump whose own bytes, read from within, are a short jump to it.
#[test]
fn a_jump_within_a_jump_is_none() {
    if have("cc") && have("nm") {
        for kind in ["-no-pie", "-pie", "-static"] {
            check(5_895_066_019_876_153_463, kind);
        }
    }
}
