/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Signals: delivery, restart, faults and how they end, wild jumps, bad stacks. */
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "kml.h"

static volatile int count, kernel_ips;
static volatile siginfo_t seen;
static sigjmp_buf back;

static void handler(int sig, siginfo_t *info, void *ctx)
{
	unsigned long ip = ((ucontext_t *)ctx)->uc_mcontext.gregs[REG_RIP];

	(void)sig;
	seen = *info;
	count++;
	kernel_ips += ip >> 63;
}

static void jumper(int sig, siginfo_t *info, void *ctx)
{
	handler(sig, info, ctx);
	siglongjmp(back, 1);
}

static void catch(int sig, void (*fn)(int, siginfo_t *, void *), int flags)
{
	static char stack[65536];
	stack_t alt = { stack, 0, sizeof(stack) };
	struct sigaction sa = { .sa_sigaction = fn, .sa_flags = SA_SIGINFO | SA_ONSTACK | flags };

	sigaltstack(&alt, NULL);
	sigaction(sig, &sa, NULL);
}

static int storm(void)
{
	struct itimerval every = { { 0, 1000 }, { 0, 1000 } };

	catch(SIGALRM, handler, 0);
	CHECK(!setitimer(ITIMER_REAL, &every, NULL));
	while (count < 500)
		CHECK(sys0(SYS_getpid) > 0);
	/* No frame shows the kernel's part of the way in or out. */
	CHECK(!kernel_ips);
	return 0;
}

static int interrupted(void)
{
	struct itimerval once = { { 0, 0 }, { 0, 30000 } };
	struct timespec ts = { 5, 0 };
	int p[2];
	char c;

	CHECK(!pipe(p));
	catch(SIGALRM, handler, 0);
	CHECK(!setitimer(ITIMER_REAL, &once, NULL));
	CHECK(sys3(SYS_read, p[0], &c, 1) == -EINTR && count == 1);
	CHECK(!setitimer(ITIMER_REAL, &once, NULL));
	CHECK(sys3(SYS_nanosleep, &ts, NULL, 0) == -EINTR && count == 2);
	return 0;
}

static int restarted(void)
{
	struct itimerval once = { { 0, 0 }, { 0, 30000 } };
	int p[2], status;
	char c = 0;
	pid_t pid;

	CHECK(!pipe(p));
	catch(SIGALRM, handler, SA_RESTART);
	pid = fork();
	if (!pid) {
		usleep(150000);
		_exit(write(p[1], "r", 1) != 1);
	}
	CHECK(!setitimer(ITIMER_REAL, &once, NULL));
	CHECK(sys3(SYS_read, p[0], &c, 1) == 1 && c == 'r' && count == 1);
	CHECK(waitpid(pid, &status, 0) == pid && !status);
	return 0;
}

/* Stopped and continued, a sleep goes on by restart_syscall. */
static int restart_block(void)
{
	struct timespec ts = { 0, 300000000 };
	int status;
	pid_t self = getpid(), pid = fork();

	if (!pid) {
		usleep(50000);
		kill(self, SIGSTOP);
		usleep(50000);
		kill(self, SIGCONT);
		_exit(0);
	}
	CHECK(sys3(SYS_nanosleep, &ts, NULL, 0) == 0);
	CHECK(waitpid(pid, &status, 0) == pid && !status);
	return 0;
}

/* A handler may change any register of the interrupted program. */
static void changer(int sig, siginfo_t *info, void *ctx)
{
	greg_t *r = ((ucontext_t *)ctx)->uc_mcontext.gregs;

	(void)sig, (void)info;
	r[REG_RBX] = 0x11;
	r[REG_R12] = 0x22;
	r[REG_RCX] = 0x33;
	r[REG_R11] = 0x44;
	r[REG_RDX] = 0x55;
}

static int sigreturn_registers(void)
{
	unsigned long bx, r12, cx, r11, dx;

	catch(SIGTRAP, changer, 0);
	asm volatile("xor %%ebx, %%ebx; xor %%r12d, %%r12d; int3;"
		     "mov %%rbx, %%rax; mov %%r12, %%rsi; mov %%rcx, %%rdi; mov %%r11, %%r8"
		     : "=a"(bx), "=S"(r12), "=D"(cx), "=d"(dx)
		     : : "rbx", "r12", "rcx", "r11", "r8", "memory");
	asm volatile("mov %%r8, %0" : "=r"(r11));
	CHECK(bx == 0x11 && r12 == 0x22 && cx == 0x33 && dx == 0x55 && r11 == 0x44);
	return 0;
}

/* Runs @body, which has to raise @sig, leaving by siglongjmp. */
#define FAULTS(sig, addr, body) do {					\
	catch(sig, jumper, SA_NODEFER);					\
	count = 0;							\
	if (!sigsetjmp(back, 1)) {					\
		body;							\
		return __LINE__;					\
	}								\
	CHECK(count == 1);						\
	if (addr)							\
		CHECK((unsigned long)seen.si_addr == (unsigned long)(addr)); \
	CHECK(sys0(SYS_getppid) == getppid());				\
} while (0)

