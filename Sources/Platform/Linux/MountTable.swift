public import SystemPackage

/// One line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
public struct MountEntry: Sendable, Equatable {
    public let id: UInt64
    public let parent: UInt64
    /// The device number of the file system, as `major:minor`.
    public let device: String
    /// The directory within the file system that appears at the mount point.
    public let root: String
    public let mountPoint: String
    public let fileSystem: String
    public let source: String
    public let options: String
    public let superOptions: String

    /// Parses one line, or returns `nil` if it does not have the documented form.
    public init?(line: some StringProtocol) {
        // id parent major:minor root point options [optional…] - type source super-options
        let fields = line.split(separator: " ", omittingEmptySubsequences: true)
        guard fields.count >= 9, let separator = fields.dropFirst(6).firstIndex(of: "-"),
            fields.count > separator + 2, let id = UInt64(fields[0]), let parent = UInt64(fields[1])
        else { return nil }
        self.id = id
        self.parent = parent
        device = String(fields[2])
        root = Self.unescape(fields[3])
        mountPoint = Self.unescape(fields[4])
        options = String(fields[5])
        fileSystem = String(fields[separator + 1])
        source = Self.unescape(fields[separator + 2])
        superOptions = fields.count > separator + 3 ? String(fields[separator + 3]) : ""
    }

    /// Decodes spaces, tabs, newlines and backslashes, which the kernel escapes as a backslash and three octal digits.
    private static func unescape(_ text: some StringProtocol) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3,
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
            {
                bytes.append(value)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension Sys {
    /// Returns the mounts of this process's mount namespace, in the kernel's order. Throws `EFBIG` if the table is
    /// larger than 64 MiB.
    public static func mounts() throws(Errno) -> [MountEntry] {
        let text = String(decoding: try readFile("/proc/self/mountinfo", limit: 64 << 20), as: UTF8.self)
        return text.split(separator: "\n").compactMap { MountEntry(line: $0) }
    }

    /// Returns true if `path`, which must be absolute and free of symbolic links, is a mount point.
    public static func isMountPoint(_ path: String) throws(Errno) -> Bool {
        try mounts().contains { $0.mountPoint == path }
    }
}
