/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Says at which privilege level of the processor programs of this kernel run: one that nothing
 * sets apart, one below /trusted, and one that was marked before its exec.
 */
#include "line.h"
#include "sys.h"

enum { ARCH_KML_SET_EXEC = 0x6001 };

static char PLAIN[] = "/privilege", TRUSTED[] = "/trusted/privilege";

static long level(void)
{
	u16 selector;
	__asm__("mov %%cs, %0" : "=r"(selector));
	return selector & 3;
}

/* Runs a program that says its level under this name. */
static void ask(char *program, char *name, int marked)
{
	char *arguments[] = { program, name, NULL }, *environment[] = { NULL };
	long child = sys(SYS_fork);
	if (child == 0) {
		/* A kernel that knows no marks leaves the program as it is. */
		if (marked)
			sys(SYS_arch_prctl, ARCH_KML_SET_EXEC, 1);
		sys(SYS_execve, program, arguments, environment);
		sys(SYS_exit, 1);
	}
	sys(SYS_wait4, child, NULL, 0, NULL);
}

static int start(int argc, char **argv)
{
	struct line line = { .used = 0 };
	if (argc < 2) {
		ask(PLAIN, "elsewhere", 0);
		ask(TRUSTED, "trusted", 0);
		ask(PLAIN, "marked", 1);
		return 0;
	}
	add(&line, "privilege ");
	add(&line, argv[1]);
	add(&line, " ");
	add_number(&line, level());
	print(&line);
	return 0;
}