static int faults(void)
{
	char *none = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *ro = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *nx = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	nx[0] = (char)0xc3;
	for (int i = 0; i < 20; i++) {
		FAULTS(SIGSEGV, 8, *(volatile char *)8);
		FAULTS(SIGSEGV, 8, *(volatile char *)8 = 1);
		FAULTS(SIGSEGV, none, *(volatile char *)none);
		FAULTS(SIGSEGV, ro, *(volatile char *)ro = 1);
		FAULTS(SIGSEGV, nx, ((void (*)(void))nx)());
		FAULTS(SIGSEGV, 0, ((void (*)(void))0)());
		FAULTS(SIGSEGV, 0, *(volatile char *)0x8000000000000000);
		FAULTS(SIGSEGV, 0, ((void (*)(void))0x8000000000000000)());
		FAULTS(SIGILL, 0, asm volatile("ud2"));
		FAULTS(SIGTRAP, 0, asm volatile("int3"));
		FAULTS(SIGFPE, 0, asm volatile("xor %%ecx, %%ecx; xor %%edx, %%edx; div %%ecx" : : : "rax", "rcx", "rdx"));
	}
	return 0;
}

/* Nothing is mapped here in the kernel's half, in any configuration. */
#define KERNEL_HOLE 0xfffffe8000000000UL

static int kernel_half_data(void)
{
	FAULTS(SIGSEGV, 0, *(volatile char *)KERNEL_HOLE);
	FAULTS(SIGSEGV, 0, *(volatile char *)KERNEL_HOLE = 1);
	return 0;
}

/* Kernel RIP with the user's stack: the program's fault, not the kernel's. */
static int jump_to_kernel_half(void)
{
	for (int i = 0; i < 20; i++)
		FAULTS(SIGSEGV, 0, ((void (*)(void))KERNEL_HOLE)());
	return 0;
}

static volatile unsigned long target;

static void redirect(int sig, siginfo_t *info, void *ctx)
{
	(void)sig, (void)info;
	((ucontext_t *)ctx)->uc_mcontext.gregs[REG_RIP] = (greg_t)target;
}

static int sigreturn_to_kernel_half(void)
{
	catch(SIGTRAP, redirect, 0);
	target = KERNEL_HOLE;
	for (int i = 0; i < 20; i++)
		FAULTS(SIGSEGV, 0, asm volatile("int3"));
	return 0;
}

/* The IRET itself faults. */
static int bad_iret(void)
{
	catch(SIGTRAP, redirect, 0);
	target = 0x8000000000000000;
	for (int i = 0; i < 2000; i++)
		FAULTS(SIGSEGV, 0, asm volatile("int3"));
	return 0;
}

/* Its code selector is that of no segment. */
static void deselect(int sig, siginfo_t *info, void *ctx)
{
	greg_t *selectors = &((ucontext_t *)ctx)->uc_mcontext.gregs[REG_CSGSFS];

	(void)sig, (void)info;
	*selectors = (*selectors & ~0xffffL) | 0x7ff3;
}

/* The IRET itself faults, on the emulator as well. */
static int bad_iret_selector(void)
{
	catch(SIGTRAP, deselect, 0);
	for (int i = 0; i < 2000; i++)
		FAULTS(SIGSEGV, 0, asm volatile("int3"));
	return 0;
}

static int die_in_kernel_half(void)
{
	((void (*)(void))KERNEL_HOLE)();
	return __LINE__;
}

#define WITH_RSP(rsp, what) \
	asm volatile("mov %0, %%rsp; " what : : "r"((unsigned long)(rsp)) : "memory")

static int bad_stack_pointer(void)
{
	for (int i = 0; i < 20; i++) {
		FAULTS(SIGSEGV, 0, WITH_RSP(0, "push %%rax"));
		FAULTS(SIGSEGV, 0, WITH_RSP(0x7008, "push %%rax"));
		FAULTS(SIGBUS, 0, WITH_RSP(0x8000000000000000, "push %%rax"));
	}
	return 0;
}

static int ud_with_kernel_half_stack_pointer(void)
{
	for (int i = 0; i < 20; i++)
		FAULTS(SIGILL, 0, WITH_RSP(KERNEL_HOLE + 4096, "ud2a"));
	return 0;
}

/* Timer interrupts while RSP points nowhere, and into the kernel's half. */
static int loop_with_stack_pointer(unsigned long rsp)
{
	unsigned long saved;

	asm volatile("mov %%rsp, %0; mov %1, %%rsp; mov $30000000, %%ecx; 1: dec %%ecx; jnz 1b; mov %0, %%rsp"
		     : "=&b"(saved) : "r"(rsp) : "rcx", "memory", "cc");
	return 0;
}

static int interrupts_with_bad_stack_pointer(void)
{
	return loop_with_stack_pointer(0x7008);
}

static int interrupts_with_kernel_half_stack_pointer(void)
{
	return loop_with_stack_pointer(KERNEL_HOLE + 4096);
}

