/* Unwinds from a signal handler through whatever the signal interrupted, system call wrappers above all. */
#define _GNU_SOURCE
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static volatile int count, reached;
static void *bottom;

static void tick(int n) {
    (void)n;
    void *frames[64];
    int depth = backtrace(frames, 64);
    count++;
    for (int i = 0; i < depth; i++)
        if ((char *)frames[i] >= (char *)bottom && (char *)frames[i] < (char *)bottom + 4096) { reached++; break; }
}

/* One step at a time through some calls: every instruction of their trampolines is interrupted once. */
static volatile int steps, found;
static void trap(int n) {
    (void)n;
    void *frames[64];
    int depth = backtrace(frames, 64);
    steps++;
    for (int i = 0; i < depth; i++)
        if ((char *)frames[i] >= (char *)bottom && (char *)frames[i] < (char *)bottom + 4096) { found++; break; }
}

int main(void) {
    bottom = (void *)main;
    void *warm[4]; backtrace(warm, 4);
    struct sigaction step; memset(&step, 0, sizeof step); step.sa_handler = trap;
    sigaction(SIGTRAP, &step, 0);
    char byte; int pipes[2]; if (pipe(pipes) || write(pipes[1], "xy", 2) != 2) return 2;
    getppid(); kill(0, 0);
    __asm__ volatile("lea -128(%%rsp),%%rsp; pushf; orl $0x100,(%%rsp); popf; lea 128(%%rsp),%%rsp" ::: "memory", "cc");
    getppid(); kill(0, 0); read(pipes[0], &byte, 1); lseek(pipes[0], 0, SEEK_SET);
    __asm__ volatile("lea -128(%%rsp),%%rsp; pushf; andl $~0x100,(%%rsp); popf; lea 128(%%rsp),%%rsp" ::: "memory", "cc");
    printf("stepped: %d unwound: %d\n", steps > 30, found == steps);
    if (found != steps) printf("%d of %d steps\n", found, steps);
    struct sigaction a; memset(&a, 0, sizeof a); a.sa_handler = tick; a.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &a, 0);
    struct itimerval t = { { 0, 100 }, { 0, 100 } };
    setitimer(ITIMER_REAL, &t, 0);
    int zero = open("/dev/zero", O_RDONLY); char c[16];
    while (count < 5000) { getppid(); read(zero, c, sizeof c); lseek(zero, 0, SEEK_SET); kill(0, 0); }
    memset(&t, 0, sizeof t); setitimer(ITIMER_REAL, &t, 0);
    printf("unwound: %d\n", reached == count);
    if (reached != count) printf("%d of %d\n", reached, count);
    return 0;
}
