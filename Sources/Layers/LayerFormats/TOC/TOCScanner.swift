import Base

/// A scanner that finds the entries in the JSON text of a table of contents (TOC). The caller passes the text in
/// windows.
///
/// Each step scans one element of the JSON array `entries`, or one other member of the top-level object. If the window
/// ends within that element or member, the scanner asks for a longer window and repeats the step. An element without
/// escapes and extended attributes needs no allocation.
struct TOCScanner {
    enum Step {
        /// The next element, which is in ``item``.
        case entry
        /// A request for a longer window, because the text continues beyond the current window.
        case needMore
        /// The end of a complete text.
        case end
    }

    private enum State {
        case start, firstMember, member, firstElement, element, afterElement, afterMember, trailer
    }

    /// The last element that the scanner found.
    private(set) var item = TOCItem()
    /// The extended attributes of ``item``.
    private(set) var attributes: [(name: [UInt8], value: [UInt8])] = []
    /// The offset in the window at which the next call continues.
    private(set) var position = 0
    private var state = State.start
    private var seenVersion = false
    private var seenEntries = false
    private var scratch: [UInt8] = []
    private let limits: LayerFormatLimits

    init(limits: LayerFormatLimits) {
        self.limits = limits
    }

    /// Records that the window now starts `count` bytes later in the text.
    mutating func windowMoved(by count: Int) {
        position -= count
    }

    /// Advances to the next element.
    ///
    /// - Parameters:
    ///   - window: a part of the text. The first window begins at the start of the text. Before a call with a window
    ///     that begins later in the text, call ``windowMoved(by:)``. The memory after the window must contain
    ///     ``JSONCursor/padding`` zero bytes.
    ///   - isLast: true if the text ends with the window.
    mutating func next(
        _ window: UnsafeBufferPointer<UInt8>, isLast: Bool
    ) throws(LayerFormatError) -> Step {
        guard let start = window.baseAddress else { throw malformed("no text") }
        // The scratch space moves to the cursor and back, so that its memory is reused.
        scratch.removeAll(keepingCapacity: true)
        var cursor = JSONCursor(start: start, count: window.count, at: position, scratch: scratch)
        scratch = []
        defer { scratch = cursor.scratch }
        do {
            while try advance(&cursor) {
                if state == .afterElement { return .entry }
            }
        } catch {
            switch error {
            case .malformed(let reason): throw malformed(reason)
            case .needMore:
                guard isLast else { return .needMore }
                guard state == .trailer else { throw malformed("it is cut short") }
            }
        }
        guard seenVersion else { throw malformed("it has no version") }
        guard seenEntries else { throw malformed("it has no entries") }
        return .end
    }

