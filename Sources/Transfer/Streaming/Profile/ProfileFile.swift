public import Base
import FoundationEssentials
public import Registry

/// A profile in its file format, which `docs/profiles.md` describes.
///
/// The file is a JSON object with the keys `rivuletProfile` (the version, 1), `repository`, `chain` (optional) and
/// `entries`. Each entry is an array with the fields of ``Profile/Entry``: `path`, the offset and length of `range`,
/// `milliseconds`, and `unread`.
///
/// JSON strings are Unicode text, so a file whose path is not valid UTF-8 cannot have an entry.
public struct ProfileFile: Sendable, Equatable {
    /// The repository of the recorded image.
    public var repository: Repository
    /// The chain ID of the recorded image; `nil` for a profile that applies to all images of the repository.
    public var chain: Digest?
    public var profile: Profile

    public init(repository: Repository, chain: Digest?, profile: Profile) {
        self.repository = repository
        self.chain = chain
        self.profile = profile
    }

    /// The maximum size of a profile file in bytes.
    public static let maximumSize = 16 << 20
    /// The maximum end of an entry's range, as a byte offset in the entry's file.
    private static let maximumEnd: UInt64 = 1 << 53
    private static let version = 1
    /// An upper bound for the encoded size of everything but the entries, in bytes.
    private static let headSize = 1 << 10
    /// An upper bound for the encoded size of an entry without its path, in bytes.
    private static let numbersSize = 64

    private struct Document: Codable {
        var rivuletProfile: Int
        var repository: String
        var chain: String?
        var entries: [Item]
    }

    private struct Item: Codable {
        var entry: Profile.Entry

        init(_ entry: Profile.Entry) {
            self.entry = entry
        }

        init(from decoder: any Decoder) throws {
            var values = try decoder.unkeyedContainer()
            let path = try values.decode(String.self)
            let offset = try values.decode(UInt64.self)
            let length = try values.decode(UInt64.self)
            let milliseconds = try values.decode(UInt32.self)
            let unread = try values.decode(UInt8.self)
            guard let range = ByteRange(offset: offset, count: length), length > 0, range.end <= ProfileFile.maximumEnd,
                ProfilePath.isValid(Array(path.utf8))
            else {
                throw DecodingError.dataCorruptedError(
                    in: values, debugDescription: "invalid entry: \(path.prefix(200)) \(offset) \(length)")
            }
            entry = Profile.Entry(
                path: Array(path.utf8), range: range, milliseconds: milliseconds, unread: unread)
        }

        func encode(to encoder: any Encoder) throws {
            var values = encoder.unkeyedContainer()
            try values.encode(String(decoding: entry.path, as: UTF8.self))
            try values.encode(entry.range.offset)
            try values.encode(entry.range.count)
            try values.encode(entry.milliseconds)
            try values.encode(entry.unread)
        }
    }

    /// Decodes a profile file.
    ///
    /// - Throws: ``StreamingError`` with code `badProfile` if the file is malformed or exceeds a limit.
    public init(bytes: [UInt8]) throws(StreamingError) {
        guard bytes.count <= Self.maximumSize else {
            throw StreamingError(.badProfile, "profile of \(bytes.count) bytes exceeds \(Self.maximumSize)")
        }
        let document: Document
        do {
            document = try JSONDecoder().decode(Document.self, from: Data(bytes))
        } catch {
            throw StreamingError(.badProfile, "not a profile: \(error)")
        }
        guard document.rivuletProfile == Self.version else {
            throw StreamingError(
                .badProfile, "unsupported profile version \(document.rivuletProfile), expected \(Self.version)")
        }
        guard document.entries.count <= Profile.maximumEntries else {
            throw StreamingError(.badProfile, "profile with more than \(Profile.maximumEntries) entries")
        }
        do {
            repository = try ImageReference(parsing: document.repository).repository
        } catch {
            throw StreamingError(
                .badProfile, "profile with an invalid repository: \(document.repository.prefix(300))", cause: error)
        }
        chain = document.chain.flatMap { Digest($0) }
        guard (chain == nil) == (document.chain == nil) else {
            throw StreamingError(.badProfile, "profile with a malformed chain ID")
        }
        profile = Profile(entries: document.entries.map(\.entry))
    }

    /// Encodes the file. Skips entries that the format cannot hold, for example because the path is not UTF-8. Drops
    /// the last entries if the file would exceed ``maximumSize`` or ``Profile/maximumEntries``.
    public func encoded() throws(StreamingError) -> [UInt8] {
        var room = Self.maximumSize - Self.headSize
        var items: [Item] = []
        for entry in profile.entries {
            guard !entry.range.isEmpty, entry.range.end <= Self.maximumEnd, ProfilePath.isValid(entry.path),
                String(validating: entry.path, as: UTF8.self) != nil
            else { continue }
            room -= ProfilePath.encodedSize(entry.path) + Self.numbersSize
            guard room >= 0, items.count < Profile.maximumEntries else { break }
            items.append(Item(entry))
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return Array(
                try encoder.encode(
                    Document(
                        rivuletProfile: Self.version, repository: "\(repository)", chain: chain?.description,
                        entries: items)))
        } catch {
            throw StreamingError(.badProfile, "failed to encode the profile of \(repository): \(error)")
        }
    }
}

/// The rules for paths in profiles.
enum ProfilePath {
    /// Returns true if a path is relative, has no empty component and no `.` or `..`, and is within the kernel's length
    /// limits.
    static func isValid(_ path: [UInt8]) -> Bool {
        guard !path.isEmpty, path.count < 4096, !path.contains(0) else { return false }
        return path.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).allSatisfy { name in
            !name.isEmpty && name.count <= 255 && !name.elementsEqual([0x2E]) && !name.elementsEqual([0x2E, 0x2E])
        }
    }

    /// Returns an upper bound for the size of the path in JSON, in bytes, including the quotes.
    static func encodedSize(_ path: [UInt8]) -> Int {
        path.reduce(2) { size, byte in
            switch byte {
            case 0..<0x20, 0x7F: size + 6
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): size + 2
            default: size + 1
            }
        }
    }
}
