import Crypto

/// A SHA-256 content digest: the name of blobs, chunks, chains and manifests.
///
/// The text form is `sha256:` and 64 lower-case hexadecimal digits (OCI image-spec, descriptor.md, "Digests"). Rivulet
/// does not support the other registered algorithms, and does not stream an image that uses one of them.
public struct Digest: Hashable, Sendable {
    /// The size of a digest in bytes.
    public static let byteCount = 32

    // Four words instead of a byte array, so that copies and comparisons need no heap access.
    private let words: (UInt64, UInt64, UInt64, UInt64)

    /// Creates a digest from the first 32 bytes of `bytes`, or returns `nil` if there are fewer.
    public init?(bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= Self.byteCount else { return nil }
        words = (
            bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self),
            bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self),
            bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self),
            bytes.loadUnaligned(fromByteOffset: 24, as: UInt64.self)
        )
    }

    /// Parses 64 lower-case hexadecimal digits, or returns `nil` for any other text. Upper-case digits are invalid: the
    /// specification demands lower case, and a digest must have only one spelling.
    public init?(hex: some Collection<UInt8>) {
        guard hex.count == 2 * Self.byteCount else { return nil }
        var words = (UInt64(0), UInt64(0), UInt64(0), UInt64(0))
        let valid = withUnsafeMutableBytes(of: &words) { out -> Bool in
            var position = 0
            for character in hex {
                guard let nibble = Hex.value(of: character) else { return false }
                out[position / 2] = out[position / 2] << 4 | nibble
                position += 1
            }
            return true
        }
        guard valid else { return nil }
        self.words = words
    }

    /// Parses `sha256:…`, or returns `nil` if `text` is malformed or names another algorithm.
    public init?(_ text: some StringProtocol) {
        self.init(utf8: text.utf8)
    }

    /// Parses the UTF-8 bytes of `sha256:…`, like ``init(_:)``.
    public init?(utf8: some Collection<UInt8>) {
        guard utf8.starts(with: "sha256:".utf8) else { return nil }
        self.init(hex: utf8.dropFirst(7))
    }

    /// The 64 lower-case hexadecimal digits, without the algorithm.
    public var hex: String {
        withBytes { Hex.encode($0) }
    }

    /// Runs `body` with the 32 bytes of the digest, and returns its result. The pointer is valid only during the call.
    public func withBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try withUnsafeBytes(of: words, body)
    }

    /// Returns the SHA-256 digest of `bytes`.
    public static func of(_ bytes: UnsafeRawBufferPointer) -> Digest {
        var hasher = DigestHasher()
        hasher.update(bytes)
        return hasher.finish()
    }

    /// Returns the SHA-256 digest of `bytes`.
    public static func of(_ bytes: [UInt8]) -> Digest {
        bytes.withUnsafeBytes { of($0) }
    }

    public static func == (left: Digest, right: Digest) -> Bool {
        left.words == right.words
    }

    public func hash(into hasher: inout Hasher) {
        // The bits of a digest are uniformly distributed, so one word is enough.
        hasher.combine(words.0)
    }
}

extension Digest: CustomStringConvertible {
    public var description: String { "sha256:" + hex }
}

extension Digest: Comparable {
    public static func < (left: Digest, right: Digest) -> Bool {
        left.withBytes { l in right.withBytes { r in l.lexicographicallyPrecedes(r) } }
    }
}

extension Digest: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let digest = Digest(text) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "not a sha256 digest: \(text.prefix(100))")
        }
        self = digest
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// An incremental SHA-256 computation.
public struct DigestHasher: Sendable {
    private var state = SHA256()

    public init() {}

    /// Appends `bytes` to the hashed data.
    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        state.update(bufferPointer: bytes)
    }

    /// Returns the digest of all data so far.
    public func finish() -> Digest {
        state.finalize().withUnsafeBytes { bytes in
            // SHA-256 always has 32 bytes, so the failable initializer cannot fail here.
            guard let digest = Digest(bytes: bytes) else { preconditionFailure("SHA-256 is 32 bytes") }
            return digest
        }
    }
}
