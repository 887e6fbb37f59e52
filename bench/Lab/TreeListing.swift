public import Base
import Linux
import SystemPackage

/// A textual description of a file tree with one line for each file, for comparing two trees.
///
/// A line has the type, mode, IDs, times, extended attributes, links, and the content. It omits properties of the file
/// system: inode numbers (but not hard links), change and access times, and directories' sizes and link counts.
public struct TreeListing: Sendable {
    /// The description of each path. Paths are relative to the root, and invalid UTF-8 is escaped.
    public private(set) var files: [String: String] = [:]
    /// The names of each file, keyed by device and inode. The name that was read first comes first.
    private var names: [[UInt64]: [String]] = [:]

    /// Reads the tree below `root`, including all content. Blocks.
    public init(of root: String) throws(LabError) {
        try add(Array(root.utf8), name: "/")
        try walk(Array(root.utf8), name: "")
        for group in names.values where group.count > 1 {
            let all = group.sorted().joined(separator: " ")
            for name in group { files[name, default: ""] += " linked: \(all)" }
        }
    }

    /// Returns at most `limit` differences between this tree and `other`. Leaves out the paths in `excepting`.
    public func differences(
        from other: TreeListing, excepting: Set<String> = [], limit: Int = 20
    ) -> [String] {
        let paths = Set(files.keys).union(other.files.keys).subtracting(excepting).sorted()
        let different = paths.lazy.filter { files[$0] != other.files[$0] }
        return different.prefix(limit).map { "\($0)\n  \(files[$0] ?? "absent")\n  \(other.files[$0] ?? "absent")" }
    }

    private mutating func walk(_ directory: [UInt8], name: String) throws(LabError) {
        let entries: [DirectoryEntry]
        do {
            entries = try Sys.list(directory)
        } catch {
            throw Self.failure(directory, error)
        }
        for entry in entries {
            let path = directory + [UInt8(ascii: "/")] + entry.name
            let display = "\(name)/\(Self.escape(entry.name))"
            let kind = try add(path, name: display)
            if kind == .directory { try walk(path, name: display) }
        }
    }

    @discardableResult
    private mutating func add(_ path: [UInt8], name: String) throws(LabError) -> FileStatus.Kind {
        do {
            let status = try Sys.lstat(path)
            var text = "\(String(status.mode, radix: 8)) \(status.uid):\(status.gid) \(status.modifiedSeconds)"
            text += ".\(status.modifiedNanoseconds)"
            switch status.kind {
            case .regular:
                text += " \(status.size) \(try Self.content(path))"
            case .symlink:
                text += " -> \(Self.escape(try Sys.readLink(path)))"
            case .character, .block:
                text += " \(status.deviceMajor),\(status.deviceMinor)"
            default:
                break
            }
            if status.kind != .directory {
                text += " links \(status.linkCount)"
                if status.linkCount > 1 { names[[status.device, status.inode], default: []].append(name) }
            }
            for attribute in try Sys.extendedAttributeNames(path).map(Self.escape).sorted() {
                let value = try Sys.extendedAttribute(path, attribute) ?? []
                text += " \(attribute)=\(value.withUnsafeBytes { Hex.encode($0) })"
            }
            files[name] = text
            return status.kind
        } catch let error as LabError {
            throw error
        } catch {
            throw Self.failure(path, error)
        }
    }

    private static func content(_ path: [UInt8]) throws -> Digest {
        let file = try Sys.open(path, [.readOnly, .noFollow])
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
        defer { buffer.deallocate() }
        var hasher = DigestHasher()
        while true {
            let count = try Sys.read(file.raw, into: buffer)
            if count == 0 { return hasher.finish() }
            hasher.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
    }

    private static func escape(_ bytes: [UInt8]) -> String {
        if let text = String(validating: bytes, as: UTF8.self) { return text }
        return bytes.map { $0 < 0x80 ? String(UnicodeScalar($0)) : "\\x" + String($0, radix: 16) }.joined()
    }

    private static func failure(_ path: [UInt8], _ error: any Error) -> LabError {
        LabError(.files, "\(escape(path)) cannot be read", cause: error)
    }
}
