/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What init says on the console, each marker on a line of its own, for the program that watches:
 *   lupine-init: kernel mode
 *   lupine-init: ticks=N
 *   lupine-init: started
 *   lupine-init: calls gate N syscall N ring3 N
 *   lupine-init: exit status=N
 *   lupine-init: exit signal=N
 *   lupine-init: skipped STEP: REASON
 *   lupine-init: error STEP: REASON
 * and those of trace.c.
 */
#ifndef LUPINE_REPORT_H
#define LUPINE_REPORT_H

#include "line.h"

enum { EXIT_INIT_FAILED = 125, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

static int optional; /* the directive at hand may fail */
static int is_first; /* process 1 of the machine or of its namespace */
static int failure_status = EXIT_INIT_FAILED;
static int failure_pipe = -1; /* takes a byte when the program cannot be executed */

static const struct {
	int number;
	const char *text;
} REASONS[] = {
	{ EPERM, "not permitted" },
	{ ENOENT, "no such file" },
	{ EIO, "input/output error" },
	{ E2BIG, "arguments and environment are too large" },
	{ ENOEXEC, "not an executable format of this kernel (CONFIG_BINFMT_ELF, CONFIG_BINFMT_SCRIPT)" },
	{ ENOMEM, "out of memory" },
	{ EACCES, "permission denied" },
	{ EBUSY, "busy" },
	{ EEXIST, "exists" },
	{ ENODEV, "no such device or file system in this kernel" },
	{ ENOTDIR, "not a directory" },
	{ EISDIR, "a directory" },
	{ EINVAL, "invalid" },
	{ ENOSPC, "no space left" },
	{ EROFS, "read-only file system" },
	{ ENAMETOOLONG, "name too long" },
	{ ENOSYS, "system call missing in this kernel" },
	{ ELOOP, "too many symbolic links" },
	{ ELIBBAD, "broken ELF interpreter" },
	{ EAFNOSUPPORT, "address family missing in this kernel (CONFIG_INET)" },
	{ ENETUNREACH, "network unreachable" },
};

static void add_reason(struct line *line, long error)
{
	for (size_t i = 0; i < LENGTH(REASONS); i++) {
		if (REASONS[i].number == -error) {
			add(line, REASONS[i].text);
			add(line, " ");
		}
	}
	add(line, "(errno ");
	add_number(line, -error);
	add(line, ")");
}

/* What to turn on in the kernel when a mount fails for want of the file system. */
static const struct {
	const char *type, *option;
} FILE_SYSTEMS[] = {
	{ "proc", "CONFIG_PROC_FS" },	 { "sysfs", "CONFIG_SYSFS" },
	{ "tmpfs", "CONFIG_TMPFS" },	 { "devtmpfs", "CONFIG_DEVTMPFS" },
	{ "devpts", "CONFIG_UNIX98_PTYS" }, { "mqueue", "CONFIG_POSIX_MQUEUE" },
	{ "cgroup2", "CONFIG_CGROUPS" }, { "hugetlbfs", "CONFIG_HUGETLBFS" },
};

__attribute__((noreturn)) static void end_machine(void);

/* Reports a step that failed, and ends the machine unless the step is optional. */
static void failed(const char *step, const char *subject, const char *detail, long error)
{
	struct line line = { .used = 0 };
	add(&line, optional ? "lupine-init: skipped " : "lupine-init: error ");
	add(&line, step);
	add(&line, " ");
	add(&line, subject);
	add(&line, ": ");
	add_reason(&line, error);
	if (detail) {
		add(&line, "; ");
		add(&line, detail);
	}
	print(&line);
	if (optional)
		return;
	if (is_first)
		end_machine();
	if (failure_pipe >= 0)
		write_all(failure_pipe, "", 1);
	sys(SYS_exit, failure_status);
}

#endif
