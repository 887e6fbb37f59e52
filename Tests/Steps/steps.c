/*
 * Loaded into a daemon with LD_PRELOAD: kills it with SIGKILL before its Nth change to the disk.
 *
 * RIVULET_STEPS names a file that contains N. Changes are counted once it exists. The change that the daemon was about
 * to make is written to the same name with the suffix ".log". None of the daemon's own code is involved.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static _Atomic long fatal_step, count;

static void step(const char *what) {
    long fatal = atomic_load(&fatal_step);
    const char *path = getenv("RIVULET_STEPS");
    if (!path) return;
    if (!fatal) {
        char text[32] = {0};
        int file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
        if (file < 0) return;
        if (syscall(SYS_read, file, text, sizeof text - 1) < 0) text[0] = 0;
        syscall(SYS_close, file);
        fatal = atol(text);
        if (fatal <= 0) return;
        atomic_store(&fatal_step, fatal);
    }
    if (atomic_fetch_add(&count, 1) + 1 != fatal) return;
    char log[4096];
    snprintf(log, sizeof log, "%s.log", path);
    int file = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file >= 0 && syscall(SYS_write, file, what, strlen(what)) >= 0) syscall(SYS_close, file);
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

#define STEP(type, name, parameters, ...)                                \
    type name parameters {                                               \
        static type (*real) parameters;                                  \
        if (!real) *(void **)&real = dlsym(RTLD_NEXT, #name);            \
        step(#name);                                                     \
        return real(__VA_ARGS__);                                        \
    }

STEP(int, mkdirat, (int at, const char *path, mode_t mode), at, path, mode)
STEP(int, unlinkat, (int at, const char *path, int flags), at, path, flags)
STEP(int, symlinkat, (const char *target, int at, const char *path), target, at, path)
STEP(int, fchmodat, (int at, const char *path, mode_t mode, int flags), at, path, mode, flags)
STEP(int, fchownat, (int at, const char *path, uid_t user, gid_t group, int flags), at, path, user, group, flags)
STEP(int, renameat2, (int from, const char *old, int to, const char *new, unsigned flags), from, old, to, new, flags)
STEP(ssize_t, pwrite, (int file, const void *bytes, size_t size, off_t offset), file, bytes, size, offset)
STEP(ssize_t, pwrite64, (int file, const void *bytes, size_t size, off64_t offset), file, bytes, size, offset)
STEP(int, ftruncate, (int file, off_t size), file, size)
STEP(int, ftruncate64, (int file, off64_t size), file, size)
STEP(int, fsync, (int file), file)
STEP(int, fdatasync, (int file), file)
