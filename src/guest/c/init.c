/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The guest's first process: sets the machine up as /.lupine/init.conf says (setup.h), runs one
 * program, reaps what others leave, reports on the console (report.h), and ends the machine.
 */
#include "execute.h"
#include "setup.h"
#include "signal.h"

enum { MS_RDONLY = 1, MS_REMOUNT = 32 };

/* Without a /dev/console in the image the kernel starts us without open files. */
static void open_console(void)
{
	enum { F_GETFD = 1 };
	if (sys(SYS_fcntl, 1, F_GETFD) >= 0)
		return;
	long fd = sys(SYS_open, "/dev/console", O_RDWR | O_NOCTTY);
	if (fd < 0) {
		sys(SYS_mkdir, "/dev", 0755);
		sys(SYS_mknod, "/dev/console", S_IFCHR | 0600, 5 << 8 | 1);
		fd = sys(SYS_open, "/dev/console", O_RDWR | O_NOCTTY);
	}
	if (fd < 0 && sys(SYS_mount, "devtmpfs", "/dev", "devtmpfs", 0, NULL) >= 0)
		fd = sys(SYS_open, "/dev/console", O_RDWR | O_NOCTTY);
	for (int target = 0; fd >= 0 && target < 3; target++)
		sys(SYS_dup2, fd, target);
	if (fd > 2)
		sys(SYS_close, fd);
}

/* Makes the console the caller's, so that an interrupt character typed there is a SIGINT. */
static void own_console(void)
{
	enum { TIOCSCTTY = 0x540e };
	sys(SYS_setsid);
	sys(SYS_ioctl, 1, TIOCSCTTY, 0);
}

static void set_identity(void)
{
	long result;
	if (user < 0)
		return;
	result = sys(SYS_setgroups, group_count, groups);
	if (result >= 0)
		result = sys(SYS_setresgid, group, group, group);
	if (result >= 0)
		result = sys(SYS_setresuid, user, user, user);
	if (result < 0 && !(user == 0 && group == 0 && group_count == 0))
		failed("change", "user and groups",
		       result == -ENOSYS ? "CONFIG_MULTIUSER" : NULL, result);
}

/* The mark outlives a change of user, which takes the right to set it, and is used up by exec. */
static void ask_for_kernel_mode(void)
{
	enum { ARCH_KML_SET_EXEC = 0x6001 };
	long result = sys(SYS_arch_prctl, ARCH_KML_SET_EXEC, 1);
	if (result < 0) {
		optional = 1;
		failed("enter", "kernel mode", "CONFIG_KERNEL_MODE_LINUX", result);
		optional = 0;
	} else {
		struct line line = { .used = 0 };
		add(&line, "lupine-init: kernel mode");
		print(&line);
	}
}

/* In the child: becomes the program, or reports why not. */
__attribute__((noreturn)) static void become_program(u64 no_signals)
{
	long error;
	is_first = 0;
	if (interactive) {
		own_console();
	} else {
		long null = sys(SYS_open, "/dev/null", O_RDONLY);
		sys(SYS_setpgid, 0, 0);
		if (null >= 0)
			sys(SYS_dup2, null, 0);
		if (null > 0)
			sys(SYS_close, null);
	}
	if (kernel_mode)
		ask_for_kernel_mode();
	set_identity();
	error = directory ? sys(SYS_chdir, directory) : 0;
	if (error < 0)
		failed("enter", directory, NULL, error);
	enum { SIG_SETMASK = 2 };
	sys(SYS_rt_sigprocmask, SIG_SETMASK, &no_signals, NULL, sizeof no_signals);
	sys(SYS_umask, 022);
	execute(arguments.items, environment.items);
}

static void report_end(int status)
{
	struct line line = { .used = 0 };
	int signal = status & 0x7f;
	add(&line, "\nlupine-init: exit ");
	add(&line, signal ? "signal=" : "status=");
	add_number(&line, signal ? signal : status >> 8 & 0xff);
	print(&line);
}

