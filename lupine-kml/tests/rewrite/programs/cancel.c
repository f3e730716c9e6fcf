/* Cancels threads in every cancellation point that can be made to wait, deferred and asynchronous, and at random moments. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int silent[2], full[2], server, pair[2], crowded[2], locked, queue;
static pid_t child;
static char fifo[] = "/tmp/cancel-XXXXXX";
static struct sockaddr_un name = { AF_UNIX, "" };
static socklen_t name_length;
static sem_t never, started;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static volatile int cleaned;

static void cleanup(void *unused) { (void)unused; __sync_fetch_and_add(&cleaned, 1); }
static void unlock(void *unused) { (void)unused; pthread_mutex_unlock(&lock); __sync_fetch_and_add(&cleaned, 1); }

static void in_read(void) { char c; read(silent[0], &c, 1); }
static void in_write(void) { static char big[1 << 20]; for (;;) write(full[1], big, sizeof big); }
static void in_poll(void) { struct pollfd p = { silent[0], POLLIN, 0 }; poll(&p, 1, -1); }
static void in_select(void) { fd_set s; FD_ZERO(&s); FD_SET(silent[0], &s); select(silent[0] + 1, &s, 0, 0, 0); }
static void in_nanosleep(void) { struct timespec t = { 1000, 0 }; nanosleep(&t, 0); }
static void in_clock(void) { struct timespec t = { 1000, 0 }; clock_nanosleep(CLOCK_MONOTONIC, 0, &t, 0); }
static void in_sem(void) { sem_wait(&never); }
static void in_accept(void) { accept(server, 0, 0); }
static void in_recv(void) { char c; recv(pair[0], &c, 1, 0); }
static void in_recvmsg(void) {
    char c; struct iovec v = { &c, 1 }; struct msghdr m; memset(&m, 0, sizeof m); m.msg_iov = &v; m.msg_iovlen = 1;
    recvmsg(pair[0], &m, 0);
}
static void in_pause(void) { pause(); }
static void in_sigsuspend(void) { sigset_t s; sigemptyset(&s); sigsuspend(&s); }
static void in_epoll(void) { int e = epoll_create1(0); struct epoll_event v; epoll_wait(e, &v, 1, -1); }
static void in_sigwait(void) { sigset_t s; int n; sigemptyset(&s); sigaddset(&s, SIGUSR2); sigwait(&s, &n); }
static void in_readv(void) { char c; struct iovec v = { &c, 1 }; readv(silent[0], &v, 1); }
static void in_writev(void) { static char big[1 << 18]; struct iovec v = { big, sizeof big }; for (;;) writev(full[1], &v, 1); }
static void in_recvfrom(void) { char c; recvfrom(pair[0], &c, 1, 0, 0, 0); }
static void in_send(void) { static char big[1 << 16]; for (;;) send(crowded[0], big, sizeof big, 0); }
static void in_sendto(void) { static char big[1 << 16]; for (;;) sendto(crowded[0], big, sizeof big, 0, 0, 0); }
static void in_sendmsg(void) {
    static char big[1 << 16]; struct iovec v = { big, sizeof big }; struct msghdr m; memset(&m, 0, sizeof m);
    m.msg_iov = &v; m.msg_iovlen = 1;
    for (;;) sendmsg(crowded[0], &m, 0);
}
static void in_accept4(void) { accept4(server, 0, 0, 0); }
static void in_connect(void) { for (;;) if (connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&name, name_length)) return; }
static void in_open(void) { open(fifo, O_RDONLY); }
static void in_openat(void) { openat(AT_FDCWD, fifo, O_WRONLY); }
static void in_creat(void) { creat(fifo, 0600); }
static void in_fcntl(void) { struct flock l = { .l_type = F_WRLCK }; fcntl(locked, F_SETLKW, &l); }
static void in_lockf(void) { lockf(locked, F_LOCK, 1); }
static void in_wait(void) { int s; wait(&s); }
static void in_waitpid(void) { int s; waitpid(child, &s, 0); }
static void in_waitid(void) { siginfo_t i; waitid(P_PID, child, &i, WEXITED); }
static void in_msgrcv(void) { struct { long type; char c; } m; msgrcv(queue, &m, 1, 0, 0); }
static void in_ppoll(void) { struct pollfd p = { silent[0], POLLIN, 0 }; ppoll(&p, 1, 0, 0); }
static void in_pselect(void) { fd_set s; FD_ZERO(&s); FD_SET(silent[0], &s); pselect(silent[0] + 1, &s, 0, 0, 0, 0); }
static void in_epoll_pwait(void) { int e = epoll_create1(0); struct epoll_event v; epoll_pwait(e, &v, 1, -1, 0); }
static void in_sigtimedwait(void) { sigset_t s; struct timespec t = { 1000, 0 }; sigemptyset(&s); sigaddset(&s, SIGUSR2); sigtimedwait(&s, 0, &t); }
static void in_sigwaitinfo(void) { sigset_t s; sigemptyset(&s); sigaddset(&s, SIGUSR2); sigwaitinfo(&s, 0); }
static void in_sleep(void) { sleep(1000); }
static void in_usleep(void) { for (;;) usleep(900000); }
static void in_sem_timedwait(void) { struct timespec t; clock_gettime(CLOCK_REALTIME, &t); t.tv_sec += 1000; sem_timedwait(&never, &t); }
static void in_testcancel(void) { for (;;) pthread_testcancel(); }
static void in_join(void) { static pthread_t other; pthread_create(&other, 0, (void *(*)(void *))pause, 0); pthread_join(other, 0); }

static const struct { const char *name; void (*run)(void); } points[] = {
    { "read", in_read }, { "write", in_write }, { "poll", in_poll }, { "select", in_select }, { "nanosleep", in_nanosleep },
    { "clock_nanosleep", in_clock }, { "sem_wait", in_sem }, { "accept", in_accept }, { "recv", in_recv }, { "recvmsg", in_recvmsg },
    { "pause", in_pause }, { "sigsuspend", in_sigsuspend }, { "epoll_wait", in_epoll }, { "sigwait", in_sigwait },
    { "testcancel", in_testcancel }, { "join", in_join },
    { "readv", in_readv }, { "writev", in_writev }, { "recvfrom", in_recvfrom }, { "send", in_send }, { "sendto", in_sendto },
    { "sendmsg", in_sendmsg }, { "accept4", in_accept4 }, { "connect", in_connect }, { "open", in_open }, { "openat", in_openat },
    { "creat", in_creat }, { "fcntl", in_fcntl }, { "lockf", in_lockf }, { "wait", in_wait }, { "waitpid", in_waitpid },
    { "waitid", in_waitid }, { "msgrcv", in_msgrcv }, { "ppoll", in_ppoll }, { "pselect", in_pselect },
    { "epoll_pwait", in_epoll_pwait }, { "sigtimedwait", in_sigtimedwait }, { "sigwaitinfo", in_sigwaitinfo },
    { "sleep", in_sleep }, { "usleep", in_usleep }, { "sem_timedwait", in_sem_timedwait },
};

static void *deferred(void *run) {
    pthread_cleanup_push(cleanup, 0);
    sem_post(&started);
    ((void (*)(void))run)();
    pthread_cleanup_pop(0);
    return 0;
}
static void *condwait(void *unused) {
    (void)unused;
    pthread_mutex_lock(&lock);
    pthread_cleanup_push(unlock, 0);
    sem_post(&started);
    for (;;) pthread_cond_wait(&condition, &lock);
    pthread_cleanup_pop(0);
    return 0;
}
static void *asynchronous(void *unused) {
    (void)unused;
    pthread_cleanup_push(cleanup, 0);
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, 0);
    sem_post(&started);
    for (;;) getppid();
    pthread_cleanup_pop(0);
    return 0;
}

static void nap(long ns) { struct timespec t = { 0, ns }; nanosleep(&t, 0); }

static int cancelled(void *(*thread)(void *), void *argument, long wait) {
    pthread_t t; void *result = 0; int before = cleaned;
    if (pthread_create(&t, 0, thread, argument)) abort();
    while (sem_wait(&started) && errno == EINTR) {}
    if (wait >= 100000) nap(wait); else for (volatile long i = 0; i < wait; i++) {}
    pthread_cancel(t);
    pthread_join(t, &result);
    return result == PTHREAD_CANCELED && cleaned == before + 1;
}

int main(void) {
    int ready[2];
    alarm(240);
    sem_init(&never, 0, 0); sem_init(&started, 0, 0);
    if (pipe(silent) || pipe(full) || socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) return 2;
    server = socket(AF_UNIX, SOCK_STREAM, 0);
    name_length = sizeof name;
    if (bind(server, (struct sockaddr *)&name, sizeof(sa_family_t)) || listen(server, 1)) return 3;
    if (getsockname(server, (struct sockaddr *)&name, &name_length)) return 4;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, crowded) || (queue = msgget(IPC_PRIVATE, 0600)) < 0) return 5;
    /* A file that another process has locked, whose name then is that of a pipe. */
    if ((locked = mkstemp(fifo)) < 0 || unlink(fifo) || mkfifo(fifo, 0600) || pipe(ready)) return 6;
    if (!(child = fork())) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        struct flock l = { .l_type = F_WRLCK };
        if (!fcntl(locked, F_SETLK, &l)) write(ready[1], "x", 1);
        for (;;) pause();
    }
    if (read(ready[0], ready, 1) != 1) return 7;
    sigset_t block; sigemptyset(&block); sigaddset(&block, SIGUSR2); pthread_sigmask(SIG_BLOCK, &block, 0);
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        printf("%s: %d\n", points[i].name, cancelled(deferred, (void *)points[i].run, 3000000));
    printf("cond_wait: %d\n", cancelled(condwait, 0, 3000000));
    int good = 0;
    for (int i = 0; i < 300; i++) good += cancelled(asynchronous, 0, i * 37 % 5000);
    printf("asynchronous: %d\n", good);
    /* At any moment on the way into the call: a cancellation that is lost hangs here. */
    good = 0;
    for (int i = 0; i < 1500; i++) good += cancelled(deferred, (void *)in_read, i * 7 % 3000);
    printf("on the way into read: %d\n", good);
    good = 0;
    for (int i = 0; i < 500; i++) good += cancelled(deferred, (void *)in_recvmsg, i * 13 % 3000);
    printf("on the way into recvmsg: %d\n", good);
    unlink(fifo); kill(child, SIGKILL); msgctl(queue, IPC_RMID, 0);
    return 0;
}
