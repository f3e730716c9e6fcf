/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Guest clock ticks per system call, best of 20 rounds of 100. Under
 * `qemu -icount shift=0` a tick of the TSC is one guest instruction.
 */
#include <fcntl.h>
#include <stdio.h>
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

#define ROW(how, fn) do {						\
	double ppid, nosys, wr, empty;					\
	MEASURE(empty, asm volatile("" : : : "memory"));		\
	MEASURE(ppid, fn(SYS_getppid, 0, 0, 0, 0, 0, 0));		\
	MEASURE(nosys, fn(1000, 0, 0, 0, 0, 0, 0));			\
	MEASURE(wr, fn(SYS_write, fd, (long)"x", 1, 0, 0, 0));		\
	dprintf(log, "<1>bench %s: getppid %.1f, enosys %.1f, write %.1f, empty loop %.1f\n",	\
	       how, ppid, nosys, wr, empty);				\
} while (0)

void bench(int through_gate)
{
	int fd = open("/dev/null", O_WRONLY);
	/* The kernel's log: its console needs no interrupts. */
	int log = open("/dev/kmsg", O_WRONLY);

	if (fd < 0 || log < 0)
		printf("bench: no /dev/null or /dev/kmsg\n");
	ROW(through_gate ? "cpl0-syscall" : "ring3-syscall", by_syscall);
	if (through_gate)
		ROW("cpl0-gate", by_gate);
}
