/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Operations that take two: processes, or threads, which share their memory, pass a byte to and fro
 * through pipes or sockets, or hand a word of memory over.
 */
#ifndef LUPINE_PAIR_H
#define LUPINE_PAIR_H

#include "sample.h"
#include "signal.h"

enum { ROUNDS = 500 };

/* Descriptors of two who pass a byte to and fro: of us, of the other. */
static int our[2], their[2];

static long pass(int from, int to, u64 repeats)
{
	char byte = 0;
	long result = 1;
	while (repeats-- && result > 0) {
		result = sys(SYS_write, to, &byte, 1);
		if (result > 0)
			result = sys(SYS_read, from, &byte, 1);
	}
	return result > 0 ? 0 : result ? result : -EIO;
}

static long round_trips(u64 repeats)
{
	return pass(our[0], our[1], repeats);
}

/* The other side: sends back what comes, until nobody is left to send. */
static void echo(void)
{
	char byte;
	while (sys(SYS_read, their[0], &byte, 1) == 1 && sys(SYS_write, their[1], &byte, 1) == 1)
		;
	for (;;)
		sys(SYS_exit, 0);
}

static long two_pipes(void)
{
	int there[2], back[2];
	long result = sys(SYS_pipe2, there, 0);
	if (result >= 0)
		result = sys(SYS_pipe2, back, 0);
	our[0] = back[0], our[1] = there[1];
	their[0] = there[0], their[1] = back[1];
	return result;
}

static long two_sockets(void)
{
	int pair[2];
	long result = sys(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, pair);
	our[0] = our[1] = pair[0];
	their[0] = their[1] = pair[1];
	return result;
}

/* A child that shares our memory and has a stack of its own. */
static long thread(void (*run)(void))
{
	enum { CLONE_VM = 0x100 };
	static long stack[4096];
	long *top = stack + LENGTH(stack) - 2;
	/* The call returns there: to the address on the stack. */
	*top = (long)run;
	return sys(SYS_clone, CLONE_VM | SIGCHLD, top, NULL, NULL, 0);
}

static void end(long child)
{
	sys(SYS_kill, child, SIGKILL);
	sys(SYS_wait4, child, NULL, 0, NULL);
}

static void between_two(const char *name, const char *suffix, long (*connect)(void), int shares)
{
	long child = connect();
	if (child >= 0)
		child = shares ? thread(echo) : sys(SYS_fork);
	if (child < 0) {
		say_skipped(name, suffix, "nobody to talk to", child);
		return;
	}
	if (child == 0) {
		if (our[1] != their[1]) {
			sys(SYS_close, our[0]);
			sys(SYS_close, our[1]);
		}
		echo();
	}
	sample(name, suffix, round_trips, ROUNDS);
	/* One that shares our memory shares no descriptors: its copies would keep it waiting. */
	end(child);
	sys(SYS_close, our[0]);
	sys(SYS_close, their[0]);
	if (our[0] != our[1]) {
		sys(SYS_close, our[1]);
		sys(SYS_close, their[1]);
	}
}

/* What two processes do in a round trip, done by one: without the two switches. */
static void with_oneself(void)
{
	int own[2];
	long result = sys(SYS_pipe2, own, 0);
	our[0] = own[0], our[1] = own[1];
	if (result < 0) {
		say_skipped("pipe to itself", "", "no pipe", result);
		return;
	}
	sample("pipe to itself", "", round_trips, ROUNDS);
	sys(SYS_close, own[0]);
	sys(SYS_close, own[1]);
}

/* Whose turn it is: 0 ours, 1 the other's. */
static volatile u32 turn;

enum { FUTEX_WAIT_PRIVATE = 0x80, FUTEX_WAKE_PRIVATE = 0x81 };

/* Gives the turn away and waits until it is back. */
static long give(u32 to)
{
	long result;
	turn = to;
	result = sys(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	while (result >= 0 && turn == to) {
		result = sys(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, to, NULL, NULL, 0);
		if (result == -EAGAIN || result == -EINTR)
			result = 0;
	}
	return result;
}

static long handovers(u64 repeats)
{
	long result = 0;
	while (repeats-- && result >= 0)
		result = give(1);
	return result;
}

static void give_back(void)
{
	while (turn == 0)
		sys(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	while (give(0) >= 0)
		;
	for (;;)
		sys(SYS_exit, 1);
}

/* A turn that goes to a thread and comes back, by futex. */
static void hand_over(void)
{
	u32 word = 0;
	long child = sys(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	if (child >= 0)
		child = thread(give_back);
	if (child < 0) {
		say_skipped("futex handover", "", "no thread to hand over to", child);
		return;
	}
	sample("futex handover", "", handovers, ROUNDS);
	end(child);
}

#endif
