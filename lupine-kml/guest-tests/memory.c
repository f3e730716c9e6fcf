/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Memory: stack growth, copy on write by user and kernel, mappings. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kml.h"

static __attribute__((noinline)) long deep(int n)
{
	volatile unsigned char page[4096];

	page[0] = (unsigned char)n;
	return n ? deep(n - 1) + page[0] : sys0(SYS_getppid);
}

static int stack_growth(void)
{
	enum { DEPTH = 1500 };		/* pages: 6 MiB of the usual 8 */
	long sum = getppid();

	for (int n = 1; n <= DEPTH; n++)
		sum += (unsigned char)n;
	CHECK(deep(DEPTH) == sum);
	return 0;
}

static int copy_on_write(void)
{
	enum { SIZE = 64 * 4096 };
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd[2], status;
	pid_t pid;

	CHECK(p != MAP_FAILED && !pipe(fd));
	memset(p, 'a', SIZE);
	pid = fork();
	if (!pid) {
		for (int i = 0; i < SIZE; i += 8192)
			p[i] = 'b';			/* written by the user */
		for (int i = 4096; i < SIZE; i += 8192) {
			if (sys3(SYS_write, fd[1], "c", 1) != 1)
				_exit(1);
			if (sys3(SYS_read, fd[0], p + i, 1) != 1)	/* by the kernel */
				_exit(2);
		}
		for (int i = 0; i < SIZE; i += 4096)
			if (p[i] != (i & 4096 ? 'c' : 'b') || p[i + 1] != 'a')
				_exit(3);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && !status);
	for (int i = 0; i < SIZE; i++)
		CHECK(p[i] == 'a');
	return 0;
}

static int mappings(void)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	char *p;

	CHECK(fd >= 0);
	p = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, fd, 0);
	CHECK(p != MAP_FAILED && !memcmp(p, "\177ELF", 4));
	CHECK(!mprotect(p, 4096, PROT_READ | PROT_WRITE));
	p[0] = 'x';
	CHECK(sys3(SYS_munmap, p, 8192, 0) == 0);
	/* A read only page is read only for the kernel's writes too. */
	p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(sys3(SYS_read, fd, p, 16) == -14);
	return 0;
}

static int many_faults(void)
{
	enum { SIZE = 4 << 20 };

	for (int round = 0; round < 3; round++) {
		char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		CHECK(p != MAP_FAILED);
		for (int i = 0; i < SIZE; i += 4096)
			CHECK(!p[i]++);
		CHECK(!munmap(p, SIZE));
	}
	return 0;
}

const struct test memory_tests[] = {
	{ "stack-growth", stack_growth, ALL, 0 },
	{ "copy-on-write", copy_on_write, ALL, 0 },
	{ "mappings", mappings, ALL, 0 },
	{ "many-faults", many_faults, ALL, 0 },
	{ 0 },
};
