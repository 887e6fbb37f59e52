public import Base
import FoundationEssentials
public import Registry

/// The file form of a profile, as `docs/profiles.md` describes it: JSON, an object with `rivuletProfile` (the version, 1),
/// `repository`, `chain` and `entries`, each of them an array of path, offset, length, milliseconds and how often it was left
/// unread.
///
/// A path is text, so a file whose name is not UTF-8 has no entry.
public struct ProfileFile: Sendable, Equatable {
    /// Where the image is that it was recorded from.
    public var repository: Repository
    /// The chain ID of that image's root file system; `nil` for a profile that somebody wrote for all images of the
    /// repository.
    public var chain: Digest?
    public var profile: Profile

    public init(repository: Repository, chain: Digest?, profile: Profile) {
        self.repository = repository
        self.chain = chain
        self.profile = profile
    }

    /// Larger files are not read.
    public static let maximumSize = 16 << 20
    private static let version = 1
    /// At most what the file has besides its entries, and an entry besides its path.
    private static let headSize = 1 << 10
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
            guard let range = ByteRange(offset: offset, count: length), length > 0,
                ProfilePath.isValid(Array(path.utf8))
            else {
                throw DecodingError.dataCorruptedError(
                    in: values, debugDescription: "not a piece of a file: \(path.prefix(200)) \(offset) \(length)")
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

    /// - Throws: ``StreamingError`` with code `badProfile` when these bytes are none.
    public init(bytes: [UInt8]) throws(StreamingError) {
        guard bytes.count <= Self.maximumSize else {
            throw StreamingError(.badProfile, "a profile of \(bytes.count) bytes is larger than \(Self.maximumSize)")
        }
        let document: Document
        do {
            document = try JSONDecoder().decode(Document.self, from: Data(bytes))
        } catch {
            throw StreamingError(.badProfile, "not a profile: \(error)")
        }
        guard document.rivuletProfile == Self.version else {
            throw StreamingError(.badProfile, "a profile of version \(document.rivuletProfile), not \(Self.version)")
        }
        guard document.entries.count <= Profile.maximumEntries else {
            throw StreamingError(.badProfile, "a profile of more than \(Profile.maximumEntries) entries")
        }
        do {
            repository = try ImageReference(parsing: document.repository).repository
        } catch {
            throw StreamingError(.badProfile, "a profile of \(document.repository.prefix(300))", cause: error)
        }
        chain = document.chain.flatMap { Digest($0) }
        guard (chain == nil) == (document.chain == nil) else {
            throw StreamingError(.badProfile, "a profile whose chain is no digest")
        }
        profile = Profile(entries: document.entries.map(\.entry))
    }

    /// The file's bytes. What a file cannot hold is left out, and what would make it too large to be read again is cut off
    /// its end.
    public func encoded() throws(StreamingError) -> [UInt8] {
        var room = Self.maximumSize - Self.headSize
        var items: [Item] = []
        for entry in profile.entries {
            guard !entry.range.isEmpty, ProfilePath.isValid(entry.path),
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
            throw StreamingError(.badProfile, "the profile of \(repository) cannot be written: \(error)")
        }
    }
}

/// What a path in a profile may be.
enum ProfilePath {
    /// Relative, of names that are neither empty nor `.` nor `..`, and no longer than the kernel takes.
    static func isValid(_ path: [UInt8]) -> Bool {
        guard !path.isEmpty, path.count < 4096, !path.contains(0) else { return false }
        return path.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).allSatisfy { name in
            !name.isEmpty && name.count <= 255 && !name.elementsEqual([0x2E]) && !name.elementsEqual([0x2E, 0x2E])
        }
    }

    /// At most what it takes in JSON, with the quotes.
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
