import Base
import Testing

struct ByteRangeTests {
    @Test("rejects an overflowing range") func rejectsOverflowingRange() {
        #expect(ByteRange(offset: .max, count: 1) == nil)
        #expect(ByteRange(offset: .max, count: 0)?.end == .max)
    }

    @Test("contains and overlaps compare ranges") func containsAndOverlapsCompareRanges() {
        let range = ByteRange(offset: 10, end: 20)
        #expect(range.contains(10) && range.contains(19) && !range.contains(20) && !range.contains(9))
        #expect(range.contains(ByteRange(offset: 10, end: 20)) && !range.contains(ByteRange(offset: 10, end: 21)))
        #expect(range.overlaps(ByteRange(offset: 19, end: 30)) && !range.overlaps(ByteRange(offset: 20, end: 30)))
        #expect(!range.overlaps(ByteRange(offset: 15, end: 15)))
        #expect(ByteRange(offset: 20, end: 10).isEmpty)
    }
}

struct LittleEndianTests {
    @Test("returns nil out of bounds", arguments: [-1, 1, 5, Int.max, Int.min]) func returnsNilOutOfBounds(
        _ offset: Int
    ) {
        let bytes: [UInt8] = [1, 2, 3, 4]
        bytes.withUnsafeBytes { #expect($0.littleEndian(UInt32.self, at: offset) == nil) }
        let span = bytes.span.bytes
        let value = span.littleEndian(UInt32.self, at: offset)
        #expect(value == nil)
    }

    @Test("reads back written integers") func readsBackWrittenIntegers() {
        var bytes: [UInt8] = []
        bytes.appendLittleEndian(UInt16(0x0102))
        bytes.appendLittleEndian(UInt64(0x1122_3344_5566_7788))
        bytes.setLittleEndian(UInt16(0xa0b0), at: 0)
        bytes.withUnsafeBytes { raw in
            #expect(raw.littleEndian(UInt16.self, at: 0) == 0xa0b0)
            #expect(raw.littleEndian(UInt64.self, at: 2) == 0x1122_3344_5566_7788)
        }
        #expect(bytes[2] == 0x88)
    }
}
