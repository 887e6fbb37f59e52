public import Base

/// Which pieces of an image's files a container reads until it is ready, in the order of their first use.
///
/// Pieces are named by path, so that a profile serves every image that has these files: another tag of the same
/// repository whose layers are all new, too.
public struct Profile: Sendable, Equatable {
    /// One piece of one file.
    public struct Entry: Sendable, Equatable {
        /// From the root of the image, without the leading slash; not empty, no `.` or `..` in it.
        public var path: [UInt8]
        /// In bytes of the file. What lies behind the file's end is ignored.
        public var range: ByteRange
        /// Milliseconds from the first read of all to the first read of this piece.
        public var milliseconds: UInt32
        /// In how many starts in a row it was fetched and not read.
        public var unread: UInt8

        public init(path: [UInt8], range: ByteRange, milliseconds: UInt32, unread: UInt8 = 0) {
            self.path = path
            self.range = range
            self.milliseconds = milliseconds
            self.unread = unread
        }
    }

    /// More entries than this are neither kept nor believed.
    public static let maximumEntries = 1 << 16
    /// An entry that was not read in this many starts in a row is dropped.
    public static let toleratedUnread: UInt8 = 2

    /// In the order of first use.
    public var entries: [Entry]

    public init(entries: [Entry]) {
        self.entries = entries
    }

    /// Bytes of file content that it names.
    public var byteCount: UInt64 { entries.reduce(0) { $0 &+ $1.range.count } }

    /// This profile after one more start, which has read what `recorded` says: that comes first, in its order, then what
    /// was not read this time and has not been left unread too often. A start that read next to nothing (a container that
    /// failed at once) changes nothing.
    ///
    /// - Parameter tolerated: an entry that was not read in this many starts in a row is dropped.
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

    /// The first entries, with `bytes` of file content or a little more.
    public func beginning(bytes: UInt64) -> Profile {
        var left = bytes
        return Profile(
            entries: Array(
                entries.prefix { entry in
                    defer { left -= min(left, entry.range.count) }
                    return left > 0
                }))
    }

    /// Bytes of this profile that `other` does not name.
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
