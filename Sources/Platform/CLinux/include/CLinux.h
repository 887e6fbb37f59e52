// System calls that Swift cannot import from glibc: variadic functions, function-like macros, and calls that glibc 2.36
// does not wrap. Every symbol is prefixed with rv_. All follow the C convention: -1 and errno on failure.
#pragma once

#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/types.h>
#include <sys/xattr.h>

// open(2) and openat(2) are variadic.
int rv_openat(int directory, const char *path, int flags, mode_t mode);

// openat2(2), Linux 5.6, of a directory `name` directly inside `directory`: no symbolic link is followed and no mount
// point is crossed (RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV: errno ELOOP and EXDEV). ENOSYS on older kernels.
int rv_open_child_directory(int directory, const char *name);

// getdents64(2): whole records of struct linux_dirent64 into `buffer`.
ssize_t rv_getdents(int descriptor, void *buffer, size_t size);

// Device numbers: macros in glibc.
uint32_t rv_major(uint64_t device);
uint32_t rv_minor(uint64_t device);
uint64_t rv_makedev(uint32_t major, uint32_t minor);

// The kernel's ID of the calling thread.
pid_t rv_gettid(void);

// The name of the calling thread, at most 15 bytes: a glibc extension that Swift does not import.
int rv_set_thread_name(const char *name);

// glibc extensions that Swift does not import. renameat2(2): `keep` is RENAME_NOREPLACE.
int rv_renameat(int from_directory, const char *from, int to_directory, const char *to, int keep);
int rv_memfd_create(const char *name);
int rv_punch_hole(int descriptor, off_t offset, off_t count);

// glibc has a struct of the same name, so Swift cannot call the function.
int rv_flock(int descriptor, int operation);
int rv_statfs(const char *path, struct statfs *status);

// statx(2)'s birth time in nanoseconds since 1970; 0 if the file system does not record it. -1 on failure.
int64_t rv_birth_time(int descriptor);

/// `O_DIRECT`, whose value differs between architectures. glibc declares it for GNU sources only.
int rv_open_direct(void);
