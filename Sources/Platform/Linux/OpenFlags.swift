import CLinux
import Glibc

/// Flags of open(2). `Sys` always adds `O_CLOEXEC`.
public struct OpenFlags: OptionSet, Sendable {
    public let rawValue: Int32

    public init(rawValue: Int32) {
        self.rawValue = rawValue
    }

    /// `O_RDONLY`. Its value is 0, so a set with neither ``writeOnly`` nor ``readWrite`` is read-only.
    public static let readOnly = OpenFlags([])
    public static let writeOnly = OpenFlags(rawValue: O_WRONLY)
    public static let readWrite = OpenFlags(rawValue: O_RDWR)
    public static let create = OpenFlags(rawValue: O_CREAT)
    /// `O_EXCL`: together with ``create``, open fails with `EEXIST` if the name exists.
    public static let exclusive = OpenFlags(rawValue: O_EXCL)
    public static let truncate = OpenFlags(rawValue: O_TRUNC)
    public static let append = OpenFlags(rawValue: O_APPEND)
    /// `O_NOFOLLOW`: open fails with `ELOOP` if the last component is a symbolic link.
    public static let noFollow = OpenFlags(rawValue: O_NOFOLLOW)
    /// `O_DIRECTORY`: open fails with `ENOTDIR` if the path is not a directory.
    public static let directory = OpenFlags(rawValue: O_DIRECTORY)
    /// `O_DIRECT`: bypasses the page cache. Buffers and offsets must be aligned.
    public static let direct = OpenFlags(rawValue: rv_open_direct())
    public static let nonBlocking = OpenFlags(rawValue: O_NONBLOCK)
}