/* Calls with RSP in the kernel's half: an interrupt at the jump back to the program finds RIP there, too. */
static int calls_with_kernel_half_stack_pointer(void)
{
	unsigned long saved;

	asm volatile("	mov %%rsp, %0; mov %1, %%rsp; mov $200000, %%r12d\n"
		     "	lea 2f(%%rip), %%r13; test %2, %2; cmovnz %2, %%r13\n"
		     "1:	mov %3, %%eax; lea 3f(%%rip), %%rcx; jmp *%%r13\n"
		     "2:	syscall\n"
		     "3:	dec %%r12d; jnz 1b; mov %0, %%rsp"
		     : "=&b"(saved)
		     : "r"(KERNEL_HOLE + 4096), "r"(use_gate ? KML_GATE : 0), "i"(SYS_getppid)
		     : "rax", "rcx", "r11", "r12", "r13", "memory", "cc");
	return 0;
}

static int die_of_segv(void)
{
	*(volatile char *)8 = 1;
	return __LINE__;
}

static int die_of_bad_stack(void)
{
	WITH_RSP(0x7008, "push %%rax");
	return __LINE__;
}

/* CLI of a program cannot survive a fault, a signal or a system call. */
static int interrupts_disabled(void)
{
	volatile char *fresh = mmap(NULL, 65536, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long flags;

	for (int i = 0; i < 16; i++) {
		asm volatile("cli" ::: "memory");
		fresh[i * 4096] = 1;
		asm volatile("pushfq; pop %0" : "=r"(flags));
		CHECK(flags & 0x200);
	}
	asm volatile("cli" ::: "memory");
	FAULTS(SIGSEGV, 8, *(volatile char *)8);
	asm volatile("pushfq; pop %0" : "=r"(flags));
	CHECK(flags & 0x200);
	asm volatile("cli" ::: "memory");
	CHECK(sys0(SYS_getppid) == getppid());
	CHECK(sys0(SYS_sched_yield) == 0);
	asm volatile("sti" ::: "memory");
	return 0;
}

static int interrupt_instruction_0x80(void)
{
	/* In ring 3 a #GP, in CPL 0 a spurious interrupt: documented. */
	asm volatile("int $0x80" : : "a"(20) : "memory", "cc", "r8", "r9", "r10", "r11");
	CHECK(sys0(SYS_getppid) == getppid());
	return 0;
}

/* Vectors with an error code find none on the stack: the program dies of it. */
static int interrupt_instruction_13(void)
{
	asm volatile("int $13");
	return __LINE__;
}

static int interrupt_instruction_14(void)
{
	asm volatile("int $14");
	return __LINE__;
}

static int return_address_garbage(void)
{
	FAULTS(SIGSEGV, 0, asm volatile("mov $0x6f6f6f6f6f6f, %%rcx; mov $0xffffffffff7ff000, %%r11;"
					"jmp *%%r11" : : "a"(SYS_getppid) : "rcx", "r11", "memory"));
	FAULTS(SIGSEGV, 0, asm volatile("mov $0x8000000000000000, %%rcx; mov $0xffffffffff7ff000, %%r11;"
					"jmp *%%r11" : : "a"(SYS_getppid) : "rcx", "r11", "memory"));
	return 0;
}

const struct test signal_tests[] = {
	{ "signal-storm", storm, ALL, 0 },
	{ "interrupted-call", interrupted, ALL, 0 },
	{ "restarted-call", restarted, ALL, 0 },
	{ "restart-block", restart_block, ALL, 0 },
	{ "sigreturn-registers", sigreturn_registers, ALL, 0 },
	{ "faults", faults, ALL, 0 },
	{ "kernel-half-data", kernel_half_data, ALL, 0 },
	{ "jump-to-kernel-half", jump_to_kernel_half, ALL, 0 },
	{ "sigreturn-to-kernel-half", sigreturn_to_kernel_half, ALL, 0 },
	{ "bad-iret", bad_iret, ALL, 0 },
	{ "bad-iret-selector", bad_iret_selector, ALL, 0 },
	{ "die-in-kernel-half", die_in_kernel_half, ALL, SIGSEGV },
	{ "bad-stack-pointer", bad_stack_pointer, ALL, 0 },
	{ "kernel-half-stack-pointer", ud_with_kernel_half_stack_pointer, ALL, 0 },
	{ "interrupts-bad-stack", interrupts_with_bad_stack_pointer, ALL, 0 },
	{ "interrupts-kernel-half-stack", interrupts_with_kernel_half_stack_pointer, ALL, 0 },
	{ "calls-kernel-half-stack", calls_with_kernel_half_stack_pointer, ALL, 0 },
	{ "die-of-segv", die_of_segv, ALL, SIGSEGV },
	{ "die-of-bad-stack", die_of_bad_stack, ALL, SIGSEGV },
	{ "interrupts-disabled", interrupts_disabled, KML, 0 },
	{ "int-0x80", interrupt_instruction_0x80, KML, 0 },
	{ "int-0x80", interrupt_instruction_0x80, RING3, SIGSEGV },
	{ "int-13", interrupt_instruction_13, ALL, SIGSEGV },
	{ "int-14", interrupt_instruction_14, ALL, SIGSEGV },
	{ "return-address-garbage", return_address_garbage, GATE, 0 },
	{ 0 },
};
