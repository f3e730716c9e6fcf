/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* System calls: results, registers, flags, red zone, restart, processes, threads. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <unistd.h>

#include "kml.h"

static int results(void)
{
	int p[2];
	char c = 0;

	CHECK(sys0(SYS_getpid) == getpid());
	CHECK(sys0(SYS_getppid) == getppid());
	CHECK(sys0(1000) == -ENOSYS);
	CHECK(sys0(-1) == -ENOSYS);
	CHECK(sys0(0x100000000L + SYS_getpid) == getpid());
	CHECK(sys3(SYS_close, 12345, 0, 0) == -EBADF);
	CHECK(!pipe(p));
	CHECK(sys3(SYS_write, p[1], "q", 1) == 1);
	CHECK(sys3(SYS_read, p[0], &c, 1) == 1 && c == 'q');
	CHECK(sys3(SYS_write, p[1], (void *)16, 1) == -EFAULT);
	/* All six arguments arrive. */
	CHECK(sys6(SYS_mmap, 0, 8192, 3, 0x22, -1, 0) > 0);
	CHECK(sys6(SYS_mmap, 0, 4096, 3, 0x22, -1, 123) == -EINVAL);
	return 0;
}

/*
 * Loads a pattern into every register and the red zone, makes the call, and
 * reports what differs: 0, or the number of the first wrong one.
 */
