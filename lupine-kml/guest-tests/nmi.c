/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A storm of NMIs: a process on CPU 1 sends them to CPU 0, where the tests run.
 * Needs /dev/mem for the local APIC, and a kernel that takes NMIs in silence.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "kml.h"

enum { APIC = 0xfee00000, ICR_LOW = 0x300 / 4, ICR_HIGH = 0x310 / 4, NMI = 0x4400, PENDING = 0x1000 };

static int stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

/* Starts the storm; returns the process that makes it, or -1. */
int start_nmis(void)
{
	int fd = open("/dev/mem", O_RDWR | O_SYNC);
	volatile uint32_t *apic;
	pid_t pid;

	if (fd < 0)
		return -1;
	apic = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, APIC);
	close(fd);
	if (apic == MAP_FAILED)
		return -1;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (stay_on(1))
			_exit(1);
		for (unsigned n = 0;; n++) {
			while (apic[ICR_LOW] & PENDING)
				;
			apic[ICR_HIGH] = 0;
			apic[ICR_LOW] = NMI;
			/* Not at the same places each time. */
			for (volatile unsigned i = 0; i < 3000 + n % 1009; i++)
				;
		}
	}
	if (stay_on(0))
		return -1;
	return pid;
}

/* How many NMIs CPU 0 has taken. */
long nmis(void)
{
	char line[256];
	long count = -1;
	FILE *f = fopen("/proc/interrupts", "r");

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line + strspn(line, " "), "NMI:", 4))
			count = strtol(strchr(line, ':') + 1, NULL, 10);
	fclose(f);
	return count;
}