    /// Calls `body` with the bytes of a string of ``item``. `window` is the window in which ``next(_:isLast:)`` found
    /// the item.
    @inline(__always)
    func withBytes<Result, Failure: Error>(
        of text: JSONString, in window: UnsafeBufferPointer<UInt8>,
        _ body: (UnsafeBufferPointer<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let space = text.isUnescaped ? nil : window.baseAddress
        guard let space else {
            return try scratch[text.offset..<text.offset + text.count].withUnsafeBufferPointer(body)
        }
        return try body(UnsafeBufferPointer(start: space + text.offset, count: text.count))
    }

    /// Advances by one token or element. Always returns true, so that a caller can use the call as a loop condition. If
    /// the window ends within the token or element, throws and does not change ``position``.
    @inline(__always)
    private mutating func advance(_ cursor: inout JSONCursor) throws(JSONStop) -> Bool {
        cursor.skipSpace()
        switch state {
        case .start:
            try cursor.expect(0x7b, "no object")
            state = .firstMember
        case .firstMember:
            if cursor.take(0x7d) { state = .trailer } else { try member(&cursor) }
        case .member:
            try member(&cursor)
        case .firstElement:
            if cursor.take(0x5d) { state = .afterMember } else { try element(&cursor) }
        case .element:
            try element(&cursor)
        case .afterElement:
            if cursor.take(0x5d) {
                state = .afterMember
            } else {
                try cursor.expect(0x2c, "entries that do not end")
                state = .element
            }
        case .afterMember:
            if cursor.take(0x7d) {
                state = .trailer
            } else {
                try cursor.expect(0x2c, "an object that does not end")
                state = .member
            }
        case .trailer:
            throw cursor.stop("something after the end")
        }
        position = cursor.position
        return true
    }

    /// Scans a member of the top-level object. If the member is `entries`, scans only the part up to the opening
    /// bracket.
    private mutating func member(_ cursor: inout JSONCursor) throws(JSONStop) {
        let key = try cursor.string()
        cursor.skipSpace()
        try cursor.expect(0x3a, "a key without a value")
        cursor.skipSpace()
        if cursor.withBytes(of: key, { $0.elementsEqual("version".utf8) }) {
            guard !seenVersion else { throw .malformed("two versions") }
            guard try cursor.number(limit: UInt64(Int32.max)) == 1 else { throw .malformed("an unknown version") }
            seenVersion = true
        } else if cursor.withBytes(of: key, { $0.elementsEqual("entries".utf8) }) {
            guard !seenEntries else { throw .malformed("two lists of entries") }
            // Go writes a nil slice as null.
            guard try !cursor.takeNull() else {
                seenEntries = true
                state = .afterMember
                return
            }
            try cursor.expect(0x5b, "entries that are no list")
            seenEntries = true
            state = .firstElement
            return
        } else {
            try cursor.skipValue()
        }
        state = .afterMember
    }

    private mutating func element(_ cursor: inout JSONCursor) throws(JSONStop) {
        item = TOCItem()
        if !attributes.isEmpty { attributes.removeAll(keepingCapacity: true) }
        try cursor.expect(0x7b, "an entry that is no object")
        cursor.skipSpace()
        if !cursor.take(0x7d) {
            repeat {
                cursor.skipSpace()
                let key = try cursor.string()
                cursor.skipSpace()
                try cursor.expect(0x3a, "a key without a value")
                cursor.skipSpace()
                let member = Self.member(key, &cursor)
                if member.isEmpty {
                    try Self.checkUnknown(key, &cursor)
                    try cursor.skipValue()
                } else {
                    guard item.seen.isDisjoint(with: member) else { throw .malformed("a key that comes twice") }
                    item.seen.formUnion(member)
                    if try !cursor.takeNull() {
                        try value(of: member, &cursor)
                        item.present.formUnion(member)
                    }
                }
                cursor.skipSpace()
            } while cursor.take(0x2c)
            try cursor.expect(0x7d, "an entry that does not end")
        }
        state = .afterElement
    }

    @inline(__always)
    private static func member(_ key: JSONString, _ cursor: inout JSONCursor) -> TOCItem.Members {
        guard key.count <= 11 else { return .unknown }
        if key.isUnescaped {
            var words: (UInt64, UInt64) = (0, 0)
            cursor.withBytes(of: key) { bytes in
                withUnsafeMutableBytes(of: &words) { $0.copyMemory(from: UnsafeRawBufferPointer(bytes)) }
            }
            return TOCItem.Members.named(
                low: UInt64(littleEndian: words.0), high: UInt64(littleEndian: words.1), count: key.count)
        }
        // A colon and the padding follow the key in the window, so 16 bytes from the key's start are readable.
        let bytes = UnsafeRawPointer(cursor.start + key.offset)
        var low = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        var high: UInt64 = 0
        if key.count < 8 {
            low &= 1 << UInt64(8 * key.count) &- 1
        } else {
            high = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            high &= 1 << UInt64(8 * (key.count - 8)) &- 1
        }
        return TOCItem.Members.named(low: low, high: high, count: key.count)
    }

    /// Throws if a key differs from a known key only in case. Go's decoder treats such a key as the known key, so Go
    /// would read a different layer than this scanner.
    private static func checkUnknown(_ key: JSONString, _ cursor: inout JSONCursor) throws(JSONStop) {
        let isAlias = cursor.withBytes(of: key) { bytes in
            Self.keys.contains { known in
                known.count == bytes.count && zip(known, bytes).allSatisfy { $0 | 0x20 == $1 | 0x20 }
            }
        }
        if isAlias { throw .malformed("a key in the wrong case") }
    }

    private static let keys = [
        "name", "type", "size", "modtime", "linkName", "mode", "uid", "gid", "userName", "groupName", "devMajor",
        "devMinor", "xattrs", "digest", "offset", "innerOffset", "chunkOffset", "chunkSize", "chunkDigest", "chunkType",
        "NumLink",
    ].map { Array($0.utf8) }

    @inline(__always)
    private mutating func value(of member: TOCItem.Members, _ cursor: inout JSONCursor) throws(JSONStop) {
        switch member {
        case .name: item.name = try Self.exactString(&cursor)
        case .type: item.kind = try Self.kind(&cursor)
        case .size: item.size = try cursor.number(limit: UInt64(Int64.max))
        case .modtime: try modtime(&cursor)
        case .linkName: item.linkName = try Self.exactString(&cursor)
        case .mode: item.mode = try cursor.number(limit: UInt64(Int64.max))
        case .uid: item.uid = UInt32(truncatingIfNeeded: try cursor.number(limit: UInt64(UInt32.max)))
        case .gid: item.gid = UInt32(truncatingIfNeeded: try cursor.number(limit: UInt64(UInt32.max)))
        case .devMajor: item.deviceMajor = UInt32(truncatingIfNeeded: try cursor.number(limit: UInt64(UInt32.max)))
        case .devMinor: item.deviceMinor = UInt32(truncatingIfNeeded: try cursor.number(limit: UInt64(UInt32.max)))
        case .xattrs: try xattrs(&cursor)
        case .digest: item.digest = try Self.digest(&cursor)
        case .offset: item.offset = try cursor.number(limit: UInt64(Int64.max))
        case .innerOffset: item.innerOffset = try cursor.number(limit: UInt64(Int64.max))
        case .chunkOffset: item.chunkOffset = try cursor.number(limit: UInt64(Int64.max))
        case .chunkSize: item.chunkSize = try cursor.number(limit: UInt64(Int64.max))
        case .chunkDigest: item.chunkDigest = try Self.digest(&cursor)
        case .chunkType: item.isZeros = try Self.isZeros(&cursor)
        default:
            // These values are ignored: user and group names come from another machine, and the builder computes link
            // counts.
            try cursor.skipValue()
        }
    }

    /// Returns true if the chunk type (containers/storage, pkg/chunked/internal/minimal) is `zeros`. Returns false if
    /// the type is empty, which means data. Throws for any other type.
    private static func isZeros(_ cursor: inout JSONCursor) throws(JSONStop) -> Bool {
        let text = try cursor.string()
        let (isData, isZeros) = cursor.withBytes(of: text) { ($0.isEmpty, $0.elementsEqual("zeros".utf8)) }
        guard isData || isZeros else { throw .malformed("an unknown kind of chunk") }
        return isZeros
    }

    /// Parses a name or a link target, whose exact bytes matter. Throws if the string contains U+FFFD: Go writes that
    /// character in place of invalid UTF-8, so the original bytes are lost.
    @inline(__always)
    private static func exactString(_ cursor: inout JSONCursor) throws(JSONStop) -> JSONString {
        let text = try cursor.string()
        if text.hasMultibyte { try checkExact(text, &cursor) }
        return text
    }

    @inline(never)
    private static func checkExact(_ text: JSONString, _ cursor: inout JSONCursor) throws(JSONStop) {
        let isLost = cursor.withBytes(of: text) { bytes in
            bytes.indices.dropLast(2).contains {
                bytes[$0] == 0xef && bytes[$0 + 1] == 0xbf && bytes[$0 + 2] == 0xbd
            }
        }
        if isLost { throw .malformed("a name whose bytes are lost (U+FFFD)") }
    }

    @inline(__always)
    private static func kind(_ cursor: inout JSONCursor) throws(JSONStop) -> TOCItem.Kind {
        let text = try cursor.string()
        return try cursor.withBytes(of: text) { (bytes) throws(JSONStop) in
            guard bytes.count <= 8 else { throw .malformed("an unknown type of entry") }
            var word: UInt64 = 0
            for index in bytes.indices { word |= UInt64(bytes[index]) << UInt64(8 * index) }
            if word == PackedText.word("reg") { return .regular }
            if word == PackedText.word("dir") { return .directory }
            if word == PackedText.word("chunk") { return .chunk }
            if word == PackedText.word("symlink") { return .symlink }
            if word == PackedText.word("hardlink") { return .hardlink }
            if word == PackedText.word("char") { return .character }
            if word == PackedText.word("block") { return .block }
            if word == PackedText.word("fifo") { return .fifo }
            throw .malformed("an unknown type of entry")
        }
    }

    @inline(__always)
    private static func digest(_ cursor: inout JSONCursor) throws(JSONStop) -> Digest? {
        let text = try cursor.string()
        // If Go does not leave out a missing digest, it writes an empty string.
        guard text.count > 0 else { return nil }
        let digest = cursor.withBytes(of: text) { DigestText.parse($0) }
        guard let digest else { throw .malformed("a digest that is not sha256") }
        return digest
    }

    @inline(__always)
    private mutating func modtime(_ cursor: inout JSONCursor) throws(JSONStop) {
        let text = try cursor.string()
        let time = cursor.withBytes(of: text) { Timestamp.parse($0) }
        guard let time else { throw .malformed("a modtime that is not RFC 3339") }
        item.modifiedSeconds = time.seconds
        item.modifiedNanoseconds = time.nanoseconds
    }

    @inline(never)
    private mutating func xattrs(_ cursor: inout JSONCursor) throws(JSONStop) {
        try cursor.expect(0x7b, "xattrs that are no object")
        cursor.skipSpace()
        if cursor.take(0x7d) { return }
        var names: Set<[UInt8]> = []
        repeat {
            cursor.skipSpace()
            let key = try Self.exactString(&cursor)
            cursor.skipSpace()
            try cursor.expect(0x3a, "a key without a value")
            cursor.skipSpace()
            let name = cursor.withBytes(of: key) { Array($0) }
            guard names.insert(name).inserted else { throw .malformed("an xattr that comes twice") }
            guard attributes.count < limits.attributesPerEntry else { throw .malformed("too many xattrs") }
            var value: [UInt8] = []
            if try !cursor.takeNull() {
                let text = try cursor.string()
                let decoded = cursor.withBytes(of: text) { Base64.decode($0) }
                guard let decoded else { throw .malformed("an xattr that is not base64") }
                value = decoded
            }
            attributes.append((name, value))
            cursor.skipSpace()
        } while cursor.take(0x2c)
        try cursor.expect(0x7d, "xattrs that do not end")
    }

    private func malformed(_ reason: StaticString) -> LayerFormatError {
        LayerFormatError(.badTOC, "the TOC is not valid: \(reason)")
    }
}
