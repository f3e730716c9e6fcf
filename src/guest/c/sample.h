/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * How operations are timed: by the processor's time stamp counter, which counts instructions where
 * the VMM does, and by the monotonic clock. What is found goes to the console, a line each:
 *   lupine-bench: NAME: repeats=N ticks=N,N,... ns=N,N,...
 *   lupine-bench: NAME: skipped: REASON
 *   lupine-bench: rest before: skipped: REASON, where the machine is never at rest
 *   lupine-bench: done
 */
#ifndef LUPINE_SAMPLE_H
#define LUPINE_SAMPLE_H

#define SYS6_OUT_OF_LINE
#include "line.h"

enum { SAMPLES = 11 };

static void say_skipped(const char *name, const char *suffix, const char *reason, long error)
{
	struct line line = { .used = 0 };
	add(&line, "lupine-bench: ");
	add(&line, name);
	add(&line, suffix);
	add(&line, ": skipped: ");
	add(&line, reason);
	if (error < 0) {
		add(&line, ", errno ");
		add_number(&line, (long)-error);
	}
	print(&line);
}

static u64 ticks(void)
{
	u32 low, high;
	/* What is timed has ended before the counter is read, and not begun after. */
	__asm__ volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high) : : "memory");
	return (u64)high << 32 | low;
}

/* Lets others have the processor for a while. */
static void rest(long milliseconds)
{
	struct { long s, ns; } time = { milliseconds / 1000, milliseconds % 1000 * 1000000 };
	sys(SYS_nanosleep, &time, NULL);
}

/* Until what we printed has left the console, whose interrupts would be counted. */
static void settle(void)
{
	enum { TCSBRK = 0x5409, ONLY_DRAIN = 1 };
	sys(SYS_ioctl, 1, TCSBRK, ONLY_DRAIN);
	rest(8);
}

/* A loop of a known length: what a tick is. */
static long hundred_instructions(u64 repeats)
{
	u64 rounds = repeats * 50; /* two instructions each */
	__asm__ volatile("1: dec %0\n	jnz 1b" : "+r"(rounds) : : "cc");
	return 0;
}

static u64 time_of_loop(u64 repeats)
{
	u64 begin = ticks();
	hundred_instructions(repeats);
	return ticks() - begin;
}

/*
 * A large kernel goes on for a while after its first program has begun: it tests algorithms, frees
 * memory. Rests until a loop of some jiffies takes, three times, no more than its length: until
 * nobody takes a slice of it. The length is that of the fastest of some short loops, which fit
 * between two slices.
 */
static void await_quiet(void)
{
	enum { SHORT = 1000, TIMES = 120, LONGEST = 60 };
	u64 best = ~0ul;
	int quiet = 0;
	for (int i = 0; i < LONGEST && quiet < 3; i++) {
		u64 took;
		rest(100);
		for (int n = 0; n < 20; n++) {
			took = time_of_loop(SHORT);
			if (took < best)
				best = took;
		}
		took = time_of_loop(SHORT * TIMES);
		quiet = took < best * TIMES + best * TIMES / 10 ? quiet + 1 : 0;
	}
	if (quiet < 3)
		say_skipped("rest before", "", "others kept the processor busy: what follows has their part", 0);
}

static u64 nanoseconds(void)
{
	enum { CLOCK_MONOTONIC = 1 };
	struct { long s, ns; } now = { 0, 0 };
	sys(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
	return (u64)now.s * 1000000000 + (u64)now.ns;
}

/* Does an operation `repeats` times; a negative result is the error that ended it. */
typedef long operation(u64 repeats);

/* Times an operation after a first round that does not count; returns its error, if any. */
static long sample(const char *name, const char *suffix, operation *run, u64 repeats)
{
	u64 tick[SAMPLES], ns[SAMPLES];
	struct line line = { .used = 0 };
	long error;
	settle();
	error = run(repeats);
	for (int i = 0; i < SAMPLES && error >= 0; i++) {
		u64 before = nanoseconds();
		u64 begin = ticks();
		error = run(repeats);
		tick[i] = ticks() - begin;
		ns[i] = nanoseconds() - before;
	}
	if (error < 0) {
		say_skipped(name, suffix, "the kernel refused a step", error);
		return error;
	}
	add(&line, "lupine-bench: ");
	add(&line, name);
	add(&line, suffix);
	add(&line, ": repeats=");
	add_number(&line, (long)repeats);
	for (int kind = 0; kind < 2; kind++) {
		add(&line, kind ? " ns=" : " ticks=");
		for (int i = 0; i < SAMPLES; i++) {
			add(&line, i ? "," : "");
			add_number(&line, (long)kind ? ns[i] : tick[i]);
		}
	}
	print(&line);
	return 0;
}

#endif
