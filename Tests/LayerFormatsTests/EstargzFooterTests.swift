import Base
import LayerFormats
import TestSupport
import Testing

@Suite struct EstargzFooterTests {
    static func parse(_ bytes: [UInt8]) -> EstargzFooter? {
        bytes.withUnsafeBytes { EstargzFooter(tail: $0) }
    }

    @Test func standardRoundTrip() {
        for offset in stride(from: UInt64(0), through: 200_000, by: 1023) {
            let bytes = EstargzBlob.footer(tocOffset: offset)
            #expect(bytes.count == 51)
            #expect(Self.parse(bytes) == .internalTOC(offset: offset, footerSize: 51))
            #expect(Self.parse([1, 2, 3] + bytes) == .internalTOC(offset: offset, footerSize: 51))
        }
    }

    @Test func legacyRoundTrip() {
        for offset in stride(from: UInt64(0), through: 200_000, by: 1023) {
            let bytes = EstargzBlob.legacyFooter(tocOffset: offset)
            #expect(bytes.count == 47)
            #expect(Self.parse([0, 0, 0, 0] + bytes) == .internalTOC(offset: offset, footerSize: 47))
        }
    }

    @Test func external() {
        let bytes = EstargzBlob.externalFooter()
        #expect(bytes.count == 46)
        #expect(Self.parse([UInt8](repeating: 7, count: 5) + bytes) == .externalTOC(footerSize: 46))
    }

    @Test func theLargestOffsetIsRead() {
        #expect(
            Self.parse(EstargzBlob.footer(tocOffset: .max)) == .internalTOC(offset: .max, footerSize: 51))
    }

    /// Rejects a gzip member whose extra field is absent, empty, too short, or of another application.
    @Test(arguments: [[], [0], [0, 0], Array("SG".utf8), Array("SG\u{16}\0".utf8), Array("XY\u{2}\0ab".utf8)])
    func otherExtraFields(extra: [UInt8]) {
        #expect(Self.parse(EstargzBlob.emptyMember(extra: extra)) == nil)
        #expect(Self.parse([UInt8](repeating: 0, count: 60) + EstargzBlob.emptyMember(extra: extra)) == nil)
    }

    @Test(arguments: [
        EstargzBlob.footer(tocOffset: 0x1234), EstargzBlob.legacyFooter(tocOffset: 0x1234),
        EstargzBlob.externalFooter(),
    ])
    func everyBitCounts(footer: [UInt8]) throws {
        let whole = try #require(Self.parse(footer))
        for bit in 0..<8 * footer.count {
            var bytes = footer
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            // A changed digit gives another offset. Any other change makes the footer invalid.
            if let parsed = Self.parse(bytes) {
                guard case .internalTOC(let offset, _) = parsed else {
                    Issue.record("bit \(bit) is not looked at")
                    continue
                }
                #expect(parsed != whole && offset != 0x1234)
            }
        }
        for count in 0..<footer.count { #expect(Self.parse(Array(footer[(footer.count - count)...])) == nil) }
    }
}
