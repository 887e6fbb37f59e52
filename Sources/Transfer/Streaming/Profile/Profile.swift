public import Base

/// The file ranges that a container of an image reads until it is ready, in the order of their first use.
///
/// A profile names files by path and not by layer. So it also fits other images with these files, for example a new tag
/// whose layers have all changed.
public struct Profile: Sendable, Equatable {
    /// One range of one file.
    public struct Entry: Sendable, Equatable {
        /// The path from the image's root, without a leading slash. It is not empty and has no `.` or `..`.
        public var path: [UInt8]
        /// The range in the file, in bytes. Any part past the file's end is ignored.
        public var range: ByteRange
        /// The time from the container's first read of any file to its first read of this range, in milliseconds.
        public var milliseconds: UInt32
        /// The number of consecutive container starts, up to the latest one, that did not read this range.
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
    /// The default number of consecutive starts after which ``merged(with:tolerating:)`` drops an entry that none of
    /// them read.
    public static let toleratedUnread: UInt8 = 2

    /// The entries in the order of first use. In a merged profile, the entries that the latest start did not read come
    /// last.
    public var entries: [Entry]

    public init(entries: [Entry]) {
        self.entries = entries
    }

    /// The total size of the entries' ranges, in bytes.
    public var byteCount: UInt64 { entries.map(\.range.count).saturatingSum() }

    /// Returns this profile updated with the reads of one more container start.
    ///
    /// The entries of `recorded` come first. The other entries of this profile follow, except those that too many
    /// consecutive starts did not read. If `recorded` has fewer than a tenth as many entries as this profile, the
    /// container probably failed early, and the result is this profile unchanged.
    ///
    /// - Parameters:
    ///   - recorded: the profile of the new start alone.
    ///   - tolerated: the number of consecutive starts, including the new one, after which an entry is dropped if none
    ///     of them read it.
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

    /// Returns a profile with only the first entries of this profile. The result has just enough entries to cover
    /// `bytes` bytes of file content, or all entries if they cover less.
    public func beginning(bytes: UInt64) -> Profile {
        var left = bytes
        return Profile(
            entries: Array(
                entries.prefix { entry in
                    defer { left -= min(left, entry.range.count) }
                    return left > 0
                }))
    }

    /// Returns the total size, in bytes, of the entries that `other` lacks. Two entries are the same if their paths and
    /// ranges are equal.
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
