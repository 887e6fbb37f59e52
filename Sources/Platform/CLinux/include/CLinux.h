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

// MARK: - A process that is confined

// Takes from the calling process all that reading from open descriptors and answering on a socket does not need: every
// descriptor but 0, 1 and 2, privileges and capabilities, and by a seccomp filter every other system call, which then
// fails with EPERM. As root the process becomes the user 65534. The limits are RLIMIT_DATA, RLIMIT_AS, RLIMIT_NOFILE
// and RLIMIT_CPU. The process dies with the thread that started it. To be called before there is a second thread. On
// failure the process must end: it may be confined in part.
int rv_confine(uint64_t memory, uint64_t address_space, uint64_t descriptors, uint64_t processor_seconds);

// Starts `program` under the name `role` in a process group of its own, with `socket` as descriptor 0 and /dev/null as
// 1 and 2. Returns 0 or the error.
int rv_spawn_role(const char *program, const char *role, int socket, pid_t *child);

// Nanoseconds of processor time that a process has taken.
int64_t rv_processor_time(pid_t process);

// The most descriptors in one packet.
#define RV_PACKET_DESCRIPTORS 4

// Two connected sockets for packets (SOCK_SEQPACKET), both close-on-exec.
int rv_packet_pair(int ends[2]);

// Sends one packet. Without `wait` it fails with EAGAIN while the other end does not read. Never raises SIGPIPE.
ssize_t rv_send_packet(
    int socket, const void *bytes, size_t count, const int *descriptors, size_t descriptor_count, int wait);

// Receives one packet and its descriptors, which are close-on-exec and at most RV_PACKET_DESCRIPTORS. 0 is the end. A
// packet that does not fit is EMSGSIZE and lost.
ssize_t rv_receive_packet(
    int socket, void *bytes, size_t size, int *descriptors, size_t *descriptor_count, int wait);
