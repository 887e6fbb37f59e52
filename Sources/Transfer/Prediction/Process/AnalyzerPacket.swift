import Base

/// The error for a packet that no analyzer or client of this version would send.
public struct MalformedPacket: Error {}

/// The encoding of packets between a client and an analyzer.
///
/// A packet begins with its kind in one byte. The number of the packet's container start follows in four bytes, then
/// the fields of that kind. Integers are little-endian. A list begins with the number of its items in two bytes. A text
/// begins with its length in four bytes. Each end treats the other as hostile.
enum AnalyzerPacket {
    /// The size of the largest packet in bytes. Both ends have a buffer of this size.
    static let maximumSize = 60 << 10
    /// The maximum number of items in one list. Items other than texts have at most 26 bytes each. So a full list of
    /// such items fits into a packet.
    static let maximumItems = 2048

    /// A reader of a packet's fields. It checks each field against the end of the packet.
    struct Reader {
        private let bytes: ArraySlice<UInt8>
        private var position: Int

        init(_ bytes: ArraySlice<UInt8>) {
            self.bytes = bytes
            position = bytes.startIndex
        }

        mutating func integer<Value: FixedWidthInteger & UnsignedInteger>(
            _ type: Value.Type = Value.self
        ) throws(MalformedPacket) -> Value {
            var value: Value = 0
            for (index, byte) in try take(MemoryLayout<Value>.size).enumerated() {
                value |= Value(truncatingIfNeeded: byte) << Value(truncatingIfNeeded: 8 * index)
            }
            return value
        }

        mutating func flag() throws(MalformedPacket) -> Bool {
            switch try integer(UInt8.self) {
            case 0: false
            case 1: true
            default: throw MalformedPacket()
            }
        }

        mutating func text() throws(MalformedPacket) -> String {
            let bytes = try take(Int(try integer(UInt32.self)))
            guard let text = String(validating: bytes, as: UTF8.self) else { throw MalformedPacket() }
            return text
        }

        /// Reads a range, and checks that its end is not before its beginning.
        mutating func range() throws(MalformedPacket) -> ByteRange {
            let offset = try integer(UInt64.self)
            let end = try integer(UInt64.self)
            guard end >= offset else { throw MalformedPacket() }
            return ByteRange(offset: offset, end: end)
        }

        mutating func list<Item>(
            _ item: (inout Reader) throws(MalformedPacket) -> Item
        ) throws(MalformedPacket) -> [Item] {
            let count = Int(try integer(UInt16.self))
            guard count <= maximumItems else { throw MalformedPacket() }
            var items: [Item] = []
            for _ in 0..<count { items.append(try item(&self)) }
            return items
        }

        func end() throws(MalformedPacket) {
            guard position == bytes.endIndex else { throw MalformedPacket() }
        }

        private mutating func take(_ count: Int) throws(MalformedPacket) -> ArraySlice<UInt8> {
            guard count <= bytes.endIndex - position else { throw MalformedPacket() }
            defer { position += count }
            return bytes[position..<position + count]
        }
    }

    /// Returns the bytes of a packet of kind `kind` for the container start with the number `start`. `body` appends the
    /// fields of that kind.
    static func writing(_ kind: UInt8, of start: UInt32, _ body: (inout [UInt8]) -> Void = { _ in }) -> [UInt8] {
        var bytes = [kind]
        bytes.appendLittleEndian(start)
        body(&bytes)
        return bytes
    }
}

extension [UInt8] {
    mutating func append(text: String) {
        appendLittleEndian(UInt32(truncatingIfNeeded: text.utf8.count))
        append(contentsOf: text.utf8)
    }

    mutating func append(_ range: ByteRange) {
        appendLittleEndian(range.offset)
        appendLittleEndian(range.end)
    }

    /// Appends a list. Items beyond ``AnalyzerPacket/maximumItems`` are left out.
    mutating func append<Item>(list: [Item], _ item: (inout [UInt8], Item) -> Void) {
        let list = list.prefix(AnalyzerPacket.maximumItems)
        appendLittleEndian(UInt16(truncatingIfNeeded: list.count))
        for element in list { item(&self, element) }
    }
}
