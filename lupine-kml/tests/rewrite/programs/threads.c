/* Threads that start and end by the thousand: joined, detached, with stacks, keys and variables of their own. */
#define _GNU_SOURCE
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static __thread long own = 7;
static pthread_key_t key;
static long destroyed, seen;
static sem_t ended;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t barrier;
static long guarded;

static void destroy(void *value) { __sync_fetch_and_add(&destroyed, (long)value); }

static void *one(void *number) {
    if (own != 7) abort();
    own = (long)number;
    pthread_setspecific(key, number);
    char name[4096];
    memset(name, (int)own, sizeof name);
    if (syscall(SYS_gettid) == getpid()) abort();
    pthread_mutex_lock(&lock); guarded++; pthread_mutex_unlock(&lock);
    __sync_fetch_and_add(&seen, own);
    return (void *)(own * 2);
}
static void *detached(void *number) { one(number); sem_post(&ended); return 0; }
static void *together(void *unused) {
    (void)unused;
    for (int i = 0; i < 20; i++) pthread_barrier_wait(&barrier);
    return 0;
}
static void *leaves(void *number) { pthread_setspecific(key, number); pthread_exit(number); }

int main(void) {
    enum { MANY = 3000, AT_ONCE = 400 };
    static pthread_t threads[AT_ONCE];
    long sum = 0;
    alarm(240);
    pthread_key_create(&key, destroy);
    sem_init(&ended, 0, 0);
    for (long i = 1; i <= MANY; i++) {
        pthread_t t; void *result;
        if (pthread_create(&t, 0, one, (void *)i) || pthread_join(t, &result)) return 1;
        sum += (long)result;
    }
    printf("one after the other: %ld %ld %ld %ld\n", sum, seen, destroyed, guarded);
    for (int round = 0; round < 5; round++) {
        for (long i = 0; i < AT_ONCE; i++) if (pthread_create(&threads[i], 0, one, (void *)i)) return 2;
        for (long i = 0; i < AT_ONCE; i++) if (pthread_join(threads[i], 0)) return 3;
    }
    printf("many at once: %ld %ld %ld\n", seen, destroyed, guarded);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    for (long i = 0; i < 1000; i++) {
        pthread_t t;
        if (pthread_create(&t, &attributes, detached, (void *)i)) return 4;
        if (i % 50 == 49) for (int n = 0; n < 50; n++) sem_wait(&ended);
    }
    printf("detached: %ld\n", guarded);
    pthread_barrier_init(&barrier, 0, 8);
    for (int i = 0; i < 8; i++) pthread_create(&threads[i], 0, together, 0);
    for (int i = 0; i < 8; i++) pthread_join(threads[i], 0);
    size_t size = PTHREAD_STACK_MIN + 16384;
    void *stack = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_attr_t with_stack;
    pthread_attr_init(&with_stack);
    if (pthread_attr_setstack(&with_stack, stack, size)) return 5;
    for (long i = 0; i < 200; i++) {
        pthread_t t; void *result;
        if (pthread_create(&t, &with_stack, i % 2 ? one : leaves, (void *)i) || pthread_join(t, &result)) return 6;
        sum += (long)result;
    }
    printf("on an own stack: %ld\n", sum);
    /* A process that threads of another start, and that starts threads. */
    int good = 0;
    for (int i = 0; i < 50; i++) {
        int status;
        pid_t pid = fork();
        if (!pid) {
            pthread_t t[20];
            for (long n = 0; n < 20; n++) if (pthread_create(&t[n], 0, one, (void *)n)) _exit(1);
            for (int n = 0; n < 20; n++) pthread_join(t[n], 0);
            _exit(9);
        }
        if (waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 9) good++;
    }
    printf("in children: %d\n", good);
    return 0;
}
