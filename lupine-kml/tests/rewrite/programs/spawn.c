/* New processes and threads by every road: fork, vfork, posix_spawn, system, clone on its own stack. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static volatile int shared;
static int child(void *argument) { shared += *(int *)argument; return 5; }
static int status(pid_t pid) { int s = -1; if (waitpid(pid, &s, __WALL) != pid) return -1; return WIFEXITED(s) ? WEXITSTATUS(s) : 1000 + WTERMSIG(s); }

/* Keeps values around the call that a changed stack would destroy. */
__attribute__((noinline)) static int vforked(int code) {
    volatile long a[8]; for (int i = 0; i < 8; i++) a[i] = i * code;
    pid_t pid = vfork();
    if (!pid) { for (int i = 0; i < 8; i++) if (a[i] != i * code) _exit(99); _exit(code); }
    int s = status(pid);
    for (int i = 0; i < 8; i++) if (a[i] != i * code) return -2;
    return s;
}
__attribute__((noinline)) static int executed(const char *how) {
    pid_t pid = vfork();
    if (!pid) { execl("/bin/sh", "sh", "-c", how, (char *)0); _exit(127); }
    return status(pid);
}
static volatile int counter;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static __thread int own;
static void *thread(void *n) { own = (int)(long)n; pthread_mutex_lock(&lock); counter++; pthread_mutex_unlock(&lock); sched_yield(); return (void *)(long)own; }

int main(void) {
    int good = 0;
    alarm(240);
    for (int i = 0; i < 200; i++) good += vforked(i % 100) == i % 100;
    printf("vfork: %d\n", good);
    printf("vfork and exec: %d %d\n", executed("exit 3"), executed("kill -9 $$"));
    good = 0;
    for (int i = 0; i < 40; i++) {
        pid_t pid; char code[32]; snprintf(code, sizeof code, "exit %d", i);
        char *argv[] = { "sh", "-c", code, 0 };
        good += posix_spawn(&pid, "/bin/sh", 0, 0, argv, environ) == 0 && status(pid) == i;
    }
    printf("posix_spawn: %d\n", good);
    pid_t none; char *argv[] = { "x", 0 };
    printf("posix_spawn of nothing: %s\n", strerror(posix_spawn(&none, "/nonexistent", 0, 0, argv, environ)));
    printf("system: %d\n", WEXITSTATUS(system("exit 4")));
    FILE *f = popen("echo piped", "r"); char line[32] = ""; if (!fgets(line, sizeof line, f)) return 2;
    printf("popen: %s %d\n", strtok(line, "\n"), pclose(f));
    good = 0;
    char *stack = mmap(0, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 100; i++) {
        int n = i; shared = 0;
        pid_t pid = clone(child, stack + (1 << 16), CLONE_VM | SIGCHLD, &n);
        good += status(pid) == 5 && shared == i;
    }
    printf("clone on an own stack: %d\n", good);
    good = 0;
    for (int i = 0; i < 60; i++) { pid_t pid = fork(); if (!pid) _exit(i); good += status(pid) == i; }
    printf("fork: %d\n", good);
    int right = 0;
    for (int round = 0; round < 60; round++) {
        pthread_t t[50]; void *r;
        for (long i = 0; i < 50; i++) if (pthread_create(&t[i], 0, thread, (void *)i)) return 3;
        for (long i = 0; i < 50; i++) { pthread_join(t[i], &r); right += (long)r == i; }
    }
    printf("threads: %d %d\n", counter, right);
    pthread_attr_t detached; pthread_attr_init(&detached); pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    counter = 0;
    for (long i = 0; i < 500; i++) { pthread_t t; while (pthread_create(&t, &detached, thread, (void *)i) == EAGAIN) usleep(1000); }
    for (int i = 0; i < 2000; i++) { pthread_mutex_lock(&lock); int n = counter; pthread_mutex_unlock(&lock); if (n == 500) break; usleep(1000); }
    printf("detached threads: %d\n", counter);
    jmp_buf back; volatile int jumps = 0;
    if (setjmp(back) < 100) { jumps++; longjmp(back, jumps); }
    printf("setjmp: %d\n", jumps);
    return 0;
}
