import Codecs
import TestSupport
import Testing

@Suite struct TarHeaderTests {
    private func parse(_ block: [UInt8]) throws(CodecError) -> TarHeader {
        try block.withUnsafeBufferPointer { (bytes) throws(CodecError) in try TarHeader(UnsafeRawBufferPointer(bytes)) }
    }

    @Test func readsWhatWasWritten() throws {
        let header = try parse(TarWriter.header(.file("dir/name", [UInt8](repeating: 1, count: 12_345))))
        #expect(header.name == Array("dir/name".utf8) && header.type == UInt8(ascii: "0") && header.size == 12_345)
    }

    @Test func everyByteIsInTheChecksum() {
        let good = TarWriter.header(.file("name", "contents"))
        for place in good.indices where !(148..<156).contains(place) {
            var block = good
            block[place] ^= 0x40
            #expect(throws: CodecError.self) { try parse(block) }
        }
        for count in [0, 1, 511] { #expect(throws: CodecError.self) { try parse(Array(good[..<count])) } }
        #expect(throws: CodecError.self) { try parse([UInt8](repeating: 0, count: 512)) }
    }

    /// GNU writes sizes of 8 GiB and more as a binary number.
    @Test func largeNumbers() throws {
        func header(size: [UInt8]) -> [UInt8] {
            var block = TarWriter.header(.file("name", ""))
            block.replaceSubrange(124..<136, with: size)
            block.replaceSubrange(148..<156, with: [UInt8](repeating: 0x20, count: 8))
            let sum = String(block.reduce(0) { $0 + Int($1) }, radix: 8)
            block.replaceSubrange(148..<148 + sum.utf8.count, with: sum.utf8)
            return block
        }
        #expect(try parse(header(size: [0x80, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1])).size == 3 << 32 | 1)
        #expect(throws: CodecError.self) { try parse(header(size: [UInt8](repeating: 0xff, count: 12))) }
        #expect(throws: CodecError.self) { try parse(header(size: [0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0])) }
        #expect(throws: CodecError.self) { try parse(header(size: Array("00000000089\0".utf8))) }
    }
}
