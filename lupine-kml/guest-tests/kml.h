/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the guest programs share: entering the kernel both ways, and the report. */
#ifndef KML_GUEST_H
#define KML_GUEST_H

#define KML_GATE 0xffffffffff7ff000UL
#define ARCH_KML_SET_EXEC 0x6001
#define ARCH_KML_GET 0x6002

/* Set when system calls are to go through the gate. */
extern int use_gate;

static inline int cpl(void)
{
	unsigned short cs;

	asm volatile("mov %%cs, %0" : "=r"(cs));
	return cs & 3;
}

static inline long by_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 asm("r10") = d;
	register long r8 asm("r8") = e;
	register long r9 asm("r9") = f;
	long ret;

	asm volatile("syscall"
		     : "=a"(ret)
		     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
		     : "rcx", "r11", "memory", "cc");
	return ret;
}

/* The contract: rcx = return address behind a `syscall`, r11 lost, no stack use. */
static inline long by_gate(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 asm("r10") = d;
	register long r8 asm("r8") = e;
	register long r9 asm("r9") = f;
	long ret;

	asm volatile("lea 1f(%%rip), %%rcx\n\t"
		     "mov $0xffffffffff7ff000, %%r11\n\t"
		     "jmp *%%r11\n\t"
		     "syscall\n"
		     "1:"
		     : "=a"(ret)
		     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
		     : "rcx", "r11", "memory", "cc");
	return ret;
}

static inline long sys6(long nr, long a, long b, long c, long d, long e, long f)
{
	return use_gate ? by_gate(nr, a, b, c, d, e, f) : by_syscall(nr, a, b, c, d, e, f);
}

#define sys0(nr) sys6(nr, 0, 0, 0, 0, 0, 0)
#define sys3(nr, a, b, c) sys6(nr, (long)(a), (long)(b), (long)(c), 0, 0, 0)

struct test {
	const char *name;
	/* Returns 0 for ok, else the line that failed. Runs in a process of its own. */
	int (*run)(void);
	/* In which modes it makes sense. */
	int modes;
	/* The signal the test has to die of, 0 if it must exit. */
	int dies_of;
};

enum { RING3 = 1, NATIVE = 2, GATE = 4, KML = NATIVE | GATE, ALL = 7 };

#define CHECK(x) do { if (!(x)) return __LINE__; } while (0)

extern const struct test call_tests[], signal_tests[], memory_tests[], ptrace_tests[];

#endif
