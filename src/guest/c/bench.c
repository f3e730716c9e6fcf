/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Single operations of the kernel, as lmbench measures them: `bench` times each and prints what it
 * found (sample.h); `bench alone` does so without sleepers beside it; `bench exit` ends at once, for
 * the operation that executes a program. What takes two processes is in pair.h.
 */
#include "pair.h"

enum { PAGE = 4096, FORKS = 20 };

static char *self; /* this program's path */
static int zero = -1, null = -1;

static long null_call(u64 repeats)
{
	while (repeats--)
		sys(SYS_getppid);
	return 0;
}

static long read_byte(u64 repeats)
{
	char byte;
	long result = zero;
	while (repeats-- && result >= 0)
		result = sys(SYS_read, zero, &byte, 1);
	return result;
}

static long write_byte(u64 repeats)
{
	long result = null;
	while (repeats-- && result >= 0)
		result = sys(SYS_write, null, "", 1);
	return result;
}

static long stat_root(u64 repeats)
{
	char about[144];
	long result = 0;
	while (repeats-- && result >= 0)
		result = sys(SYS_stat, "/", about);
	return result;
}

static long open_close(u64 repeats)
{
	while (repeats--) {
		long file = sys(SYS_open, "/", O_RDONLY);
		if (file < 0)
			return file;
		sys(SYS_close, file);
	}
	return 0;
}

static void nothing(int signal)
{
	(void)signal;
}

static const struct sigaction ACTION = { nothing, SA_RESTORER, restore, 0 };

static long install_signal(u64 repeats)
{
	long result = 0;
	while (repeats-- && result >= 0)
		result = sys(SYS_rt_sigaction, SIGUSR1, &ACTION, NULL, sizeof ACTION.mask);
	return result;
}

static long deliver_signal(u64 repeats)
{
	long pid = sys(SYS_getpid);
	long result = install_signal(1);
	while (repeats-- && result >= 0)
		result = sys(SYS_kill, pid, SIGUSR1);
	return result;
}

static long page_fault(u64 repeats)
{
	enum { PROT_READ_WRITE = 3, MAP_PRIVATE_ANONYMOUS = 0x22 };
	long at = sys(SYS_mmap, NULL, repeats * PAGE, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
	if (at < 0 && at > -PAGE)
		return at;
	for (u64 i = 0; i < repeats; i++)
		((volatile char *)at)[i * PAGE] = 1;
	return sys(SYS_munmap, at, repeats * PAGE);
}

static long futex_wake(u64 repeats)
{
	static u32 word;
	long result = 0;
	while (repeats-- && result >= 0)
		result = sys(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	return result;
}

static long await(long child)
{
	int status = 0;
	long ended = sys(SYS_wait4, child, &status, 0, NULL);
	return ended < 0 ? ended : status ? -ENOEXEC : 0;
}

/* Forks, has the child execute `arguments` where there are any, and awaits its end. */
static long children(u64 repeats, char **arguments)
{
	static char *environment[] = { NULL };
	long result = 0;
	while (repeats-- && result >= 0) {
		long child = sys(SYS_fork);
		if (child < 0)
			return child;
		if (child == 0) {
			if (arguments)
				sys(SYS_execve, arguments[0], arguments, environment);
			sys(SYS_exit, arguments != NULL);
		}
		result = await(child);
	}
	return result;
}

static long fork_exit(u64 repeats)
{
	return children(repeats, NULL);
}

static long fork_exec(u64 repeats)
{
	char *arguments[] = { self, "exit", NULL };
	return children(repeats, arguments);
}

static long fork_shell(u64 repeats)
{
	char *arguments[] = { "/bin/sh", "-c", "exit 0", NULL };
	return children(repeats, arguments);
}

/* The same operations while others sleep: none of them should notice. */
static void beside_sleepers(void)
{
	static const int COUNTS[] = { 1, 4, 16, 64, 256, 1024 };
	static long sleeper[1024];
	int alive = 0;
	long child = 0;
	for (size_t i = 0; i < LENGTH(COUNTS) && child >= 0; i++) {
		struct line suffix = { .used = 0 };
		while (alive < COUNTS[i]) {
			child = sys(SYS_fork);
			if (child < 0)
				break;
			if (child == 0)
				for (;;)
					sys(SYS_pause);
			sleeper[alive++] = child;
		}
		add(&suffix, " beside ");
		add_number(&suffix, (long)COUNTS[i]);
		add(&suffix, COUNTS[i] == 1 ? " sleeping process" : " sleeping processes");
		suffix.text[suffix.used] = 0;
		if (child < 0) {
			say_skipped("null call", suffix.text, "no more processes", child);
			say_skipped("pipe latency", suffix.text, "no more processes", child);
			say_skipped("fork and exit", suffix.text, "no more processes", child);
			break;
		}
		sample("null call", suffix.text, null_call, 1000);
		between_two("pipe latency", suffix.text, two_pipes, 0);
		sample("fork and exit", suffix.text, fork_exit, FORKS);
	}
	while (alive--) {
		sys(SYS_kill, sleeper[alive], SIGKILL);
		sys(SYS_wait4, sleeper[alive], NULL, 0, NULL);
	}
}

static int start(int argc, char **argv)
{
	static const struct {
		const char *name;
		operation *run;
		u64 repeats;
	} OPERATIONS[] = {
		{ "hundred instructions", hundred_instructions, 1000 },
		{ "null call", null_call, 1000 },
		{ "read", read_byte, 1000 },
		{ "write", write_byte, 1000 },
		{ "stat", stat_root, 1000 },
		{ "open and close", open_close, 1000 },
		{ "signal install", install_signal, 1000 },
		{ "signal delivery", deliver_signal, 500 },
		{ "page fault", page_fault, 500 },
		{ "futex", futex_wake, 1000 },
		{ "fork and exit", fork_exit, FORKS },
		{ "fork and exec", fork_exec, FORKS },
	};
	if (argc > 1 && equal(argv[1], "exit"))
		return 0;
	self = argv[0];
	await_quiet();
	zero = (int)sys(SYS_open, "/dev/zero", O_RDONLY);
	null = (int)sys(SYS_open, "/dev/null", O_WRONLY);
	for (size_t i = 0; i < LENGTH(OPERATIONS); i++)
		sample(OPERATIONS[i].name, "", OPERATIONS[i].run, OPERATIONS[i].repeats);
	if (sys(SYS_access, "/bin/sh", 1) == 0)
		sample("fork and sh", "", fork_shell, 10);
	else
		say_skipped("fork and sh", "", "the image has no /bin/sh", 0);
	with_oneself();
	between_two("pipe latency", "", two_pipes, 0);
	between_two("AF_UNIX latency", "", two_sockets, 0);
	between_two("pipe latency", " between threads", two_pipes, 1);
	hand_over();
	if (argc < 2 || !equal(argv[1], "alone"))
		beside_sleepers();
	write_all(1, "lupine-bench: done\n", 19);
	return 0;
}
