public import Base

/// The pieces of an image's files that a container reads until it is ready, in the order of their first use.
///
/// Pieces are named by path, so a profile serves every image with these files, such as another tag of the same
/// repository whose layers are all new.
public struct Profile: Sendable, Equatable {
    /// One piece of one file.
    public struct Entry: Sendable, Equatable {
        /// The path from the image's root, without a leading slash. It is not empty and has no `.` or `..`.
        public var path: [UInt8]
        /// The range in bytes of the file. The part behind the file's end is ignored.
        public var range: ByteRange
        /// Milliseconds from the start's first read to the first read of this piece.
        public var milliseconds: UInt32
        /// The number of consecutive starts that did not read it.
        public var unread: UInt8

        public init(path: [UInt8], range: ByteRange, milliseconds: UInt32, unread: UInt8 = 0) {
            self.path = path
            self.range = range
            self.milliseconds = milliseconds
            self.unread = unread
        }
    }

    /// The most entries that are stored or accepted.
    public static let maximumEntries = 1 << 16
    /// The number of consecutive starts without a read after which an entry is dropped.
    public static let toleratedUnread: UInt8 = 2

    /// The entries in the order of first use.
    public var entries: [Entry]

    public init(entries: [Entry]) {
        self.entries = entries
    }

    /// The named bytes of file content.
    public var byteCount: UInt64 { entries.reduce(0) { $0 &+ $1.range.count } }

    /// Returns this profile after one more start, recorded as `recorded`: its entries come first, then those that it
    /// did not read and that have not been unread too often. A start that read next to nothing (a container that failed
    /// at once) changes nothing.
    ///
    /// - Parameter tolerated: the number of consecutive starts without a read after which an entry is dropped.
    public func merged(with recorded: Profile, tolerating tolerated: UInt8 = toleratedUnread) -> Profile {
        guard recorded.entries.count * 10 >= entries.count else { return self }
        var known = Set(recorded.entries.map(Piece.init))
        var result = recorded
        for entry in entries where known.insert(Piece(entry)).inserted && Int(entry.unread) + 1 < Int(tolerated) {
            guard result.entries.count < Self.maximumEntries else { break }
            var entry = entry
            entry.unread += 1
            result.entries.append(entry)
        }
        return result
    }

    /// Returns the first entries, with `bytes` of file content or a little more.
    public func beginning(bytes: UInt64) -> Profile {
        var left = bytes
        return Profile(
            entries: Array(
                entries.prefix { entry in
                    defer { left -= min(left, entry.range.count) }
                    return left > 0
                }))
    }

    /// Returns the number of bytes in this profile that `other` does not name.
    public func byteCount(missingIn other: Profile) -> UInt64 {
        let known = Set(other.entries.map(Piece.init))
        return entries.reduce(0) { known.contains(Piece($1)) ? $0 : $0 &+ $1.range.count }
    }

    private struct Piece: Hashable {
        let path: [UInt8]
        let range: ByteRange

        init(_ entry: Entry) {
            path = entry.path
            range = entry.range
        }
    }
}
