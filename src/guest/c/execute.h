/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Becoming a program that is looked up in PATH, as execvp(3) does. */
#ifndef LUPINE_EXECUTE_H
#define LUPINE_EXECUTE_H

#include "report.h"

static const char *search_path(char **environment)
{
	const char *found = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	for (; *environment; environment++) {
		const char *entry = *environment;
		if (entry[0] == 'P' && entry[1] == 'A' && entry[2] == 'T' && entry[3] == 'H' &&
		    entry[4] == '=')
			found = entry + 5;
	}
	return found;
}

/* Replaces this process by the program; returns the error of the most telling attempt. */
static long try_execute(char **arguments, char **environment)
{
	char path[4096];
	char *name = arguments[0];
	size_t n = length(name);
	long worst = -ENOENT;
	int has_slash = 0;
	for (size_t i = 0; i < n; i++)
		has_slash |= name[i] == '/';
	if (has_slash)
		return sys(SYS_execve, name, arguments, environment);
	for (const char *at = search_path(environment);;) {
		size_t used = 0;
		for (; *at && *at != ':'; at++)
			if (used < sizeof path)
				path[used++] = *at;
		if (used + 1 + n + 1 <= sizeof path) {
			if (used)
				path[used++] = '/';
			memcpy(path + used, name, n + 1);
			long error = sys(SYS_execve, path, arguments, environment);
			if (error != -ENOENT && error != -ENOTDIR)
				worst = error;
			else if (sys(SYS_access, path, 0) == 0)
				return error; /* it is there, its interpreter is not */
		}
		if (!*at++)
			return worst;
	}
}

/* Replaces this process by the program, or reports why not and ends. */
__attribute__((noreturn)) static void execute(char **arguments, char **environment)
{
	long error = try_execute(arguments, environment);
	failure_status = error == -ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
	failed("run", arguments[0],
	       error == -ENOENT ? "is it in the image, and its loader or #! interpreter?" : NULL,
	       error);
	for (;;)
		sys(SYS_exit, failure_status);
}

#endif
