/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* ptrace: registers as the tracer sees and sets them, single steps, system call stops. */
#define _GNU_SOURCE
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kml.h"

static pid_t child(int (*run)(void))
{
	pid_t pid = fork();

	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		_exit(run());
	}
	return pid;
}

static int call_ten_times(void)
{
	for (int i = 0; i < 10; i++)
		if (sys0(SYS_getppid) != getppid())
			return 1;
	return 0;
}

static int single_step(void)
{
	pid_t pid = child(call_ten_times);
	struct user_regs_struct r;
	int status, steps = 0;

	CHECK(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	while (steps < 600) {
		CHECK(!ptrace(PTRACE_SINGLESTEP, pid, 0, 0));
		CHECK(waitpid(pid, &status, 0) == pid);
		if (!WIFSTOPPED(status))
			break;
		CHECK(WSTOPSIG(status) == SIGTRAP);
		CHECK(!ptrace(PTRACE_GETREGS, pid, 0, &r));
		CHECK(r.cs == 0x33 && r.ss == 0x2b);
		CHECK(!(r.rip >> 63));
		steps++;
	}
	CHECK(steps > 100);
	if (WIFSTOPPED(status)) {
		CHECK(!ptrace(PTRACE_CONT, pid, 0, 0));
		CHECK(waitpid(pid, &status, 0) == pid);
	}
	CHECK(WIFEXITED(status) && !WEXITSTATUS(status));
	return 0;
}

static int call_stops(void)
{
	pid_t pid = child(call_ten_times);
	struct user_regs_struct r;
	int status, stops = 0;

	CHECK(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	for (;;) {
		CHECK(!ptrace(PTRACE_SYSCALL, pid, 0, 0));
		CHECK(waitpid(pid, &status, 0) == pid);
		if (!WIFSTOPPED(status))
			break;
		CHECK(!ptrace(PTRACE_GETREGS, pid, 0, &r));
		stops += r.orig_rax == SYS_getppid;
	}
	CHECK(WIFEXITED(status) && !WEXITSTATUS(status));
	CHECK(stops == 40);		/* ours and libc's, entry and exit */
	return 0;
}

static int fork_with_rbx(void)
{
	long bx, pid;

	if (use_gate)
		asm volatile("mov $7, %%ebx; lea 1f(%%rip), %%rcx; mov $0xffffffffff7ff000, %%r11;"
			     "jmp *%%r11; syscall; 1: mov %%rbx, %%rdx"
			     : "=a"(pid), "=d"(bx) : "a"(SYS_fork) : "rbx", "rcx", "r11", "memory");
	else
		asm volatile("mov $7, %%ebx; syscall; mov %%rbx, %%rdx"
			     : "=a"(pid), "=d"(bx) : "a"(SYS_fork) : "rbx", "rcx", "r11", "memory");
	if (!pid)
		_exit(0);
	return bx == 0x1234 ? 42 : 1;
}

/* Registers set while the tracee stops in the middle of a call stay set. */
static int set_in_event_stop(void)
{
	pid_t pid = child(fork_with_rbx);
	unsigned long new;
	int status;

	CHECK(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	CHECK(!ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEFORK));
	CHECK(!ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(status >> 8 == (SIGTRAP | PTRACE_EVENT_FORK << 8));
	CHECK(!ptrace(PTRACE_POKEUSER, pid, offsetof(struct user_regs_struct, rbx), 0x1234));
	CHECK(!ptrace(PTRACE_GETEVENTMSG, pid, 0, &new));
	CHECK(!ptrace(PTRACE_CONT, pid, 0, 0));
	do
		CHECK(waitpid(pid, &status, 0) == pid);
	while (WIFSTOPPED(status) && !ptrace(PTRACE_CONT, pid, 0, 0));
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42);
	CHECK(!kill(new, SIGKILL) && waitpid(new, &status, __WALL) == (pid_t)new);
	return 0;
}

const struct test ptrace_tests[] = {
	{ "ptrace-single-step", single_step, ALL, 0 },
	{ "ptrace-call-stops", call_stops, ALL, 0 },
	{ "ptrace-set-in-event-stop", set_in_event_stop, ALL, 0 },
	{ 0 },
};
