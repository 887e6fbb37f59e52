import CLinux
import Glibc
public import SystemPackage

/// One entry of a directory.
public struct DirectoryEntry: Sendable, Equatable {
    /// The raw bytes of the name: Linux does not require UTF-8.
    public let name: [UInt8]
    public let inode: UInt64
    /// The type of the file; `.unknown` if the file system does not report it in listings.
    public let kind: FileStatus.Kind

    /// The name as text, with invalid UTF-8 replaced. Use it for messages and for names that we chose.
    public var text: String { String(decoding: name, as: UTF8.self) }
}

extension Sys {
    /// Creates a directory (mkdirat(2)). The umask applies to `permissions`.
    public static func makeDirectory(
        _ path: some PathName, permissions: UInt32 = 0o700, at directory: Int32 = currentDirectory
    ) throws(Errno) {
        _ = try call(path) { mkdirat(directory, $0, permissions) }
    }

    /// Creates the directory `path` and its missing parents. Existing directories stay unchanged.
    public static func makeDirectories(_ path: String, permissions: UInt32 = 0o700) throws(Errno) {
        var sofar = path.utf8.first == UInt8(ascii: "/") ? "/" : ""
        for part in path.split(separator: "/", omittingEmptySubsequences: true) {
            sofar += sofar.isEmpty || sofar == "/" ? part : "/" + part
            do {
                try makeDirectory(sofar, permissions: permissions)
            } catch .fileExists {
                continue
            }
        }
        guard try stat(path).kind == .directory else { throw .notDirectory }
    }

    /// Removes a file of any type but a directory (unlinkat(2)).
    public static func unlink(_ path: some PathName, at directory: Int32 = currentDirectory) throws(Errno) {
        _ = try call(path) { unlinkat(directory, $0, 0) }
    }

    /// Removes an empty directory (rmdir(2)).
    public static func removeDirectory(_ path: some PathName, at directory: Int32 = currentDirectory) throws(Errno) {
        _ = try call(path) { unlinkat(directory, $0, AT_REMOVEDIR) }
    }

    /// Renames `source` to `target` atomically (renameat2(2)). If `target` already exists, the value of `replacing`
    /// decides: true replaces the existing file, false throws `EEXIST`.
    ///
    /// - Parameters:
    ///   - directory: the open directory that a relative `source` starts from.
    ///   - targetAt: the open directory that a relative `target` starts from.
    public static func rename(
        _ source: some PathName, to target: some PathName, replacing: Bool = true,
        at directory: Int32 = currentDirectory, targetAt: Int32 = currentDirectory
    ) throws(Errno) {
        try call(source, target) { rv_renameat(directory, $0, targetAt, $1, replacing ? 0 : 1) }
    }

    /// Creates a symbolic link at `path` that points to `target` (symlinkat(2)).
    public static func symlink(
        _ target: some PathName, path: some PathName, at directory: Int32 = currentDirectory
    ) throws(Errno) {
        try call(target, path) { symlinkat($0, directory, $1) }
    }

    /// Creates the hard link `path` to the file at `existing` (linkat(2)). If `existing` is a symbolic link, the new
    /// name refers to the symbolic link itself.
    public static func link(_ existing: some PathName, path: some PathName) throws(Errno) {
        try call(existing, path) { linkat(currentDirectory, $0, currentDirectory, $1, 0) }
    }

    /// Returns the bytes of a symbolic link's target (readlinkat(2)).
    public static func readLink(
        _ path: some PathName, at directory: Int32 = currentDirectory
    ) throws(Errno) -> [UInt8] {
        // The kernel returns at most PATH_MAX bytes.
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = try bytes.withUnsafeMutableBytesTyped { (buffer) throws(Errno) in
            let target = buffer.assumingMemoryBound(to: CChar.self)
            guard let start = target.baseAddress else { throw .invalidArgument }
            return try call(path) { readlinkat(directory, $0, start, target.count) }
        }
        bytes.removeLast(bytes.count - count)
        return bytes
    }

    /// Lists the directory `path` without `.` and `..`, in the file system's order.
    public static func list(
        _ path: some PathName, at directory: Int32 = currentDirectory
    ) throws(Errno) -> [DirectoryEntry] {
        let directory = try open(path, [.readOnly, .directory], at: directory)
        var reader = DirectoryReader()
        var entries: [DirectoryEntry] = []
        while true {
            let batch = try reader.next(directory.raw)
            if batch.isEmpty { return entries }
            entries += batch.filter { !$0.isSelfOrParent }
        }
    }
}

extension DirectoryEntry {
    /// True for `.` and `..`.
    var isSelfOrParent: Bool {
        name == [UInt8(ascii: ".")] || name == [UInt8(ascii: "."), UInt8(ascii: ".")]
    }
}

/// A reader that lists a directory in batches, so that even a huge directory needs the memory of only one batch.
struct DirectoryReader {
    // An entry takes at most 280 bytes, so the buffer holds at least 100 entries.
    private var buffer = [UInt8](repeating: 0, count: 32 << 10)

    /// Returns the next entries of the open directory `descriptor`, including `.` and `..`; an empty array at the end.
    mutating func next(_ descriptor: Int32) throws(Errno) -> [DirectoryEntry] {
        let count = try buffer.withUnsafeMutableBytesTyped { (bytes) throws(Errno) in
            try Sys.call { rv_getdents(descriptor, bytes.baseAddress, bytes.count) }
        }
        return buffer.withUnsafeBytes { bytes in
            var entries: [DirectoryEntry] = []
            var offset = 0
            // struct linux_dirent64: inode 8, next offset 8, record length 2, type 1, then the name and a NUL.
            while offset + 19 < count {
                let length = Int(bytes.loadUnaligned(fromByteOffset: offset + 16, as: UInt16.self))
                guard length > 19, offset + length <= count else { break }
                let name = bytes[(offset + 19)..<(offset + length)].prefix { $0 != 0 }
                entries.append(
                    DirectoryEntry(
                        name: Array(name), inode: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self),
                        kind: Self.kind(bytes[offset + 18])))
                offset += length
            }
            return entries
        }
    }

    /// Returns the file type for a `d_type` of getdents64(2).
    private static func kind(_ type: UInt8) -> FileStatus.Kind {
        switch type {
        case 1: .fifo
        case 2: .character
        case 4: .directory
        case 6: .block
        case 8: .regular
        case 10: .symlink
        case 12: .socket
        default: .unknown
        }
    }
}