int registers_once(int gate, unsigned long seed);
asm(".text\n"
    "registers_once:\n"
    "	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "	mov %edi, %eax\n"
    "	mov %rsi, -8(%rsp); mov %rsi, -64(%rsp); mov %rsi, -128(%rsp)\n"
    "	lea 1(%rsi), %rdi; lea 2(%rsi), %rdx; lea 3(%rsi), %r10; lea 4(%rsi), %r8\n"
    "	lea 5(%rsi), %r9; lea 6(%rsi), %rbx; lea 7(%rsi), %rbp; lea 8(%rsi), %r12\n"
    "	lea 9(%rsi), %r13; lea 10(%rsi), %r14; lea 11(%rsi), %r15\n"
    "	test %eax, %eax\n"
    "	mov $110, %eax\n"			/* getppid */
    "	jz 1f\n"
    "	lea 2f(%rip), %rcx; mov $0xffffffffff7ff000, %r11; jmp *%r11\n"
    "1:	syscall\n"
    "2:	mov $1, %eax; cmp %rsi, -8(%rsp); jne 9f\n"
    "	mov $2, %eax; cmp %rsi, -64(%rsp); jne 9f\n"
    "	mov $3, %eax; cmp %rsi, -128(%rsp); jne 9f\n"
    "	mov $4, %eax; lea 1(%rsi), %rcx; cmp %rcx, %rdi; jne 9f\n"
    "	mov $5, %eax; inc %rcx; cmp %rcx, %rdx; jne 9f\n"
    "	mov $6, %eax; inc %rcx; cmp %rcx, %r10; jne 9f\n"
    "	mov $7, %eax; inc %rcx; cmp %rcx, %r8; jne 9f\n"
    "	mov $8, %eax; inc %rcx; cmp %rcx, %r9; jne 9f\n"
    "	mov $9, %eax; inc %rcx; cmp %rcx, %rbx; jne 9f\n"
    "	mov $10, %eax; inc %rcx; cmp %rcx, %rbp; jne 9f\n"
    "	mov $11, %eax; inc %rcx; cmp %rcx, %r12; jne 9f\n"
    "	mov $12, %eax; inc %rcx; cmp %rcx, %r13; jne 9f\n"
    "	mov $13, %eax; inc %rcx; cmp %rcx, %r14; jne 9f\n"
    "	mov $14, %eax; inc %rcx; cmp %rcx, %r15; jne 9f\n"
    "	xor %eax, %eax\n"
    "9:	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "	ret\n");

static int registers(void)
{
	for (unsigned long i = 0; i < 5000; i++)
		CHECK(!registers_once(use_gate, 0x1111111111111111UL * (i % 15) + i));
	return 0;
}

static volatile int alarms;

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

/* The same under a storm of signals: frames must be built and undone exactly. */
static int registers_under_signals(void)
{
	struct itimerval every = { { 0, 1000 }, { 0, 1000 } };

	signal(SIGALRM, on_alarm);
	CHECK(!setitimer(ITIMER_REAL, &every, NULL));
	for (unsigned long i = 0; i < 10000 || alarms < 200; i++)
		CHECK(!registers_once(use_gate, i * 77777));
	return 0;
}

static int flags_kept(void)
{
	unsigned long before = 0x202 | 0x8d5, after;	/* CF PF AF ZF SF OF, IF */

	if (use_gate)
		return 0;		/* documented: the gate does not keep them */
	asm volatile("push %1; popfq; mov $110, %%eax; syscall; pushfq; pop %0"
		     : "=r"(after) : "r"(before) : "rax", "rcx", "r11", "memory", "cc");
	CHECK(after == before);
	return 0;
}

/* The kernel's own C code must not see the caller's direction flag. */
static int direction_flag(void)
{
	long ret;

	if (use_gate)
		asm volatile("std; lea 1f(%%rip), %%rcx; mov $0xffffffffff7ff000, %%r11; jmp *%%r11;"
			     "syscall; 1: cld" : "=a"(ret) : "a"(SYS_getppid)
			     : "rcx", "r11", "memory", "cc");
	else
		asm volatile("std; syscall; cld" : "=a"(ret) : "a"(SYS_getppid)
			     : "rcx", "r11", "memory", "cc");
	CHECK(ret == getppid());
	return 0;
}

static int auxiliary_vector(void)
{
	unsigned long gate = getauxval(32 /* AT_SYSINFO */), is = 9;

	CHECK(gate == (cpl() ? 0 : KML_GATE));
	if (!cpl()) {
		CHECK(!syscall(SYS_arch_prctl, ARCH_KML_GET, &is));
		CHECK(is == 1);
	}
	return 0;
}

static int processes(void)
{
	for (int i = 0; i < 30; i++) {
		int status;
		pid_t pid = i & 1 ? vfork() : fork();

		if (!pid)
			_exit(cpl() * 16 + (i & 15));
		CHECK(waitpid(pid, &status, 0) == pid);
		CHECK(WEXITSTATUS(status) == cpl() * 16 + (i & 15));
	}
	/* A child made through the gate has the parent's registers. */
	for (int i = 0; i < 10; i++) {
		int status;
		long pid = sys0(SYS_fork);

		if (!pid)
			_exit(registers_once(use_gate, i));
		CHECK(sys6(SYS_wait4, pid, (long)&status, 0, 0, 0, 0) == pid && !status);
	}
	return 0;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long shared;
static __thread long mine;

static void *thread(void *arg)
{
	for (long i = 0; i < 2000; i++) {
		mine += (long)arg;
		pthread_mutex_lock(&lock);
		shared++;
		pthread_mutex_unlock(&lock);
		sys0(i & 1 ? SYS_getpid : SYS_sched_yield);
	}
	return (void *)mine;
}

static int threads(void)
{
	pthread_t t[8];
	void *ret;

	for (long i = 0; i < 8; i++)
		CHECK(!pthread_create(&t[i], NULL, thread, (void *)i));
	for (long i = 0; i < 8; i++) {
		CHECK(!pthread_join(t[i], &ret));
		CHECK((long)ret == i * 2000);
	}
	CHECK(shared == 16000);
	return 0;
}

/* Each process keeps its own SSE state over preemption and calls. */
static int sse_state(void)
{
	pid_t pid[4];

	for (long i = 0; i < 4; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			unsigned long got;

			asm volatile("movq %0, %%xmm7" : : "r"(i * 0x1234567) : "xmm7");
			for (int n = 0; n < 3000; n++) {
				if (use_gate)
					by_gate(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
				else
					by_syscall(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
			}
			asm volatile("movq %%xmm7, %0" : "=r"(got));
			_exit(got != (unsigned long)i * 0x1234567);
		}
	}
	for (int i = 0; i < 4; i++) {
		int status;

		CHECK(waitpid(pid[i], &status, 0) == pid[i] && !status);
	}
	return 0;
}

static int user_gs(void)
{
	static unsigned long word = 0x5a5a5a5a;
	unsigned long got, base;

	CHECK(!syscall(SYS_arch_prctl, 0x1001 /* ARCH_SET_GS */, &word));
	for (int i = 0; i < 3000; i++) {
		sys0(i % 100 ? SYS_getppid : SYS_sched_yield);
		asm volatile("mov %%gs:0, %0" : "=r"(got));
		CHECK(got == word);
	}
	CHECK(!syscall(SYS_arch_prctl, 0x1004 /* ARCH_GET_GS */, &base));
	CHECK(base == (unsigned long)&word);
	return 0;
}

static int polling(void)
{
	struct epoll_event ev = { .events = EPOLLIN }, got;
	int ep = epoll_create1(0), fd = eventfd(0, 0);
	uint64_t one = 1, val = 0;

	CHECK(ep >= 0 && fd >= 0);
	CHECK(!epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	CHECK(sys6(SYS_epoll_wait, ep, (long)&got, 1, 20, 0, 0) == 0);
	CHECK(sys3(SYS_write, fd, &one, 8) == 8);
	CHECK(sys6(SYS_epoll_wait, ep, (long)&got, 1, -1, 0, 0) == 1);
	CHECK(sys3(SYS_read, fd, &val, 8) == 8 && val == 1);
	return 0;
}

/* A filter has its say on calls through the gate as well. */
static int seccomp_filter(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 77),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { 4, code };

	CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog));
	CHECK(sys0(SYS_getppid) == -77);
	CHECK(sys0(SYS_getpid) > 0);
	return 0;
}

static int seccomp_strict(void)
{
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
	sys0(SYS_getppid);
	return __LINE__;
}

static int vsyscall_page(void)
{
	struct timeval tv = { 0, 0 };
	long (*f)(void *, void *) = (void *)0xffffffffff600000;

	CHECK(!f(&tv, NULL));
	CHECK(tv.tv_sec > 0 || tv.tv_usec > 0);
	return 0;
}

static int gate_from_ring3(void)
{
	by_gate(SYS_getppid, 0, 0, 0, 0, 0, 0);
	return __LINE__;
}

/* The counters of this thread, by the way in; nothing without CONFIG_KML_STATS. */
static int counters(long counts[3])
{
	FILE *f = fopen("/proc/thread-self/arch_status", "r");
	char line[128];
	int found = 0;

	while (f && fgets(line, sizeof(line), f))
		found += sscanf(line, "kml_gate: %ld", &counts[0]) == 1 ||
			 sscanf(line, "kml_syscall: %ld", &counts[1]) == 1 ||
			 sscanf(line, "kml_ring3: %ld", &counts[2]) == 1;
	if (f)
		fclose(f);
	return found == 3;
}

static int counted(void)
{
	int way = cpl() == 3 ? 2 : use_gate ? 0 : 1, status;
	long before[3], after[3];
	pid_t pid;

	CHECK(counters(before));
	for (int i = 0; i < 1000; i++)
		CHECK(sys0(SYS_getppid) > 0);
	CHECK(counters(after));
	for (int i = 0; i < 3; i++) {
		long grown = after[i] - before[i];

		/* What the C library called in between is among those by SYSCALL. */
		CHECK(i == way ? grown >= 1000 && grown < 1100 : grown < 100);
		CHECK(i == way || (cpl() == 3) == (i == 2) || !grown);
	}
	pid = fork();
	if (!pid)
		_exit(!counters(after) || after[0] + after[1] + after[2] > 100);
	CHECK(waitpid(pid, &status, 0) == pid && !status);
	return 0;
}

const struct test call_tests[] = {
	{ "results", results, ALL, 0 },
	{ "registers", registers, ALL, 0 },
	{ "registers-under-signals", registers_under_signals, ALL, 0 },
	{ "flags-kept", flags_kept, ALL, 0 },
	{ "direction-flag", direction_flag, ALL, 0 },
	{ "counted", counted, ALL, 0 },
	{ "auxiliary-vector", auxiliary_vector, ALL, 0 },
	{ "processes", processes, ALL, 0 },
	{ "threads", threads, ALL, 0 },
	{ "sse-state", sse_state, ALL, 0 },
	{ "user-gs", user_gs, ALL, 0 },
	{ "polling", polling, ALL, 0 },
	{ "seccomp-filter", seccomp_filter, ALL, 0 },
	{ "seccomp-strict", seccomp_strict, ALL, SIGKILL },
	{ "vsyscall-page", vsyscall_page, ALL, 0 },
	{ "gate-from-ring3", gate_from_ring3, RING3, SIGSEGV },
	{ 0 },
};
