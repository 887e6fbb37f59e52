#define _GNU_SOURCE
#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// MARK: - Confinement

#if defined(__x86_64__)
#define RV_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define RV_ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "the system call filter has no table for this architecture"
#endif

// The user and group that the kernel shows for an ID that it cannot map: it owns nothing.
#define RV_NOBODY 65534

// The system calls of an allocator, a clock, an open socket and a read-only file. All others fail with EPERM.
static const int rv_allowed[] = {
    __NR_read, __NR_pread64, __NR_write, __NR_recvmsg, __NR_sendmsg, __NR_close, __NR_lseek,
    __NR_munmap, __NR_madvise, __NR_brk, __NR_mremap,
    __NR_futex, __NR_sched_yield, __NR_clock_gettime, __NR_clock_nanosleep, __NR_nanosleep, __NR_restart_syscall,
    __NR_rt_sigreturn, __NR_rt_sigaction, __NR_rt_sigprocmask, __NR_sigaltstack,
    __NR_getpid, __NR_gettid, __NR_getrandom, __NR_exit, __NR_exit_group,
};
#define RV_ALLOWED (sizeof rv_allowed / sizeof rv_allowed[0])

static int rv_filter_system_calls(void) {
    struct sock_filter filter[2 * RV_ALLOWED + 24];
    size_t n = 0;
#define EMIT(...) (filter[n++] = (struct sock_filter)__VA_ARGS__)
    const struct sock_filter deny = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    const struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    EMIT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
    EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RV_ARCHITECTURE, 1, 0));
    filter[n++] = deny;
    EMIT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
    for (size_t i = 0; i < RV_ALLOWED; i++) {
        EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)rv_allowed[i], 0, 1));
        filter[n++] = allow;
    }
    // Memory is never executable: mmap(2) and mprotect(2) both have the protection as their third argument.
    EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_mmap, 2, 0));
    EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_mprotect, 1, 0));
    filter[n++] = deny;
    EMIT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])));
    EMIT(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1));
    filter[n++] = deny;
    filter[n++] = allow;
#undef EMIT
    struct sock_fprog program = {.len = (unsigned short)n, .filter = filter};
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
}

static int rv_limit(int resource, rlim_t value) {
    struct rlimit limit;
    if (getrlimit(resource, &limit) == 0 && limit.rlim_max < value) value = limit.rlim_max;
    limit.rlim_cur = limit.rlim_max = value;
    return setrlimit(resource, &limit);
}

static void rv_close_others(void) {
#ifdef SYS_close_range
    if (syscall(SYS_close_range, 3, ~0U, 0) == 0) return;
#endif
    // Before Linux 5.9. This runs before the limit on descriptors is lowered, since that closes none.
    for (int descriptor = 3; descriptor < 65536; descriptor++) close(descriptor);
}

static int rv_drop_user(void) {
    if (geteuid() != 0) return 0;
    if (setgroups(0, NULL) != 0 && errno != EPERM) return -1;
    if (setresgid(RV_NOBODY, RV_NOBODY, RV_NOBODY) != 0 && errno != EINVAL) return -1;
    // EINVAL: a user namespace that has no such ID. The capabilities go all the same.
    if (setresuid(RV_NOBODY, RV_NOBODY, RV_NOBODY) != 0 && errno != EINVAL) return -1;
    return 0;
}

static int rv_drop_capabilities(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct none[2];
    memset(none, 0, sizeof none);
    return (int)syscall(SYS_capset, &header, none);
}

int rv_confine(uint64_t memory, uint64_t address_space, uint64_t descriptors, uint64_t processor_seconds) {
    // Nobody reads its results without the parent. If the parent is gone already, the closed socket ends this process.
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return -1;
    // The OOM killer picks this process first. Best effort: /proc may be missing.
    int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (score >= 0) {
        ssize_t ignored = write(score, "1000", 4);
        (void)ignored;
        close(score);
    }
    rv_close_others();
    if (rv_drop_user() != 0 || rv_drop_capabilities() != 0) return -1;
    // Cleared by the change of user.
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0) return -1;
    if (rv_limit(RLIMIT_DATA, memory) != 0 || rv_limit(RLIMIT_AS, address_space) != 0
        || rv_limit(RLIMIT_NOFILE, descriptors) != 0 || rv_limit(RLIMIT_CPU, processor_seconds) != 0
        || rv_limit(RLIMIT_FSIZE, 0) != 0 || rv_limit(RLIMIT_CORE, 0) != 0 || rv_limit(RLIMIT_NPROC, 0) != 0
        || rv_limit(RLIMIT_MEMLOCK, 0) != 0)
        return -1;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
    return rv_filter_system_calls();
}

// MARK: - The process

int rv_spawn_role(const char *program, const char *role, int socket, pid_t *child) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0) return error;
    error = posix_spawnattr_init(&attributes);
    if (error != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return error;
    }
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    // dup2(2) clears close-on-exec, also when the number stays the same: posix_spawn handles that.
    error = posix_spawn_file_actions_adddup2(&actions, socket, 0);
    if (error == 0) error = posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    if (error == 0) error = posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    if (error == 0) error = posix_spawnattr_setsigmask(&attributes, &none);
    if (error == 0) error = posix_spawnattr_setsigdefault(&attributes, &all);
    if (error == 0) error = posix_spawnattr_setpgroup(&attributes, 0);
    if (error == 0)
        error = posix_spawnattr_setflags(
            &attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (error == 0) {
        char *const arguments[] = {(char *)role, NULL};
        // Swift's backtracer would start a process, and an arena for each thread only costs address space.
        char *const environment[] = {"SWIFT_BACKTRACE=enable=no", "MALLOC_ARENA_MAX=1", NULL};
        error = posix_spawn(child, program, &actions, &attributes, arguments, environment);
    }
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

int64_t rv_processor_time(pid_t process) {
    clockid_t clock;
    struct timespec time;
    int error = clock_getcpuclockid(process, &clock);
    if (error != 0) {
        errno = error;
        return -1;
    }
    if (clock_gettime(clock, &time) != 0) return -1;
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

// MARK: - Packets with descriptors

int rv_packet_pair(int ends[2]) { return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends); }

ssize_t rv_send_packet(
    int socket, const void *bytes, size_t count, const int *descriptors, size_t descriptor_count, int wait) {
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(RV_PACKET_DESCRIPTORS * sizeof(int))];
    } control;
    if (descriptor_count > RV_PACKET_DESCRIPTORS) {
        errno = EINVAL;
        return -1;
    }
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = count};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (descriptor_count > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.space;
        message.msg_controllen = CMSG_SPACE(descriptor_count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(descriptor_count * sizeof(int));
        memcpy(CMSG_DATA(header), descriptors, descriptor_count * sizeof(int));
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
}

ssize_t rv_receive_packet(
    int socket, void *bytes, size_t size, int *descriptors, size_t *descriptor_count, int wait) {
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(RV_PACKET_DESCRIPTORS * sizeof(int))];
    } control;
    struct iovec part = {.iov_base = bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space,
                             .msg_controllen = sizeof control.space};
    *descriptor_count = 0;
    ssize_t count = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
    if (count < 0) return -1;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header != NULL; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        size_t found = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < found; i++) {
            int descriptor;
            memcpy(&descriptor, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
            if (*descriptor_count < RV_PACKET_DESCRIPTORS) descriptors[(*descriptor_count)++] = descriptor;
            else close(descriptor);
        }
    }
    if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        for (size_t i = 0; i < *descriptor_count; i++) close(descriptors[i]);
        *descriptor_count = 0;
        errno = EMSGSIZE;
        return -1;
    }
    return count;
}
