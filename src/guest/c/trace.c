/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * `trace [-CALL[=N]]... PROGRAM ARGUMENT...` runs a program and says on the console what it and all that it starts
 * ask of the kernel, each thing once and as soon as it is seen, so that nothing is lost whatever
 * happens next:
 *   lupine-init: saw CALL begun                 a system call by number, before its result
 *   lupine-init: saw CALL ERRNO                 its result, 0 for success
 *   lupine-init: saw CALL ERRNO argument N      with the argument that matters: a family, a command,
 *                                               flags of namespaces
 *   lupine-init: saw CALL ERRNO path PATH       with a path under /proc, /sys or /dev
 *   lupine-init: saw too much                   more than there is room to remember
 * Calls that an option names fail as in a kernel that lacks them: all by that number, or those with
 * N as the argument that matters.
 */
#include "execute.h"
#include "signal.h"

/* include/uapi/linux/ptrace.h */
enum { PTRACE_PEEKDATA = 2, PTRACE_POKEUSER = 6, PTRACE_GETREGS = 12, PTRACE_SYSCALL = 24, PTRACE_SEIZE = 0x4206,
       PTRACE_LISTEN = 0x4208, PTRACE_GET_SYSCALL_INFO = 0x420e };
enum { TRACE_SYSGOOD = 1, TRACE_FORK = 2, TRACE_VFORK = 4, TRACE_CLONE = 8, TRACE_EXEC = 16,
       EXIT_KILL = 1 << 20, EVENT_STOP = 128 };
enum { ENTRY = 1, EXIT = 2, X86_64 = 0xc000003e /* include/uapi/linux/audit.h */ };

struct call_info {
	u8 op, pad[3];
	u32 arch;
	u64 instruction, stack;
	u64 number_or_result, arguments[6], rest;
};

/* arch/x86/include/asm/user_64.h */
struct registers {
	u64 r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, orig_rax;
	u64 rip, cs, eflags, rsp, ss, fs_base, gs_base, ds, es, fs, gs;
};

enum { AT_RSI = 13 * 8, AT_RDI = 14 * 8, AT_ORIG_RAX = 15 * 8 }; /* places in them, in bytes */

/* Calls of which an argument matters, with its index. */
static const struct {
	u16 call;
	u8 argument;
	enum { VALUE, COMMAND, FLAGS, FLAGS_BEHIND, PATH } is;
} TELLING[] = {
	{ SYS_socket, 0, VALUE },	 { SYS_socketpair, 0, VALUE },
	{ SYS_fcntl, 1, VALUE },	 { SYS_futex, 1, COMMAND },
	{ SYS_clone, 0, FLAGS },	 { SYS_unshare, 0, FLAGS },
	{ SYS_setns, 1, FLAGS },	 { SYS_clone3, 0, FLAGS_BEHIND },
	{ SYS_open, 0, PATH },		 { SYS_stat, 0, PATH },
	{ SYS_lstat, 0, PATH },		 { SYS_access, 0, PATH },
	{ SYS_readlink, 0, PATH },	 { SYS_chdir, 0, PATH },
	{ SYS_statfs, 0, PATH },	 { SYS_mount, 1, PATH },
	{ SYS_openat, 1, PATH },	 { SYS_newfstatat, 1, PATH },
	{ SYS_readlinkat, 1, PATH },	 { SYS_faccessat, 1, PATH },
	{ SYS_statx, 1, PATH },		 { SYS_openat2, 1, PATH },
	{ SYS_faccessat2, 1, PATH },
};

/* CLONE_NEW*, include/uapi/linux/sched.h; futex operations without FUTEX_PRIVATE_FLAG and
 * FUTEX_CLOCK_REALTIME. */
enum { NAMESPACES = 0x7e020000, FUTEX_COMMAND = 0x7f };
enum { ROOM = 1 << 13, LONGEST = 256, CALLS = 1024 };

static u64 seen[ROOM]; /* an open hash table of what was said */
static size_t seen_count;
static u8 begun[CALLS];

/* What fails, and the value by which it does: no family, no command. */
static struct {
	u64 call, value;
	int is_all;
} refused[256];
static size_t refused_count;
enum { NONE = 0xffff };

static long program;

