/* A library for LD_PRELOAD: counts the writes of a program, passes them on, and answers one call itself. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static int writes;

ssize_t write(int fd, const void *bytes, size_t size) {
    ssize_t (*next)(int, const void *, size_t) = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    writes++;
    return next(fd, bytes, size);
}
uid_t geteuid(void) { return 4242; }
__attribute__((destructor)) static void tell(void) {
    char line[64];
    int size = snprintf(line, sizeof line, "%d writes\n", writes);
    syscall(SYS_write, 2, line, size);
}
