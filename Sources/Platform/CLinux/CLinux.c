#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int rv_openat(int directory, const char *path, int flags, mode_t mode) {
    return openat(directory, path, flags, mode);
}

// Layout and values of linux/openat2.h, which the oldest supported kernel headers may lack.
struct rv_open_how {
    uint64_t flags;
    uint64_t mode;
    uint64_t resolve;
};
#define RV_RESOLVE_NO_XDEV 0x01
#define RV_RESOLVE_NO_SYMLINKS 0x04
#ifndef SYS_openat2
#define SYS_openat2 437
#endif

int rv_open_child_directory(int directory, const char *name) {
    struct rv_open_how how;
    memset(&how, 0, sizeof how);
    how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    how.resolve = RV_RESOLVE_NO_XDEV | RV_RESOLVE_NO_SYMLINKS;
    return (int)syscall(SYS_openat2, directory, name, &how, sizeof how);
}

ssize_t rv_getdents(int descriptor, void *buffer, size_t size) {
    return syscall(SYS_getdents64, descriptor, buffer, size);
}

uint32_t rv_major(uint64_t device) { return major(device); }
uint32_t rv_minor(uint64_t device) { return minor(device); }
uint64_t rv_makedev(uint32_t a, uint32_t b) { return makedev(a, b); }

pid_t rv_gettid(void) { return (pid_t)syscall(SYS_gettid); }

int rv_set_thread_name(const char *name) { return pthread_setname_np(pthread_self(), name); }

int rv_renameat(int from_directory, const char *from, int to_directory, const char *to, int keep) {
    return renameat2(from_directory, from, to_directory, to, keep ? RENAME_NOREPLACE : 0);
}

int rv_memfd_create(const char *name) { return memfd_create(name, MFD_CLOEXEC); }

int rv_punch_hole(int descriptor, off_t offset, off_t count) {
    return fallocate(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, count);
}

int rv_flock(int descriptor, int operation) { return flock(descriptor, operation); }
int rv_statfs(const char *path, struct statfs *status) { return statfs(path, status); }

int64_t rv_birth_time(int descriptor) {
    struct statx status;
    if (statx(descriptor, "", AT_EMPTY_PATH, STATX_BTIME, &status) != 0) {
        // Linux before 4.11, or a seccomp filter that does not know statx.
        return errno == ENOSYS || errno == EPERM ? 0 : -1;
    }
    if (!(status.stx_mask & STATX_BTIME) || status.stx_btime.tv_sec < 0) return 0;
    return status.stx_btime.tv_sec * 1000000000LL + status.stx_btime.tv_nsec;
}

int rv_open_direct(void) {
    return O_DIRECT;
}
