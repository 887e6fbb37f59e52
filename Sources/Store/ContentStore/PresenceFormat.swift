package import Base

/// The identity of the content file that a presence file describes: its inode number and birth time.
///
/// The inode number alone is not enough, because a file system may reuse it at once.
package struct ContentIdentity: Hashable, Sendable {
    package let inode: UInt64
    /// Nanoseconds since 1970; 0 if the file system does not record birth times.
    package let born: UInt64

    package init(inode: UInt64, born: UInt64) {
        self.inode = inode
        self.born = born
    }
}

/// The format of a `present` file, version 1. The live area holds the current presence bits. Each of the two slots has
/// room for a checksummed copy of the bits. ``PresenceFile`` explains when the store writes which slot. Integers are
/// little-endian. Every part starts on a 4 KiB boundary. So no two parts share a block, and a torn write damages at
/// most one part.
///
/// ```
/// header     "RIVPRSNT"  version u32  0 u32  blob digest 32  index fingerprint 32  chunk count u64
///            content size u64  content inode u64  content birth u64  SHA-256 of the fields above 32
/// session    boot id, 36 bytes of text
/// live       one bit per chunk, low bit first, in 64-bit words
/// slot 0     generation u64  SHA-256 of (header, generation, bits) 32  0 u64 ×3  bits
/// slot 1     the same
/// ```
package struct PresenceFormat: Sendable {
    static let block = 4096
    static let version: UInt32 = 1
    static let magic = Array("RIVPRSNT".utf8)
    static let sessionLength = 36
    static let slotHeader = 64

    /// The result of comparing a header with the expected header.
    package enum Match: Equatable {
        case same
        /// The header is intact and names the same blob, but the index has another fingerprint.
        case otherIndex
        /// The file cannot be used for this layer for another reason, which the text states.
        case different(String)
    }

    let digest: Digest
    /// The fingerprint of the layer's index (``LayerOpener/Index/fingerprint``). The presence bits are valid only with
    /// this index.
    let index: Digest
    let chunkCount: Int
    let contentSize: UInt64
    let identity: ContentIdentity

    package init(digest: Digest, index: Digest, chunkCount: Int, contentSize: UInt64, identity: ContentIdentity) {
        self.digest = digest
        self.index = index
        self.chunkCount = chunkCount
        self.contentSize = contentSize
        self.identity = identity
    }

    /// The length in bytes of one copy of the presence bits, in whole 64-bit words.
    var bitsLength: Int { AtomicBits.wordCount(for: chunkCount) * 8 }
    var sessionOffset: Int { Self.block }
    var liveOffset: Int { 2 * Self.block }
    var slotLength: Int { Self.rounded(Self.slotHeader + bitsLength) }
    func slotOffset(_ slot: Int) -> Int { liveOffset + Self.rounded(bitsLength) + slot * slotLength }
    var fileLength: Int { slotOffset(2) }

    private static func rounded(_ count: Int) -> Int { (count + block - 1) / block * block }

    /// The expected header of the file, without padding.
    package var header: [UInt8] {
        var bytes = Self.magic
        bytes.appendLittleEndian(Self.version)
        bytes.appendLittleEndian(UInt32(0))
        digest.withBytes { bytes.append(contentsOf: $0) }
        index.withBytes { bytes.append(contentsOf: $0) }
        bytes.appendLittleEndian(UInt64(chunkCount))
        bytes.appendLittleEndian(contentSize)
        bytes.appendLittleEndian(identity.inode)
        bytes.appendLittleEndian(identity.born)
        Digest.of(bytes).withBytes { bytes.append(contentsOf: $0) }
        return bytes
    }

    /// Compares `bytes`, the first block of a file, with ``header``.
    package func match(_ bytes: [UInt8]) -> Match {
        let expected = header
        if bytes.starts(with: expected) { return .same }
        guard bytes.count >= expected.count, bytes.starts(with: Self.magic) else {
            return .different("not a presence file")
        }
        let version = bytes.withUnsafeBytes { $0.littleEndian(UInt32.self, at: 8) ?? 0 }
        guard version == Self.version else { return .different("version \(version), not \(Self.version)") }
        let body = expected.count - Digest.byteCount
        let checksum = Digest.of(Array(bytes[..<body])).withBytes { Array($0) }
        guard checksum == Array(bytes[body..<expected.count]) else { return .different("header checksum mismatch") }
        let before = Self.magic.count + 8
        let indexStart = before + Digest.byteCount
        let indexEnd = indexStart + Digest.byteCount
        let sameLayer = bytes[before..<indexStart] == expected[before..<indexStart]
        return sameLayer && bytes[indexStart..<indexEnd] != expected[indexStart..<indexEnd]
            ? .otherIndex : .different("it describes another content file")
    }

    /// Returns the bytes of a slot: its header, then the bits in `words`.
    package func slot(generation: UInt64, words: [UInt64]) -> [UInt8] {
        var bits: [UInt8] = []
        bits.reserveCapacity(words.count * 8)
        for word in words { bits.appendLittleEndian(word) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.slotHeader + bits.count)
        bytes.appendLittleEndian(generation)
        slotChecksum(generation: generation, bits: bits).withBytes { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: repeatElement(0, count: Self.slotHeader - bytes.count))
        bytes.append(contentsOf: bits)
        return bytes
    }

    /// Returns the generation and the bits of a slot. Returns `nil` if the slot was never written, is torn, or belongs
    /// to a file with another header.
    package func parseSlot(_ bytes: [UInt8]) -> (generation: UInt64, words: [UInt64])? {
        guard bytes.count >= Self.slotHeader + bitsLength else { return nil }
        let generation = bytes.withUnsafeBytes { $0.littleEndian(UInt64.self, at: 0) ?? 0 }
        guard generation > 0 else { return nil }
        let bits = Array(bytes[Self.slotHeader..<(Self.slotHeader + bitsLength)])
        let checksum = slotChecksum(generation: generation, bits: bits).withBytes { Array($0) }
        guard checksum == Array(bytes[8..<(8 + Digest.byteCount)]) else { return nil }
        return (generation, Self.words(bits))
    }

    /// Returns the little-endian 64-bit words in `bytes`.
    static func words(_ bytes: [UInt8]) -> [UInt64] {
        bytes.withUnsafeBytes { bytes in
            (0..<bytes.count / 8).map { bytes.littleEndian(UInt64.self, at: $0 * 8) ?? 0 }
        }
    }

    private func slotChecksum(generation: UInt64, bits: [UInt8]) -> Digest {
        var hasher = DigestHasher()
        var prefix = header
        prefix.appendLittleEndian(generation)
        prefix.withUnsafeBytes { hasher.update($0) }
        bits.withUnsafeBytes { hasher.update($0) }
        return hasher.finish()
    }
}
