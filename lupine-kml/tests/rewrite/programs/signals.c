/* Signals that interrupt calls: restarted, not restarted, with restart blocks, left by siglongjmp, on an own stack. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t count;
static sigjmp_buf out;

static void tick(int n) { (void)n; count++; }
static void leave(int n) { (void)n; siglongjmp(out, 1); }

static void handle(int signal, void (*handler)(int), int flags) {
    struct sigaction a; memset(&a, 0, sizeof a);
    a.sa_handler = handler; a.sa_flags = flags;
    if (sigaction(signal, &a, 0)) abort();
}
static void timer(long us) {
    struct itimerval t = { { 0, us }, { 0, us } };
    setitimer(ITIMER_REAL, &t, 0);
}
static int after(pid_t child) { int status = 0; while (waitpid(child, &status, 0) < 0 && errno == EINTR) {} return status; }

int main(void) {
    int p[2]; char c;
    if (pipe(p)) return 2;

    handle(SIGALRM, tick, SA_RESTART);
    timer(300);
    pid_t child = fork();
    if (!child) { timer(0); for (int i = 0; i < 60; i++) { usleep(2000); if (write(p[1], "x", 1) != 1) _exit(1); } _exit(0); }
    int got = 0, wrong = 0;
    for (int i = 0; i < 60; i++) { if (read(p[0], &c, 1) == 1) got++; else wrong++; }
    timer(0);
    printf("restarted reads: %d wrong: %d ticks: %d child: %d\n", got, wrong, count > 10, after(child));

    handle(SIGALRM, tick, 0);
    timer(3000);
    errno = 0;
    ssize_t none = read(p[0], &c, 1);
    printf("interrupted read: %zd %s\n", none, strerror(errno));
    struct timespec left, wait = { 5, 0 };
    errno = 0;
    int slept = nanosleep(&wait, &left);
    printf("interrupted sleep: %d %s %d\n", slept, strerror(errno), left.tv_sec == 4);
    timer(0);

    /* A stop and continue restarts through restart_syscall. */
    child = fork();
    if (!child) {
        struct timespec t = { 0, 150000000 }, a, b;
        clock_gettime(CLOCK_MONOTONIC, &a);
        int r = nanosleep(&t, 0);
        clock_gettime(CLOCK_MONOTONIC, &b);
        long ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
        struct pollfd f = { p[0], POLLIN, 0 };
        int q = poll(&f, 1, 100);
        _exit(r == 0 && ms >= 149 && q == 0 ? 7 : 8);
    }
    for (int i = 0; i < 12; i++) { usleep(10000); kill(child, SIGSTOP); usleep(5000); kill(child, SIGCONT); }
    printf("stopped and continued: %d\n", WEXITSTATUS(after(child)));

    handle(SIGALRM, leave, SA_NODEFER);
    int jumps = 0;
    for (int i = 0; i < 200; i++) {
        if (!sigsetjmp(out, 1)) { timer(200 + i); for (;;) { if (i & 1) getppid(); else read(p[0], &c, 1); } }
        timer(0);
        jumps++;
    }
    printf("left by siglongjmp: %d\n", jumps);

    stack_t stack = { malloc(65536), 0, 65536 };
    sigaltstack(&stack, 0);
    handle(SIGSEGV, leave, SA_ONSTACK | SA_NODEFER);
    int faults = 0;
    for (int i = 0; i < 100; i++) if (!sigsetjmp(out, 1)) *(volatile int *)8 = 1; else faults++;
    printf("faults: %d\n", faults);

    handle(SIGALRM, tick, SA_RESTART);
    count = 0;
    timer(100);
    long bad = 0, rounds = 0;
    pid_t parent = getppid();
    for (; count < 2000; rounds++) if (getppid() != parent) bad++;
    timer(0);
    printf("calls under signals: bad %ld\n", bad);

    sigset_t set, old;
    sigemptyset(&set); sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, &old);
    raise(SIGUSR1);
    siginfo_t info;
    printf("sigwaitinfo: %d\n", sigwaitinfo(&set, &info) == SIGUSR1);
    return 0;
}
