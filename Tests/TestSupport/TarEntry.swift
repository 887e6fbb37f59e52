/// One tar entry of a layer for tests.
public struct TarEntry: Sendable {
    public enum Kind: Sendable, Hashable {
        case directory, regular, symlink, hardlink, character, block, fifo
    }

    public var path: [UInt8]
    public var kind: Kind
    /// The permission bits, set-ID bits and sticky bit.
    public var mode: UInt32
    public var uid: UInt32 = 0
    public var gid: UInt32 = 0
    public var userName = ""
    public var groupName = ""
    /// The modification time, in seconds since 1970.
    public var modified: Int64 = 1_600_000_000
    /// The text of a symlink, or the path of the entry that a hard link names.
    public var linkTarget: [UInt8] = []
    public var deviceMajor: UInt32 = 0
    public var deviceMinor: UInt32 = 0
    public var xattrs: [(name: String, value: [UInt8])] = []
    public var contents: [UInt8] = []

    public init(_ kind: Kind, _ path: some Collection<UInt8>, mode: UInt32) {
        self.kind = kind
        self.path = Array(path)
        self.mode = mode
    }

    public static func directory(_ path: String, mode: UInt32 = 0o755) -> TarEntry {
        TarEntry(.directory, path.utf8, mode: mode)
    }

    public static func file(_ path: String, _ contents: [UInt8], mode: UInt32 = 0o644) -> TarEntry {
        var entry = TarEntry(.regular, path.utf8, mode: mode)
        entry.contents = contents
        return entry
    }

    public static func file(_ path: String, _ contents: String, mode: UInt32 = 0o644) -> TarEntry {
        file(path, Array(contents.utf8), mode: mode)
    }

    public static func symlink(_ path: String, to target: String) -> TarEntry {
        var entry = TarEntry(.symlink, path.utf8, mode: 0o777)
        entry.linkTarget = Array(target.utf8)
        return entry
    }

    public static func hardlink(_ path: String, to target: String) -> TarEntry {
        var entry = TarEntry(.hardlink, path.utf8, mode: 0o644)
        entry.linkTarget = Array(target.utf8)
        return entry
    }

    /// Returns a character device, a block device, or a FIFO, which ignores the numbers.
    public static func node(_ kind: Kind, _ path: String, _ major: UInt32 = 0, _ minor: UInt32 = 0) -> TarEntry {
        var entry = TarEntry(kind, path.utf8, mode: 0o600)
        entry.deviceMajor = major
        entry.deviceMinor = minor
        return entry
    }

    /// Returns a copy with other owners.
    public func owned(by uid: UInt32, _ gid: UInt32, userName: String = "", groupName: String = "") -> TarEntry {
        var entry = self
        entry.uid = uid
        entry.gid = gid
        entry.userName = userName
        entry.groupName = groupName
        return entry
    }

    /// Returns a copy with one more extended attribute.
    public func withAttribute(_ name: String, _ value: [UInt8]) -> TarEntry {
        var entry = self
        entry.xattrs.append((name, value))
        return entry
    }

    /// Returns a copy with another modification time, in seconds since 1970.
    public func modified(at seconds: Int64) -> TarEntry {
        var entry = self
        entry.modified = seconds
        return entry
    }

    /// Returns a copy with `prefix` before its path. The target of a hard link gets the prefix, too.
    public func prefixed(_ prefix: String) -> TarEntry {
        var entry = self
        entry.path = Array(prefix.utf8) + path
        if kind == .hardlink { entry.linkTarget = Array(prefix.utf8) + linkTarget }
        return entry
    }
}
