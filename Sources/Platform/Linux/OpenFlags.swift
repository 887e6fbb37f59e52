import CLinux
import Glibc

/// What `open(2)` is to do with a file. `O_CLOEXEC` is always added.
public struct OpenFlags: OptionSet, Sendable {
    public let rawValue: Int32

    public init(rawValue: Int32) {
        self.rawValue = rawValue
    }

    /// `O_RDONLY`, which is what the absence of the other two means.
    public static let readOnly = OpenFlags([])
    public static let writeOnly = OpenFlags(rawValue: O_WRONLY)
    public static let readWrite = OpenFlags(rawValue: O_RDWR)
    public static let create = OpenFlags(rawValue: O_CREAT)
    /// With ``create``: fail with `EEXIST` when there is something of that name.
    public static let exclusive = OpenFlags(rawValue: O_EXCL)
    public static let truncate = OpenFlags(rawValue: O_TRUNC)
    public static let append = OpenFlags(rawValue: O_APPEND)
    /// Fail with `ELOOP` when the last component is a symbolic link.
    public static let noFollow = OpenFlags(rawValue: O_NOFOLLOW)
    /// Fail with `ENOTDIR` when it is not a directory.
    public static let directory = OpenFlags(rawValue: O_DIRECTORY)
    /// Past the page cache; buffers and offsets must be aligned.
    public static let direct = OpenFlags(rawValue: rv_open_direct())
    public static let nonBlocking = OpenFlags(rawValue: O_NONBLOCK)
}
