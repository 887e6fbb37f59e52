import Codecs
import TestSupport
import Testing

@Suite struct TarHeaderTests {
    private func parse(_ block: [UInt8]) throws(CodecError) -> TarHeader {
        try block.withUnsafeBufferPointer { (bytes) throws(CodecError) in try TarHeader(UnsafeRawBufferPointer(bytes)) }
    }

    @Test("reads back a written header") func readsBackWrittenHeader() throws {
        let header = try parse(TarWriter.header(.file("dir/name", [UInt8](repeating: 1, count: 12_345))))
        #expect(header.name == Array("dir/name".utf8) && header.type == UInt8(ascii: "0") && header.size == 12_345)
    }

    @Test("the checksum covers every byte") func checksumCoversEveryByte() {
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
    @Test("reads binary sizes") func readsBinarySizes() throws {
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

    @Test("reads every field") func readsEveryField() throws {
        let entry = TarEntry.node(.character, "dev/name", 4, 64).owned(by: 1000, 2000).modified(at: 1_234_567_890)
        let device = try parse(TarWriter.header(entry))
        #expect(device.type == UInt8(ascii: "3") && device.mode == 0o600 && device.modified == 1_234_567_890)
        #expect(device.uid == 1000 && device.gid == 2000 && device.deviceMajor == 4 && device.deviceMinor == 64)
        let link = try parse(TarWriter.header(.symlink("link", to: "some/target")))
        #expect(link.linkName == Array("some/target".utf8) && link.deviceMajor == 0)
    }

    @Test("reads negative numbers") func readsNegativeNumbers() throws {
        for value in [-1, -256, Int64.min, Int64.max, 1 << 33] {
            let block = TarBlock("0", "name", format: .gnu).with { $0.binary(value, at: 136, 12) }
            #expect(try parse(block.sealed()).modified == value)
        }
        // One bit more than fits into a signed 64-bit number.
        let large = TarBlock("0", "name").with {
            $0.binary(0, at: 136, 12)
            $0.bytes[140] = 0x80
        }
        #expect(throws: CodecError.self) { try parse(large.sealed()) }
    }

    /// Some writers put spaces or NULs before the digits, and nothing after them.
    @Test("reads padded octal numbers", arguments: ["  644 \0", "0000644 ", "00000644", "\0\0\0644\0", "644"])
    func readsPaddedOctalNumbers(text: String) throws {
        let block = TarBlock("0", "name").with { $0.put(text.utf8, at: 100, 8) }
        #expect(try parse(block.sealed()).mode == 0o644)
    }

    @Test("reads an empty number as zero") func readsEmptyNumberAsZero() throws {
        let block = TarBlock("0", "name").with {
            for offset in 100..<148 { $0.bytes[offset] = 0 }
        }
        let header = try parse(block.sealed())
        #expect(header.mode == 0 && header.uid == 0 && header.gid == 0 && header.size == 0 && header.modified == 0)
    }

    @Test("accepts a signed checksum") func acceptsSignedChecksum() throws {
        let block = TarBlock("0", "n\u{e4}me")
        #expect(block.sealed() != block.sealed(signed: true))
        #expect(try parse(block.sealed(signed: true)).name == parse(block.sealed()).name)
    }

    @Test("reads prefixes by format") func readsPrefixesByFormat() throws {
        let prefix = String(repeating: "p", count: 155)
        let lengths: [(TarBlock.Format, Int)] = [(.v7, 0), (.ustar, 155), (.star, 131), (.gnu, 155)]
        for (format, length) in lengths {
            let block = TarBlock("0", "name", format: format).with { $0.put(prefix.utf8, at: 345, 155) }
            #expect(try parse(block.sealed()).prefix.count == length, "\(format)")
        }
        // GNU tar stores times here, not text.
        let times = TarBlock("0", "name", format: .gnu).with {
            $0.octal(0o14_000_000_000, at: 345, 12)
            $0.octal(0o14_000_000_000, at: 357, 12)
        }
        #expect(try parse(times.sealed()).prefix.isEmpty)
        let noise = TarBlock("0", "name", format: .gnu).with { $0.put([0x39, 0xe4] as [UInt8], at: 345, 155) }
        #expect(try parse(noise.sealed()).prefix.isEmpty)
    }

    /// In place of the device, V7 has other data or none.
    @Test("reads devices by format") func readsDevicesByFormat() throws {
        for format in TarBlock.Format.allCases {
            let block = TarBlock("4", "name", format: format).with {
                $0.octal(8, at: 329, 8)
                $0.octal(1, at: 337, 8)
            }
            let header = try parse(block.sealed())
            #expect(header.deviceMajor == (format == .v7 ? 0 : 8), "\(format)")
            #expect(header.deviceMinor == (format == .v7 ? 0 : 1), "\(format)")
        }
        let bad = TarBlock("4", "name").with { $0.put("x".utf8, at: 329, 8) }
        #expect(throws: CodecError.self) { try parse(bad.sealed()) }
    }
}
