import Glibc

/// Listening sockets that systemd opened before it started the service (sd_listen_fds(3)).
///
/// With socket activation a request that arrives while the daemon restarts waits in the socket's queue instead of being
/// refused, so containerd never sees the restart.
public enum InheritedSockets {
    /// The first descriptor that systemd passes.
    private static let first: Int32 = 3

    /// The descriptor of the one listening socket that was passed, or `nil` when there is none.
    ///
    /// - Parameter environment: looks up an environment variable.
    /// - Returns: a descriptor that the caller owns from now on; it is marked close-on-exec.
    public static func listening(environment: (String) -> String?) -> Int32? {
        // LISTEN_PID guards against a parent's variables that were inherited by mistake.
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
