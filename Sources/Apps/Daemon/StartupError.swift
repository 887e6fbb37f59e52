public import Base

/// A fatal error of the daemon, during startup or later. It has a message with advice, and an exit code for scripts.
///
/// The exit codes are those of sysexits.h, which systemd prints by name.
public typealias StartupError = Failure<StartupErrorCode>

/// The kinds of ``StartupError``.
public enum StartupErrorCode: Int32, Hashable, Sendable, CaseIterable {
    /// The configuration is unusable (EX_CONFIG).
    case configuration = 78
    /// The process does not run as root (EX_NOPERM).
    case notPermitted = 77
    /// Another instance owns the directory, or another process listens on the socket (EX_TEMPFAIL).
    case alreadyRunning = 75
    /// The data directory cannot be created, or its file system is unsuitable (EX_CANTCREAT).
    case unusableDirectory = 73
    /// /dev/fuse is missing or not accessible, or the mount failed (EX_UNAVAILABLE).
    case noFUSE = 69
    /// Any other error (EX_SOFTWARE).
    case unexpected = 70
}
