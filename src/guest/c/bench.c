/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Single operations of the kernel, as lmbench measures them: `bench` times each and prints what it
 * found (sample.h); `bench exit` ends at once, for the operation that executes a program.
 */
#include "sample.h"

enum { SIGKILL = 9, SIGUSR1 = 10, SIGCHLD = 17 };
enum { PAGE = 4096 };

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

/* arch/x86/include/uapi/asm/signal.h */
struct sigaction {
	void (*handler)(int);
	u64 flags;
	void (*restorer)(void);
	u64 mask;
};
enum { SA_RESTORER = 0x04000000 };

void restore(void);
__asm__("restore:\n"
	"	mov $15, %eax\n" /* rt_sigreturn */
	"	syscall\n");

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
	enum { FUTEX_WAKE_PRIVATE = 0x81 };
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

/* Descriptors of two who pass a byte to and fro: of us, of the other. */
static int our[2], their[2];

static long pass(int from, int to, u64 repeats)
{
	char byte = 0;
	long result = 1;
	while (repeats-- && result > 0) {
		result = sys(SYS_write, to, &byte, 1);
		if (result > 0)
			result = sys(SYS_read, from, &byte, 1);
	}
	return result > 0 ? 0 : result ? result : -EIO;
}

static long round_trips(u64 repeats)
{
	return pass(our[0], our[1], repeats);
}

/* The other side: sends back what comes, until nobody is left to send. */
static void echo(void)
{
	char byte;
	while (sys(SYS_read, their[0], &byte, 1) == 1 && sys(SYS_write, their[1], &byte, 1) == 1)
		;
	for (;;)
		sys(SYS_exit, 0);
}

static long two_pipes(void)
{
	int there[2], back[2];
	long result = sys(SYS_pipe2, there, 0);
	if (result >= 0)
		result = sys(SYS_pipe2, back, 0);
	our[0] = back[0], our[1] = there[1];
	their[0] = there[0], their[1] = back[1];
	return result;
}

static long two_sockets(void)
{
	int pair[2];
	long result = sys(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, pair);
	our[0] = our[1] = pair[0];
	their[0] = their[1] = pair[1];
	return result;
}

/* Another process, or one that shares our memory and has a stack of its own. */
static long other(int shares)
{
	enum { CLONE_VM = 0x100 };
	static long stack[PAGE];
	long *top = stack + LENGTH(stack) - 2;
	if (!shares)
		return sys(SYS_fork);
	/* The call returns there: to the address on the stack. */
	*top = (long)echo;
	return sys(SYS_clone, CLONE_VM | SIGCHLD, top, NULL, NULL, 0);
}

static void between_two(const char *name, const char *suffix, long (*connect)(void), int shares)
{
	enum { ROUNDS = 500 };
	long child = connect();
	if (child >= 0)
		child = other(shares);
	if (child < 0) {
		say_skipped(name, "nobody to talk to", child);
		return;
	}
	if (child == 0) {
		if (our[1] != their[1]) {
			sys(SYS_close, our[0]);
			sys(SYS_close, our[1]);
		}
		echo();
	}
	sample(name, suffix, round_trips, ROUNDS);
	/* One that shares our memory shares no descriptors: its copies would keep it waiting. */
	sys(SYS_kill, child, SIGKILL);
	sys(SYS_wait4, child, NULL, 0, NULL);
	sys(SYS_close, our[0]);
	sys(SYS_close, their[0]);
	if (our[0] != our[1]) {
		sys(SYS_close, our[1]);
		sys(SYS_close, their[1]);
	}
}

/* What two processes do in a round trip, done by one: without the two switches. */
static void with_oneself(void)
{
	enum { ROUNDS = 500 };
	int own[2];
	long result = sys(SYS_pipe2, own, 0);
	our[0] = own[0], our[1] = own[1];
	if (result < 0) {
		say_skipped("pipe to itself", "no pipe", result);
		return;
	}
	sample("pipe to itself", "", round_trips, ROUNDS);
	sys(SYS_close, own[0]);
	sys(SYS_close, own[1]);
}

/* The same operations while others sleep: none of them should notice. */
static void beside_sleepers(void)
{
	static const int COUNTS[] = { 1, 16, 128, 1024 };
	static long sleeper[1024];
	int alive = 0;
	long child = 0;
	for (size_t i = 0; i < LENGTH(COUNTS) && child >= 0; i++) {
		struct text suffix = { .used = 0 };
		while (alive < COUNTS[i]) {
			child = sys(SYS_fork);
			if (child < 0)
				break;
			if (child == 0)
				for (;;)
					sys(SYS_pause);
			sleeper[alive++] = child;
		}
		put(&suffix, " beside ");
		put_number(&suffix, (u64)COUNTS[i]);
		put(&suffix, COUNTS[i] == 1 ? " sleeping process" : " sleeping processes");
		suffix.bytes[suffix.used] = 0;
		if (child < 0) {
			say_skipped(suffix.bytes + 1, "no more processes", child);
			break;
		}
		sample("null call", suffix.bytes, null_call, 1000);
		between_two("pipe latency", suffix.bytes, two_pipes, 0);
	}
	while (alive--) {
		sys(SYS_kill, sleeper[alive], SIGKILL);
		sys(SYS_wait4, sleeper[alive], NULL, 0, NULL);
	}
}

/* A loop of a known length: what a tick is. */
static long hundred_instructions(u64 repeats)
{
	u64 rounds = repeats * 50; /* two instructions each */
	__asm__ volatile("1: dec %0\n	jnz 1b" : "+r"(rounds) : : "cc");
	return 0;
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
		{ "fork and exit", fork_exit, 20 },
		{ "fork and exec", fork_exec, 20 },
	};
	if (argc > 1 && equal(argv[1], "exit"))
		return 0;
	self = argv[0];
	zero = (int)sys(SYS_open, "/dev/zero", O_RDONLY);
	null = (int)sys(SYS_open, "/dev/null", O_WRONLY);
	for (size_t i = 0; i < LENGTH(OPERATIONS); i++)
		sample(OPERATIONS[i].name, "", OPERATIONS[i].run, OPERATIONS[i].repeats);
	if (sys(SYS_access, "/bin/sh", 1) == 0)
		sample("fork and sh", "", fork_shell, 10);
	else
		say_skipped("fork and sh", "the image has no /bin/sh", 0);
	with_oneself();
	between_two("pipe latency", "", two_pipes, 0);
	between_two("AF_UNIX latency", "", two_sockets, 0);
	between_two("pipe latency", " between threads", two_pipes, 1);
	beside_sleepers();
	write_all(1, "lupine-bench: done\n", 19);
	return 0;
}
