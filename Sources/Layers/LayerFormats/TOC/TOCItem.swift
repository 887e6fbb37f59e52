import Base

/// One scanned element of the JSON array `entries` in a table of contents. The strings ``name`` and ``linkName`` are
/// only positions: ``TOCScanner/withBytes(of:in:_:)`` gets their bytes.
struct TOCItem {
    enum Kind: UInt8 {
        case directory, regular, symlink, hardlink, character, block, fifo, chunk
    }

    /// The members that an element may have. stargz-snapshotter, docs/estargz.md, "TOCEntry", explains them.
    struct Members: OptionSet {
        let rawValue: UInt32

        static let name = Members(rawValue: 1 << 0)
        static let type = Members(rawValue: 1 << 1)
        static let size = Members(rawValue: 1 << 2)
        static let modtime = Members(rawValue: 1 << 3)
        static let linkName = Members(rawValue: 1 << 4)
        static let mode = Members(rawValue: 1 << 5)
        static let uid = Members(rawValue: 1 << 6)
        static let gid = Members(rawValue: 1 << 7)
        static let userName = Members(rawValue: 1 << 8)
        static let groupName = Members(rawValue: 1 << 9)
        static let devMajor = Members(rawValue: 1 << 10)
        static let devMinor = Members(rawValue: 1 << 11)
        static let xattrs = Members(rawValue: 1 << 12)
        static let digest = Members(rawValue: 1 << 13)
        static let offset = Members(rawValue: 1 << 14)
        static let innerOffset = Members(rawValue: 1 << 15)
        static let chunkOffset = Members(rawValue: 1 << 16)
        static let chunkSize = Members(rawValue: 1 << 17)
        static let chunkDigest = Members(rawValue: 1 << 18)
        static let linkCount = Members(rawValue: 1 << 19)
        /// A member that only containers/storage writes: the chunk's type, which tells whether the chunk's bytes are
        /// all zeros.
        static let chunkType = Members(rawValue: 1 << 20)
        /// Any other key.
        static let unknown: Members = []
    }

    /// The members that occurred, including those whose value is `null`. ``present`` lacks members with that value.
    var seen: Members = []
    var present: Members = []
    var kind = Kind.regular
    var name = JSONString(offset: 0, count: 0, isUnescaped: false, hasMultibyte: false)
    var linkName = JSONString(offset: 0, count: 0, isUnescaped: false, hasMultibyte: false)
    var size: UInt64 = 0
    var modifiedSeconds: Int64 = 0
    var modifiedNanoseconds: UInt32 = 0
    var mode: UInt64 = 0
    var uid: UInt32 = 0
    var gid: UInt32 = 0
    var deviceMajor: UInt32 = 0
    var deviceMinor: UInt32 = 0
    var offset: UInt64 = 0
    var innerOffset: UInt64 = 0
    var chunkOffset: UInt64 = 0
    var chunkSize: UInt64 = 0
    var digest: Digest?
    var chunkDigest: Digest?
    var isZeros = false
}

extension TOCItem.Members {
    /// Returns the member with this name; ``unknown`` for any other name. `low` contains the first eight bytes of the
    /// name, `high` the next eight, each with the first byte lowest. Zeros fill the bytes after the name's `count`
    /// bytes.
    @inline(__always)
    static func named(low: UInt64, high: UInt64, count: Int) -> TOCItem.Members {
        switch count {
        case 3:
            if low == PackedText.word("uid") { return .uid }
            if low == PackedText.word("gid") { return .gid }
        case 4:
            if low == PackedText.word("name") { return .name }
            if low == PackedText.word("type") { return .type }
            if low == PackedText.word("mode") { return .mode }
            if low == PackedText.word("size") { return .size }
        case 6:
            if low == PackedText.word("offset") { return .offset }
            if low == PackedText.word("digest") { return .digest }
            if low == PackedText.word("xattrs") { return .xattrs }
        case 7:
            if low == PackedText.word("modtime") { return .modtime }
            if low == PackedText.word("NumLink") { return .linkCount }
        case 8:
            if low == PackedText.word("linkName") { return .linkName }
            if low == PackedText.word("userName") { return .userName }
            if low == PackedText.word("devMajor") { return .devMajor }
            if low == PackedText.word("devMinor") { return .devMinor }
        case 9:
            if low == PackedText.word("chunkSiz"), high == PackedText.word("e") { return .chunkSize }
            if low == PackedText.word("chunkTyp"), high == PackedText.word("e") { return .chunkType }
            if low == PackedText.word("groupNam"), high == PackedText.word("e") { return .groupName }
        case 11:
            if low == PackedText.word("chunkDig"), high == PackedText.word("est") { return .chunkDigest }
            if low == PackedText.word("chunkOff"), high == PackedText.word("set") { return .chunkOffset }
            if low == PackedText.word("innerOff"), high == PackedText.word("set") { return .innerOffset }
        default: break
        }
        return .unknown
    }
}

enum PackedText {
    /// Returns up to eight ASCII characters as a number, the first in the lowest byte. The compiler folds the call into
    /// a constant.
    @inline(__always)
    static func word(_ text: StaticString) -> UInt64 {
        var word: UInt64 = 0
        for index in 0..<text.utf8CodeUnitCount { word |= UInt64(text.utf8Start[index]) << UInt64(8 * index) }
        return word
    }
}
