import Glibc

/// The listening sockets that systemd opened before it started the service (sd_listen_fds(3)).
///
/// With socket activation, a request during a restart of the daemon waits in the socket's queue and is not refused. So
/// containerd never notices the restart.
public enum InheritedSockets {
    /// The first file descriptor that systemd passes.
    private static let first: Int32 = 3

    /// Returns the file descriptor of the first listening socket that systemd passed; `nil` if there is none.
    ///
    /// - Parameter environment: the function that looks up an environment variable.
    /// - Returns: a close-on-exec file descriptor, which the caller then owns.
    public static func listening(environment: (String) -> String?) -> Int32? {
        // LISTEN_PID protects against variables that the process inherited from its parent by mistake.
        guard environment("LISTEN_PID").flatMap({ Int32($0) }) == getpid(),
            let count = environment("LISTEN_FDS").flatMap({ Int32($0) }), count > 0, count < 100
        else { return nil }
        for descriptor in first..<(first + count) {
            var listening: Int32 = 0
            var length = socklen_t(MemoryLayout<Int32>.size)
            let result = getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length)
            guard result == 0, listening != 0 else { continue }
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            return descriptor
        }
        return nil
    }
}
