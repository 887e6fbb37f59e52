public import Base

/// The pieces of an image's files that a container reads until it is ready, in the order of their first use.
///
/// A profile names pieces by path, so it serves every image with these files. An example is another tag of the same
/// repository whose layers are all new.
public struct Profile: Sendable, Equatable {
    /// One piece of one file.
    public struct Entry: Sendable, Equatable {
        /// The path from the image's root, without a leading slash. It is not empty and has no `.` or `..`.
        public var path: [UInt8]
        /// The range in the file, in bytes. The part past the file's end is ignored.
        public var range: ByteRange
        /// The time from the start's first read to the first read of this piece, in milliseconds.
        public var milliseconds: UInt32
        /// The number of latest starts in a row that did not read this piece.
        public var unread: UInt8

        public init(path: [UInt8], range: ByteRange, milliseconds: UInt32, unread: UInt8 = 0) {
            self.path = path
            self.range = range
            self.milliseconds = milliseconds
            self.unread = unread
        }
    }

    /// The maximum number of entries in a profile that is stored or accepted.
    public static let maximumEntries = 1 << 16
    /// The default number of starts in a row that must leave an entry unread before ``merged(with:tolerating:)`` drops
    /// the entry.
    public static let toleratedUnread: UInt8 = 2

    /// The entries in the order of first use.
    public var entries: [Entry]

    public init(entries: [Entry]) {
        self.entries = entries
    }

    /// The number of bytes of file content that the entries name.
    public var byteCount: UInt64 { entries.map(\.range.count).saturatingSum() }

    /// Returns this profile updated with the reads of one more start.
    ///
    /// The entries of `recorded` come first. The other entries of this profile follow, except those that too many
    /// starts in a row did not read. If `recorded` has fewer than a tenth as many entries as this profile, the result
    /// is this profile: the container may have failed at once.
    ///
    /// - Parameters:
    ///   - recorded: the reads of the start.
    ///   - tolerated: the number of starts in a row that must leave an entry unread before it is dropped.
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

    /// Returns the first entries that together name at least `bytes` of file content, or all entries if they name less.
    public func beginning(bytes: UInt64) -> Profile {
        var left = bytes
        return Profile(
            entries: Array(
                entries.prefix { entry in
                    defer { left -= min(left, entry.range.count) }
                    return left > 0
                }))
    }

    /// Returns the number of bytes that this profile's entries name, without those entries that `other` has, too.
    public func byteCount(missingIn other: Profile) -> UInt64 {
        let known = Set(other.entries.map(Piece.init))
        return entries.filter { !known.contains(Piece($0)) }.map(\.range.count).saturatingSum()
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