/* How many system calls came which way, where the kernel counts them (CONFIG_KML_STATS). */
static void report_calls(void)
{
	char text[256];
	struct line line = { .used = 0 };
	long file = sys(SYS_open, "/proc/kml", O_RDONLY), got;
	if (file < 0)
		return;
	got = sys(SYS_read, file, text, sizeof text - 1);
	sys(SYS_close, file);
	if (got <= 0)
		return;
	text[got] = 0;
	for (long i = 0; i < got; i++)
		if (text[i] == '\n')
			text[i] = i + 1 < got ? ' ' : 0;
	add(&line, "lupine-init: calls ");
	add(&line, text);
	print(&line);
}

/* Runs the program, passing signals on to it and reaping every orphan, until it ends. */
static void supervise(void)
{
	static const u8 PASSED_ON[] = { SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM, SIGWINCH,
					SIGCONT };
	enum { SIG_BLOCK = 0, WNOHANG = 1 };
	u64 mask = 1ul << (SIGCHLD - 1) | 1ul << (SIGINT - 1) | 1ul << (SIGPWR - 1);
	int status = 0, failure[2];
	long ended = 0, told;
	char byte;

	for (size_t i = 0; i < LENGTH(PASSED_ON); i++)
		mask |= 1ul << (PASSED_ON[i] - 1);
	sys(SYS_rt_sigprocmask, SIG_BLOCK, &mask, NULL, sizeof mask);
	if (!interactive)
		own_console();

	/* The child's end closes when the program is executed, after a byte where it cannot be. */
	long result = sys(SYS_pipe2, failure, O_CLOEXEC);
	if (result < 0)
		failed("open", "a pipe", NULL, result);
	long child = sys(SYS_fork);
	if (child < 0)
		failed("fork", arguments.items[0], NULL, child);
	if (child == 0) {
		failure_pipe = failure[1];
		become_program(0);
	}
	sys(SYS_close, failure[1]);
	while ((told = sys(SYS_read, failure[0], &byte, 1)) == -EINTR)
		;
	sys(SYS_close, failure[0]);
	if (told == 0) {
		struct line line = { .used = 0 };
		u32 low, high;
		/* Counts instructions where the VMM does: before the console takes any. */
		__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
		add(&line, "lupine-init: ticks=");
		add_number(&line, (long)((u64)high << 32 | low));
		print(&line);
		line.used = 0;
		add(&line, "lupine-init: started");
		print(&line);
	}
	for (;;) {
		do
			ended = sys(SYS_wait4, -1, &status, WNOHANG, NULL);
		while (ended > 0 && ended != child);
		if (ended == child)
			break;
		long signal = sys(SYS_rt_sigtimedwait, &mask, NULL, NULL, sizeof mask);
		if (signal == SIGINT || signal == SIGPWR)
			sys(SYS_kill, child, stop_signal); /* the console or the machine asks to end */
		else if (signal > 0 && signal != SIGCHLD)
			sys(SYS_kill, child, signal);
	}
	report_calls();
	report_end(status);
}

/* Ends what still runs, writes everything to the disk, and resets the machine. */
static void end_machine(void)
{
	enum { MAGIC1 = (int)0xfee1dead, MAGIC2 = 672274793, RESTART = 0x01234567 };
	enum { WNOHANG = 1 };
	struct { long seconds, nanoseconds; } pause = { 0, 10000000 };
	u64 child_ended = 1ul << (SIGCHLD - 1);

	sys(SYS_kill, -1, SIGTERM);
	for (int i = 0; i < 50; i++) {
		long ended;
		while ((ended = sys(SYS_wait4, -1, NULL, WNOHANG, NULL)) > 0)
			;
		if (ended < 0)
			break; /* nobody is left */
		sys(SYS_rt_sigtimedwait, &child_ended, NULL, &pause, sizeof child_ended);
	}
	sys(SYS_kill, -1, SIGKILL);
	sys(SYS_sync);
	sys(SYS_mount, NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
	sys(SYS_reboot, MAGIC1, MAGIC2, RESTART, NULL);
	for (;;)
		sys(SYS_exit, EXIT_INIT_FAILED);
}

static int start(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	is_first = 1;
	open_console();
	read_configuration();
	open_console(); /* a mount of /dev may have brought it */
	if (arguments.count == 0)
		failed("read", CONFIG, "it names no program to run", -EINVAL);
	push(&environment, NULL); /* an empty environment is a list, too */
	environment.count--;
	supervise();
	end_machine();
}
