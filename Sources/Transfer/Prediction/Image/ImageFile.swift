public import Base

/// A regular, nonempty file of an image.
public struct ImageFile: Sendable {
    /// The file's inode number in the image's merged tree.
    public let inode: UInt64
    /// The path from the image's root, with a leading slash and with links resolved.
    public let path: String
    /// The position of the file's layer in the image. The bottom layer has position 0.
    public let layer: Int
    /// The range of the layer's content space that holds the file's bytes; not empty.
    public let range: ByteRange

    /// The directory that contains the file.
    public var directory: String { ImagePath.parent(of: path) }
    public var name: Substring { ImagePath.name(of: path) }
    /// The file's size in bytes.
    public var size: UInt64 { range.count }
    /// The range of the whole file, in file offsets.
    public var whole: ByteRange { ByteRange(offset: 0, end: range.count) }

    /// Returns the range of the first `count` bytes of the file, or of all bytes if the file is shorter.
    public func start(_ count: UInt64) -> ByteRange { ByteRange(offset: 0, end: min(count, range.count)) }

    /// Returns the range of the layer's content space that holds `part`, cut at the end of the file.
    ///
    /// - Parameter part: a range in file offsets.
    func content(of part: ByteRange) -> ByteRange {
        guard part.offset < range.count else { return ByteRange(offset: range.end, end: range.end) }
        // Neither sum exceeds `range.end`, which the tree has checked.
        return ByteRange(offset: range.offset + part.offset, end: range.offset + min(part.end, range.count))
    }
}

/// Operations on the paths of an image. Paths are Swift strings, so the prediction leaves out a file whose path is not
/// UTF-8.
public enum ImagePath {
    /// The length of the longest path in bytes, as in the kernel (`PATH_MAX`).
    static let longest = 4096

    /// Returns the directory that contains `path`. The parent of the root is the root.
    public static func parent(of path: String) -> String {
        guard let (directory, _) = split(path[...]), !directory.isEmpty else { return "/" }
        return String(directory)
    }

    /// Returns the last component of `path`.
    public static func name(of path: String) -> Substring {
        split(path[...])?.name ?? path[...]
    }

    /// Returns the parts before and after the last slash; `nil` if there is no slash.
    static func split(_ path: Substring) -> (directory: Substring, name: Substring)? {
        // Search bytes, as the kernel does: a slash and a combining accent after it are a single `Character`.
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return nil }
        // The slash lies before the end, so there is an index after it.
        return (path[..<slash], path[path.utf8.index(after: slash)...])
    }

    /// Returns the path of `name` in `directory`, or `name` itself if it begins with a slash.
    public static func joined(_ directory: String, _ name: some StringProtocol) -> String {
        if name.hasPrefix("/") { return String(name) }
        return directory.hasSuffix("/") ? directory + name : directory + "/" + name
    }
}
