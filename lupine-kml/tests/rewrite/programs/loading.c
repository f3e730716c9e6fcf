/* Libraries that come and go: dlopen, dlsym, dlclose, by several threads and with variables of a thread. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const names[] = { "libm.so.6", "libresolv.so.2", "libanl.so.1", "libutil.so.1" };

static int count(struct dl_phdr_info *info, size_t size, void *total) {
    (void)size;
    *(int *)total += strstr(info->dlpi_name, "libresolv") != 0;
    return 0;
}

static void *work(void *unused) {
    long good = 0;
    (void)unused;
    for (int i = 0; i < 200; i++) {
        void *library = dlopen(names[i % 4], i % 3 ? RTLD_NOW : RTLD_LAZY);
        if (!library) continue;
        if (i % 4 == 0) {
            double (*root)(double) = (double (*)(double))dlsym(library, "sqrt");
            good += root && root(9) == 3;
        } else {
            good++;
        }
        if (dlclose(library)) good -= 1000;
    }
    return (void *)good;
}

int main(void) {
    alarm(240);
    printf("alone: %ld\n", (long)work(0));
    pthread_t threads[8];
    long sum = 0;
    for (int i = 0; i < 8; i++) pthread_create(&threads[i], 0, work, 0);
    for (int i = 0; i < 8; i++) { void *good; pthread_join(threads[i], &good); sum += (long)good; }
    printf("together: %ld\n", sum);
    int loaded = 0;
    dl_iterate_phdr(count, &loaded);
    printf("left: %d\n", loaded);
    void *space = dlmopen(LM_ID_NEWLM, "libm.so.6", RTLD_NOW);
    printf("in a name space: %d\n", space && dlsym(space, "sqrt") && !dlclose(space));
    void *missing = dlopen("libnothing.so", RTLD_NOW);
    printf("missing: %d %d\n", !missing, dlerror() != 0);
    pid_t (*ppid)(void) = (pid_t (*)(void))dlsym(RTLD_DEFAULT, "getppid");
    printf("by name: %d\n", ppid && ppid() == getppid());
    return 0;
}
