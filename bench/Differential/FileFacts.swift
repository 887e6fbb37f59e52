import Base
import Glibc
import Linux
import SystemPackage

/// The visible properties of one file, each by its name.
typealias FileFacts = [String: String]

/// A file tree as a container sees it.
///
/// It leaves out inode numbers, blocks, access and change times, the sizes and link counts of directories, and link
/// counts that include names which upper layers hide.
struct FileTree: Sendable {
    /// The properties of each path. Paths are relative to the root, and invalid UTF-8 is escaped.
    private(set) var files: [String: FileFacts] = [:]
    private var groups: [Inode: [String]] = [:]
    private var linkCounts: [Inode: UInt64] = [:]
    private var rootDevice: UInt64 = 0
    /// The number of files whose time is that of the unpacking.
    private(set) var unpackedTimes = 0
    /// The number of names that overlayfs lists but cannot find: whiteouts of a directory with one layer.
    private(set) var listedWhiteouts = 0
    private let began: Int64
    private let options: Options

    /// The properties that one of the mounts cannot have.
    struct Options: Sendable {
        /// False if the mount has no option to give all files the device number of the root.
        var comparesDevices: Bool
        /// The names in the root that a full unpacking shows and a lazy one does not.
        var hiddenNames: Set<String> = []
    }

    private struct Inode: Hashable {
        let device: UInt64
        let number: UInt64
    }

    /// Reads the tree below `root`, including all content. Blocks.
    ///
    /// - Parameter began: the start of the run in seconds since 1970. A later time in the tree comes from unpacking.
    init(of root: String, began: Int64, _ options: Options) throws {
        self.began = began
        self.options = options
        let status = try Sys.lstat(root)
        rootDevice = status.device
        try add(Array(root.utf8), name: "/", isRoot: true)
        try walk(Array(root.utf8), name: "")
        for (inode, names) in groups {
            let all = names.sorted().joined(separator: " ")
            for name in names {
                if names.count > 1 { files[name]?["links"] = all }
                if linkCounts[inode] == UInt64(names.count) { files[name]?["link count"] = "\(names.count)" }
            }
        }
    }

    /// Returns the differences of this tree from `expected`, as "path: property: expected value, value".
    func differences(from expected: FileTree) -> [String] {
        var found: [String] = []
        for path in Set(files.keys).union(expected.files.keys).sorted() {
            guard let left = expected.files[path] else {
                found.append("\(path): exists only in Rivulet (\(files[path]?["mode"] ?? ""))")
                continue
            }
            guard let right = files[path] else {
                found.append("\(path): exists only in containerd (\(left["mode"] ?? ""))")
                continue
            }
            for key in Set(left.keys).union(right.keys).sorted() where left[key] != right[key] {
                // Neither a count with hidden names nor the time of an unpacking has an equal.
                if key == "link count", left[key] == nil { continue }
                if key == "time", left[key] == Self.unpacking { continue }
                found.append(
                    "\(path): \(key): \(left[key] ?? "none") in containerd, \(right[key] ?? "none") in Rivulet")
            }
        }
        return found
    }

    private static let unpacking = "the time of unpacking"

    private mutating func walk(_ directory: [UInt8], name: String) throws {
        for entry in try Sys.list(directory) {
            let path = directory + [UInt8(ascii: "/")] + entry.name
            let display = "\(name)/\(Self.escape(entry.name))"
            if options.hiddenNames.contains(display) { continue }
            do {
                let kind = try add(path, name: display)
                if entry.kind != kind { files[display]?["listed type"] = "\(entry.kind)" }
                if kind == .directory { try walk(path, name: display) }
            } catch Errno.noSuchFileOrDirectory {
                listedWhiteouts += 1
            } catch {
                files[display, default: [:]]["error"] = "\(error)"
            }
        }
    }

    @discardableResult
    private mutating func add(_ path: [UInt8], name: String, isRoot: Bool = false) throws -> FileStatus.Kind {
        let status = try Sys.lstat(path)
        var facts: FileFacts = ["mode": String(status.mode, radix: 8), "owner": "\(status.uid):\(status.gid)"]
        // The root directory is the container's own.
        if !isRoot {
            facts["time"] = "\(status.modifiedSeconds).\(status.modifiedNanoseconds)"
            if status.modifiedSeconds >= began {
                facts["time"] = Self.unpacking
                unpackedTimes += 1
            }
        }
        if options.comparesDevices, status.device != rootDevice { facts["st_dev"] = "another one than the root's" }
        switch status.kind {
        case .regular:
            facts["size"] = "\(status.size)"
            let (content, flags) = try Self.content(path)
            facts["content"] = content
            facts["inode flags"] = flags
        case .directory:
            let file = try Sys.open(path, [.readOnly, .directory])
            facts["inode flags"] = Self.flags(file.raw)
        case .symlink: facts["target"] = Self.escape(try Sys.readLink(path))
        case .character, .block: facts["device"] = "\(status.deviceMajor):\(status.deviceMinor)"
        default: break
        }
        if status.kind == .symlink { facts["size"] = "\(status.size)" }
        if status.kind != .directory {
            let inode = Inode(device: status.device, number: status.inode)
            groups[inode, default: []].append(name)
            linkCounts[inode] = status.linkCount
        }
        for attribute in try Sys.extendedAttributeNames(path) {
            let value = try Sys.extendedAttribute(path, attribute) ?? []
            facts["xattr \(Self.escape(attribute))"] = Hex.encode(value)
        }
        files[name] = facts
        return status.kind
    }

    private static func content(_ path: [UInt8]) throws -> (digest: String, flags: String) {
        let file = try Sys.open(path, [.readOnly, .noFollow])
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)
        defer { buffer.deallocate() }
        var hasher = DigestHasher()
        while true {
            let count = try Sys.read(file.raw, into: buffer)
            if count == 0 { break }
            hasher.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
        return (hasher.finish().hex, flags(file.raw))
    }

    /// Returns the flags that a user can set and see, or the error. Others describe the file system's own layout.
    private static func flags(_ descriptor: Int32) -> String {
        var flags = 0
        // FS_IOC_GETFLAGS is _IOR('f', 1, long) (linux/fs.h).
        guard ioctl(descriptor, 0x8008_6601, &flags) == 0 else { return "\(Errno(rawValue: errno))" }
        // Secure deletion, undeletable, compressed, synchronous, immutable, append-only, no dump, no access time.
        return String(flags & 0xFF, radix: 16)
    }

    private static func escape(_ bytes: [UInt8]) -> String {
        let isPrintable = bytes.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
        if isPrintable, let text = String(validating: bytes, as: UTF8.self) { return text }
        return bytes.map { $0 >= 0x20 && $0 < 0x7F ? String(UnicodeScalar($0)) : "\\x" + String($0, radix: 16) }
            .joined()
    }
}