static u64 hash(u64 value, const char *text)
{
	enum { OFFSET = 0xcbf29ce484222325, PRIME = 0x100000001b3 }; /* FNV-1a */
	u64 result = OFFSET;
	for (int i = 0; i < 64; i += 8)
		result = (result ^ (value >> i & 0xff)) * PRIME;
	while (*text)
		result = (result ^ (u8)*text++) * PRIME;
	return result | 1;
}

/* Whether it is new; what does not fit is new once more, as a whole. */
static int remember(u64 key)
{
	size_t at = key % ROOM;
	while (seen[at] && seen[at] != key)
		at = (at + 1) % ROOM;
	if (seen[at])
		return 0;
	if (seen_count == ROOM / 2) {
		struct line line = { .used = 0 };
		add(&line, "lupine-init: saw too much");
		print(&line);
	}
	if (seen_count++ >= ROOM / 2)
		return 0;
	seen[at] = key;
	return 1;
}

static void say(u64 call, const char *result, u64 error, const char *kind, u64 value,
		const char *text)
{
	struct line line = { .used = 0 };
	if (!remember(hash(call << 48 ^ error << 32 ^ value, *text ? text : kind)))
		return;
	add(&line, "lupine-init: saw ");
	add_number(&line, (long)call);
	add(&line, result);
	if (!*result) {
		add(&line, " ");
		add_number(&line, (long)error);
	}
	add(&line, kind);
	if (*text)
		add(&line, text);
	else if (*kind)
		add_number(&line, (long)value);
	print(&line);
}

/* A string of the program, at most as long as there is room; empty where it cannot be read. */
static void peek_text(long pid, u64 address, char *text)
{
	size_t used = 0;
	while (used + 8 < LONGEST) {
		u64 word;
		if (sys(SYS_ptrace, PTRACE_PEEKDATA, pid, address + used, &word) < 0)
			break;
		for (int i = 0; i < 8; i++) {
			char byte = (char)(word >> i * 8);
			/* A line of the console is one line. */
			text[used++] = byte == 0 || (byte >= ' ' && byte <= '~') ? byte : '?';
			if (byte == 0)
				return;
		}
	}
	text[used] = 0;
}

static int begins(const char *text, const char *with)
{
	while (*with)
		if (*text++ != *with++)
			return 0;
	return *text == 0 || *text == '/';
}

static long place_of(u64 argument)
{
	return argument ? AT_RSI : AT_RDI;
}

/* Makes a call fail that is to: one of no number, or with an argument that no kernel knows. */
static void refuse(long pid, struct call_info *info)
{
	for (size_t i = 0; i < refused_count; i++) {
		u64 argument = refused[i].call == SYS_fcntl;
		if (refused[i].call != info->number_or_result)
			continue;
		if (refused[i].is_all)
			sys(SYS_ptrace, PTRACE_POKEUSER, pid, AT_ORIG_RAX, -1);
		else if ((u32)info->arguments[argument] == refused[i].value)
			sys(SYS_ptrace, PTRACE_POKEUSER, pid, place_of(argument), NONE);
	}
}

/* Gives a program its argument back. */
static void restore_argument(long pid, struct registers *at)
{
	u64 argument = at->orig_rax == SYS_fcntl;
	u64 *value = argument ? &at->rsi : &at->rdi;
	for (size_t i = 0; i < refused_count; i++) {
		if (!refused[i].is_all && refused[i].call == at->orig_rax && *value == NONE) {
			*value = refused[i].value;
			sys(SYS_ptrace, PTRACE_POKEUSER, pid, place_of(argument), *value);
		}
	}
}

static void call_ended(long pid)
{
	struct registers at;
	char text[LONGEST];
	if (sys(SYS_ptrace, PTRACE_GETREGS, pid, 0, &at) < 0 || at.orig_rax >= CALLS)
		return;
	restore_argument(pid, &at);
	u64 arguments[] = { at.rdi, at.rsi, at.rdx, at.r10, at.r8, at.r9 };
	u64 error = (long)at.rax < 0 && (long)at.rax >= -4095 ? -at.rax : 0;
	for (size_t i = 0; i < LENGTH(TELLING); i++) {
		if (TELLING[i].call != at.orig_rax)
			continue;
		u64 value = arguments[TELLING[i].argument];
		switch (TELLING[i].is) {
		case FLAGS_BEHIND:
			if (sys(SYS_ptrace, PTRACE_PEEKDATA, pid, value, &value) < 0)
				value = 0;
			/* fall through */
		case FLAGS:
			value &= NAMESPACES;
			if (value)
				say(at.orig_rax, "", error, " argument ", value, "");
			break;
		case COMMAND:
			value &= FUTEX_COMMAND;
			/* fall through */
		case VALUE:
			say(at.orig_rax, "", error, " argument ", value & 0xffffffff, "");
			break;
		case PATH:
			peek_text(pid, value, text);
			if (begins(text, "/proc") || begins(text, "/sys") || begins(text, "/dev"))
				say(at.orig_rax, "", error, " path ", 0, text);
		}
	}
	say(at.orig_rax, "", error, "", 0, "");
}

