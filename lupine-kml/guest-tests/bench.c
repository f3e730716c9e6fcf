/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Guest clock ticks per system call, best of 20 rounds of 100. Under
 * `qemu -icount shift=0` a tick of the TSC is one guest instruction.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/io.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kml.h"

enum { ROUNDS = 20, CALLS = 100 };

static inline unsigned long ticks(void)
{
	unsigned lo, hi;

	asm volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (unsigned long)hi << 32 | lo;
}

/*
 * Straight to the serial port: the clock set-up that works with -icount leaves
 * the driver without interrupts.
 */
static void report(const char *text)
{
	for (; *text; text++) {
		while (!(inb(0x3fd) & 0x20))
			;
		outb((unsigned char)*text, 0x3f8);
	}
}

#define MEASURE(result, call) do {				\
	unsigned long best = ~0UL;				\
	for (int r = 0; r < ROUNDS; r++) {			\
		unsigned long start = ticks();			\
		for (int i = 0; i < CALLS; i++)			\
			call;					\
		start = ticks() - start;			\
		if (start < best)				\
			best = start;				\
	}							\
	(result) = (double)best / CALLS;			\
} while (0)

#define ROW(line, how, fn) do {						\
	double ppid, nosys, wr, empty;					\
	MEASURE(empty, asm volatile("" : : : "memory"));		\
	MEASURE(ppid, fn(SYS_getppid, 0, 0, 0, 0, 0, 0));		\
	MEASURE(nosys, fn(1000, 0, 0, 0, 0, 0, 0));			\
	MEASURE(wr, fn(SYS_write, fd, (long)"x", 1, 0, 0, 0));		\
	snprintf(line, sizeof(line), "bench %s: getppid %.1f, enosys %.1f, write %.1f, empty loop %.1f\n",	\
		 how, ppid, nosys, wr, empty);				\
} while (0)

void bench(int through_gate)
{
	char lines[2][160] = { "", "" };
	int fd = open("/dev/null", O_WRONLY);

	if (fd < 0)
		printf("bench: no /dev/null\n");
	ROW(lines[0], through_gate ? "cpl0-syscall" : "ring3-syscall", by_syscall);
	if (through_gate)
		ROW(lines[1], "cpl0-gate", by_gate);
	/* Only now: a task with an I/O bitmap has work on each exit. */
	if (ioperm(0x3f8, 8, 1)) {
		printf("%s%s", lines[0], lines[1]);
		fflush(stdout);
		return;
	}
	report(lines[0]);
	report(lines[1]);
}
