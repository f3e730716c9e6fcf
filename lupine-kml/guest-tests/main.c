/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Runs as init of a guest: starts itself from /trusted (CPL 0) and from /plain
 * (ring 3), in each runs every test in a process of its own, and prints one
 * `ok NAME` or `not ok NAME (why)` per test, then `kml-tests: N ok, M failed`.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kml.h"

int use_gate;
void bench(int through_gate);
int start_nmis(void);
long nmis(void);

static int run_one(const struct test *t, const char *mode)
{
	int status, ok;
	pid_t pid = fork();

	if (!pid) {
		alarm(60);
		_exit(t->run() ? 1 : 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 0;
	if (t->dies_of)
		ok = WIFSIGNALED(status) && WTERMSIG(status) == t->dies_of;
	else
		ok = WIFEXITED(status) && !WEXITSTATUS(status);
	if (ok)
		printf("ok %s/%s\n", mode, t->name);
	else
		printf("not ok %s/%s (status %#x)\n", mode, t->name, status);
	fflush(stdout);
	return ok;
}

/* A failing check wants its line: run again in the foreground with it printed. */
static void explain(const struct test *t)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		alarm(60);
		printf("# %s: check at line %d\n", t->name, t->run());
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &status, 0);
}

static int run_all(int mode, const char *name)
{
	static const struct test *const all[] = { call_tests, signal_tests, memory_tests, ptrace_tests };
	int failed = 0, ok = 0;

	use_gate = mode == GATE;
	if (cpl() != (mode == RING3 ? 3 : 0)) {
		printf("not ok %s/cpl (is %d)\n", name, cpl());
		return 1;
	}
	for (unsigned i = 0; i < sizeof(all) / sizeof(*all); i++)
		for (const struct test *t = all[i]; t->name; t++) {
			if (!(t->modes & mode))
				continue;
			if (run_one(t, name)) {
				ok++;
			} else {
				failed++;
				if (!t->dies_of)
					explain(t);
			}
		}
	printf("kml-tests: %s: %d ok, %d failed\n", name, ok, failed);
	fflush(stdout);
	return failed;
}

static int spawn(const char *path, const char *arg, int mark)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (mark && syscall(SYS_arch_prctl, ARCH_KML_SET_EXEC, 1))
			_exit(98);
		execl(path, path, arg, NULL);
		_exit(99);
	}
	waitpid(pid, &status, 0);
	if (!WIFEXITED(status))
		printf("not ok %s %s (status %#x)\n", path, arg, status);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static int expect(const char *name, int got, int want)
{
	printf("%s policy/%s", got == want ? "ok" : "not ok", name);
	printf(got == want ? "\n" : " (got %d, want %d)\n", got, want);
	fflush(stdout);
	return got != want;
}

/* kml=all, trusted or off, as the kernel command line says. */
static int policy(void)
{
	char cmd[4096] = "";
	int fd = open("/proc/cmdline", O_RDONLY), failed = 0;
	int all, off;

	if (fd < 0 || read(fd, cmd, sizeof(cmd) - 1) < 0)
		return expect("cmdline", 0, 1);
	close(fd);
	all = !!strstr(cmd, "kml=all");
	off = !!strstr(cmd, "kml=off");
	failed += expect("init", cpl(), all ? 0 : 3);
	failed += expect("trusted", spawn("/trusted/tests", "cpl", 0), off ? 3 : 0);
	failed += expect("plain", spawn("/plain/tests", "cpl", 0), all ? 0 : 3);
	failed += expect("symlink-to-plain", spawn("/trusted/link-to-plain", "cpl", 0), all ? 0 : 3);
	failed += expect("symlink-to-trusted", spawn("/plain/link-to-trusted", "cpl", 0), off ? 3 : 0);
	failed += expect("marked", spawn("/plain/tests", "cpl", 1), off ? 98 : 0);
	failed += expect("mark-used-up", spawn("/plain/tests", "exec-plain", 1), off ? 98 : all ? 0 : 3);
	failed += expect("mark-not-inherited", spawn("/plain/tests", "mark-and-fork", 0),
			 off ? 98 : all ? 0 : 3);
	failed += expect("trusted-execs-plain", spawn("/trusted/tests", "cpl-of-plain", 0), all ? 0 : 3);
	failed += expect("plain-execs-trusted", spawn("/plain/tests", "cpl-of-trusted", 0), off ? 3 : 0);
	failed += expect("other-user-namespace", spawn("/plain/tests", "trusted-in-userns", 0),
			 all ? 0 : 3);
	return failed;
}

static int guest_init(void)
{
	char cmd[4096] = "";
	int failed, fd;

	mkdir("/proc", 0755);
	mkdir("/plain", 0755);
	mkdir("/dev", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	fd = open("/dev/console", O_RDWR);
	if (fd >= 0) {
		dup2(fd, 0);
		dup2(fd, 1);
		dup2(fd, 2);
	}
	link("/init", "/plain/tests");
	symlink("/plain/tests", "/trusted/link-to-plain");
	symlink("/trusted/tests", "/plain/link-to-trusted");

	fd = open("/proc/cmdline", O_RDONLY);
	if (fd >= 0 && read(fd, cmd, sizeof(cmd) - 1) > 0 && strstr(cmd, "kml_bench")) {
		spawn("/plain/tests", "bench", 0);
		spawn("/trusted/tests", "bench", 0);
		failed = 0;
	} else {
		pid_t storm = strstr(cmd, "kml_nmis") ? start_nmis() : 0;

		failed = expect("nmis", storm >= 0, 1);
		failed += policy();
		if (!strstr(cmd, "kml=all"))
			failed += spawn("/plain/tests", "ring3", 0);
		if (!strstr(cmd, "kml=off")) {
			failed += spawn("/trusted/tests", "native", 0);
			failed += spawn("/trusted/tests", "gate", 0);
		}
		if (storm > 0) {
			kill(storm, SIGKILL);
			waitpid(storm, NULL, 0);
			printf("kml-tests: %ld NMIs\n", nmis());
			failed += expect("many-nmis", nmis() > 10000, 1);
		}
	}
	printf("kml-tests: finished, %d failed\n", failed);
	fflush(stdout);
	sync();
	reboot(RB_AUTOBOOT);
	return failed;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (getpid() == 1)
		return guest_init();
	if (!strcmp(what, "cpl"))
		return cpl();
	if (!strcmp(what, "cpl-of-plain"))
		return spawn("/plain/tests", "cpl", 0);
	if (!strcmp(what, "exec-plain")) {
		execl("/plain/tests", "tests", "cpl", NULL);
		return 99;
	}
	if (!strcmp(what, "mark-and-fork"))
		return syscall(SYS_arch_prctl, ARCH_KML_SET_EXEC, 1) ? 98 : spawn("/plain/tests", "cpl", 0);
	if (!strcmp(what, "cpl-of-trusted"))
		return spawn("/trusted/tests", "cpl", 0);
	if (!strcmp(what, "trusted-in-userns")) {
		/* Without user namespaces there is nobody to distrust. */
		if (unshare(CLONE_NEWUSER))
			return spawn("/plain/tests", "cpl", 0);
		return spawn("/trusted/tests", "cpl", 0);
	}
	if (!strcmp(what, "bench")) {
		bench(cpl() == 0);
		return 0;
	}
	if (!strcmp(what, "ring3"))
		return run_all(RING3, what);
	if (!strcmp(what, "native"))
		return run_all(NATIVE, what);
	if (!strcmp(what, "gate"))
		return run_all(GATE, what);
	fprintf(stderr, "usage: tests ring3|native|gate|cpl|bench\n");
	return 2;
}
