import Base
import Codecs
import TestSupport
import Testing

/// Truncated and damaged input, and input that tries to exhaust memory.
@Suite struct DamagedInputTests {
    static let data = Samples.text(bytes: 20_000, seed: 1)

    /// Decodes all of `stored`; `nil` if it throws.
    private func decode(_ stored: [UInt8], _ codec: Codec) -> (decoded: [UInt8], finished: Bool)? {
        guard
            let result = try? decodeAll(stored, codec: codec, inputPiece: 1000, outputPiece: 3000, limit: 1 << 20)
        else { return nil }
        return (result.decoded, result.finished)
    }

    @Test("a truncated stream yields a prefix and no end", arguments: [Codec.gzip, .zstd])
    func truncatedStreamYieldsPrefixAndNoEnd(codec: Codec) {
        let stored = Compressed.member(Self.data, codec: codec)
        for count in 1..<stored.count {
            // The output is a prefix of the data, and the end is not reported.
            guard let result = decode(Array(stored[..<count]), codec) else { continue }
            #expect(!result.finished)
            #expect(Self.data.starts(with: result.decoded))
        }
    }

    @Test("a flipped bit never yields wrong data", arguments: [Codec.gzip, .zstd])
    func flippedBitNeverYieldsWrongData(codec: Codec) {
        let stored = Compressed.member(Self.data, codec: codec)
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed: seed)
        for place in stored.indices {
            var damaged = stored
            damaged[place] ^= 1 << UInt8(random.next() % 8)
            // The checksum covers the data: output that finishes is correct.
            if let result = decode(damaged, codec), result.finished {
                #expect(result.decoded == Self.data, "seed \(seed), byte \(place)")
            }
        }
    }

    @Test("noise fails and a reset decoder recovers", arguments: [Codec.gzip, .zstd])
    func noiseFailsAndResetDecoderRecovers(codec: Codec) throws {
        let decoder = ExtentDecoder()
        decoder.reset(codec)
        let error = #expect(throws: CodecError.self) {
            try Samples.noise(bytes: 1000, seed: 2).withUnsafeBytes { input in
                var output = [UInt8](repeating: 0, count: 1000)
                return try output.withUnsafeMutableBytes { try decoder.decode(input, into: $0) }
            }
        }
        #expect(error?.code == .corrupt)
        // After an error, a reset decoder works like a new one.
        let stored = Compressed.member(Self.data, codec: codec)
        let again = try decodeAll(stored, codec: codec, decoder: decoder, inputPiece: 100, outputPiece: 100)
        #expect(again.decoded == Self.data)
    }

    /// Many megabytes of zeros in a few bytes: the decoder writes no more than fits.
    @Test("a decompression bomb writes no more than fits", arguments: [Codec.gzip, .zstd])
    func decompressionBombWritesNoMoreThanFits(codec: Codec) throws {
        let stored = Compressed.member([UInt8](repeating: 0, count: 64 << 20), codec: codec)
        let decoder = ExtentDecoder()
        decoder.reset(codec)
        var output = [UInt8](repeating: 0xaa, count: 1000)
        let step = try stored.withUnsafeBytes { input in
            try output.withUnsafeMutableBytes { try decoder.decode(input, into: .init(rebasing: $0[..<990])) }
        }
        #expect(step.produced == 990 && !step.finished)
        #expect(output[989] == 0 && output[990...].allSatisfy { $0 == 0xaa })
    }

    @Test("decodes consecutive members", arguments: [Codec.gzip, .zstd])
    func decodesConsecutiveMembers(codec: Codec) throws {
        let parts = [Samples.text(bytes: 5000, seed: 3), [], Samples.noise(bytes: 5000, seed: 4), Self.data]
        let stored = parts.flatMap { Compressed.member($0, codec: codec) }
        for piece in [1, 100, 1 << 20] {
            let result = try decodeAll(stored, codec: codec, inputPiece: piece, outputPiece: 4000)
            #expect(result.decoded == Array(parts.joined()))
            #expect(result.finished && result.consumed == stored.count)
        }
        #expect(decode(stored + Array("and then this".utf8), codec) == nil)
    }

    /// Decoded bytes that did not fit arrive without more input.
    @Test("returns held-back bytes without input", arguments: [Codec.gzip, .zstd])
    func returnsHeldBackBytesWithoutInput(codec: Codec) throws {
        let stored = Compressed.member(Self.data, codec: codec)
        let decoder = ExtentDecoder()
        decoder.reset(codec)
        var decoded: [UInt8] = []
        var rest = stored[...]
        var output = [UInt8](repeating: 0, count: 100)
        while decoded.count < Self.data.count {
            let step = try rest.withUnsafeBytes { input in
                try output.withUnsafeMutableBytes { try decoder.decode(input, into: $0) }
            }
            rest = rest.dropFirst(step.consumed)
            decoded += output[..<step.produced]
            guard step.produced > 0 else { break }
        }
        #expect(decoded == Self.data)
        let nothing = try decoder.decode(
            UnsafeRawBufferPointer(start: nil, count: 0), into: UnsafeMutableRawBufferPointer(start: nil, count: 0))
        #expect(nothing.consumed == 0 && nothing.produced == 0)
    }

    /// A zstd frame declares its window: one over the limit is refused before memory is allocated.
    @Test("rejects a zstd window over the limit") func rejectsZstdWindowOverLimit() throws {
        func decode(_ log: Int32, _ decoder: ExtentDecoder) throws -> [UInt8] {
            let stored = Compressed.zstd(Self.data, windowLog: log)
            return try decodeAll(stored, codec: .zstd, decoder: decoder, inputPiece: 1000, outputPiece: 1000).decoded
        }
        let decoder = ExtentDecoder()
        for log: Int32 in [23, 25, 27] { #expect(try decode(log, decoder) == Self.data) }
        let error = #expect(throws: CodecError.self) { try decode(24, ExtentDecoder(maximumWindowLog: 23)) }
        #expect(error?.code == .unsupported)
        #expect(try decode(24, ExtentDecoder(maximumWindowLog: 24)) == Self.data)
        #expect(throws: CodecError.self) { try decode(21, ExtentDecoder(maximumWindowLog: 20)) }
    }

    @Test("a decoder switches between codecs") func decoderSwitchesBetweenCodecs() throws {
        let decoder = ExtentDecoder()
        for codec in [Codec.gzip, .raw, .zstd, .gzip, .zstd, .raw] {
            let stored = Compressed.member(Self.data, codec: codec)
            let result = try decodeAll(stored, codec: codec, decoder: decoder, inputPiece: 777, outputPiece: 999)
            #expect(result.decoded == Self.data)
        }
    }
}