static void call_stopped(long pid)
{
	struct call_info info;
	if (sys(SYS_ptrace, PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) < 0 ||
	    info.arch != X86_64)
		return;
	if (info.op == EXIT)
		call_ended(pid);
	if (info.op == ENTRY)
		refuse(pid, &info);
	if (info.op == ENTRY && info.number_or_result < CALLS && !begun[info.number_or_result]) {
		begun[info.number_or_result] = 1;
		say(info.number_or_result, " begun", 0, "", 1, "");
	}
}

static void pass_on(int signal)
{
	sys(SYS_kill, program, signal);
}

/* Obeys what ptrace(2) asks of a tracer that seized, until the program ends. */
static int watch(void)
{
	enum { WALL = 0x40000000 };
	int status;
	for (;;) {
		long pid = sys(SYS_wait4, -1, &status, WALL, NULL);
		if (pid == -EINTR)
			continue;
		if (pid < 0)
			return EXIT_INIT_FAILED;
		if ((status & 0xff) != 0x7f) {
			if (pid != program)
				continue;
			int signal = status & 0x7f;
			return signal ? 128 + signal : status >> 8 & 0xff;
		}
		int signal = status >> 8 & 0xff, event = status >> 16, request = PTRACE_SYSCALL;
		if (event == EVENT_STOP && signal != SIGTRAP)
			request = PTRACE_LISTEN; /* it stopped, as a job does */
		if (signal == (SIGTRAP | 0x80))
			call_stopped(pid);
		if (event || signal == (SIGTRAP | 0x80))
			signal = 0;
		sys(SYS_ptrace, request, pid, 0, signal);
	}
}

/* -CALL or -CALL=N */
static void read_refusal(const char *text)
{
	u64 numbers[2] = { 0, 0 };
	int at = 0;
	for (text++; *text && at < 2; text++) {
		if (*text == '=')
			at++;
		else
			numbers[at] = numbers[at] * 10 + (u64)(*text - '0');
	}
	if (refused_count == LENGTH(refused))
		return;
	refused[refused_count].call = numbers[0];
	refused[refused_count].value = numbers[1];
	refused[refused_count++].is_all = at == 0;
}

static int start(int argc, char **argv)
{
	static const u8 PASSED_ON[] = { SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM,
					SIGWINCH };
	static const struct sigaction PASS_ON = { pass_on, SA_RESTORER, restore, 0 };
	const long options = TRACE_SYSGOOD | TRACE_FORK | TRACE_VFORK | TRACE_CLONE | TRACE_EXEC |
			     EXIT_KILL;
	int go[2];
	char byte;
	for (; argc > 1 && argv[1][0] == '-'; argc--, argv++)
		read_refusal(argv[1]);
	if (argc < 2)
		return EXIT_NOT_FOUND;
	long result = sys(SYS_pipe2, go, O_CLOEXEC);
	if (result < 0)
		failed("open", "a pipe", NULL, result);
	program = sys(SYS_fork);
	if (program < 0)
		failed("fork", argv[1], NULL, program);
	if (program == 0) {
		sys(SYS_close, go[1]);
		sys(SYS_read, go[0], &byte, 1); /* ends when the tracer is ready */
		execute(argv + 1, argv + argc + 1);
	}
	for (size_t i = 0; i < LENGTH(PASSED_ON); i++)
		sys(SYS_rt_sigaction, PASSED_ON[i], &PASS_ON, NULL, sizeof PASS_ON.mask);
	result = sys(SYS_ptrace, PTRACE_SEIZE, program, 0, options);
	if (result < 0)
		failed("trace", argv[1], NULL, result);
	sys(SYS_close, go[0]);
	sys(SYS_close, go[1]);
	return watch();
}

/* What init.c does; this program is never the first. */
static void end_machine(void)
{
	for (;;)
		sys(SYS_exit, EXIT_INIT_FAILED);
}
