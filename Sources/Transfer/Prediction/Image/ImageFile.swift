public import Base

/// A regular file of an image, found by its path.
public struct ImageFile: Sendable {
    /// The file's number in the image's tree.
    public let inode: UInt64
    /// From the root of the image, links resolved, with a leading slash.
    public let path: String
    /// The layer's place in the image, from the bottom.
    public let layer: Int
    /// The place of its bytes in the layer's content space; not empty.
    public let range: ByteRange

    /// The directory that it lies in.
    public var directory: String { ImagePath.parent(of: path) }
    public var name: Substring { ImagePath.name(of: path) }
    /// Bytes in the file.
    public var size: UInt64 { range.count }
    /// All of it, in bytes of the file.
    public var whole: ByteRange { ByteRange(offset: 0, end: range.count) }

    /// Returns the first `count` bytes of the file, or all where it has fewer.
    public func start(_ count: UInt64) -> ByteRange { ByteRange(offset: 0, end: min(count, range.count)) }

    /// Returns the place in the content space of `part`, a range of the file, without what lies behind the file's end.
    func content(of part: ByteRange) -> ByteRange {
        guard part.offset < range.count else { return ByteRange(offset: range.end, end: range.end) }
        // Both sums end at or before the end of the file, which the tree has checked.
        return ByteRange(offset: range.offset + part.offset, end: range.offset + min(part.end, range.count))
    }
}

/// Paths of an image, as text: a path that is not UTF-8 is not predicted.
public enum ImagePath {
    /// Bytes in the longest path, as in the kernel (`PATH_MAX`).
    static let longest = 4096

    /// Returns the directory that `path` lies in; the root for the root.
    public static func parent(of path: String) -> String {
        guard let (directory, _) = split(path[...]), !directory.isEmpty else { return "/" }
        return String(directory)
    }

    /// Returns the last name of `path`.
    public static func name(of path: String) -> Substring {
        split(path[...])?.name ?? path[...]
    }

    /// Returns the parts before and behind the last slash; `nil` without a slash.
    static func split(_ path: Substring) -> (directory: Substring, name: Substring)? {
        // Of bytes, as in the kernel: a slash with a combining accent behind it is one `Character`.
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return nil }
        // The slash lies before the end, so there is an index after it.
        return (path[..<slash], path[path.utf8.index(after: slash)...])
    }

    /// Returns `name` in `directory`; `name` alone when it begins at the root.
    public static func joined(_ directory: String, _ name: some StringProtocol) -> String {
        if name.hasPrefix("/") { return String(name) }
        return directory.hasSuffix("/") ? directory + name : directory + "/" + name
    }
}
