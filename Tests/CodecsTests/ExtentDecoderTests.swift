import Codecs
import TestSupport
import Testing

@Suite struct ExtentDecoderTests {
    @Test("decodes input in pieces", arguments: [Codec.raw, .gzip, .zstd], [1, 7, 4096, 1 << 20])
    func decodesInputInPieces(codec: Codec, piece: Int) throws {
        let data = Samples.text(bytes: 300_000, seed: 7)
        let stored = Compressed.member(data, codec: codec)
        let (decoded, consumed, finished) = try decodeAll(stored, codec: codec, inputPiece: piece, outputPiece: 5000)
        #expect(decoded == data)
        #expect(consumed == stored.count)
        #expect(finished == (codec != .raw))
    }
}

/// Feeds `stored` in pieces until it is consumed and no output is left.
func decodeAll(
    _ stored: [UInt8], codec: Codec, decoder: ExtentDecoder = ExtentDecoder(), inputPiece: Int, outputPiece: Int,
    limit: Int = .max
) throws -> (decoded: [UInt8], consumed: Int, finished: Bool) {
    decoder.reset(codec)
    var decoded: [UInt8] = []
    var position = 0
    var finished = false
    var output = [UInt8](repeating: 0, count: outputPiece)
    while decoded.count < limit {
        let end = min(position + inputPiece, stored.count)
        let step = try stored[position..<end].withUnsafeBytes { input in
            try output.withUnsafeMutableBytes { try decoder.decode(input, into: $0) }
        }
        position += step.consumed
        decoded += output[..<step.produced]
        finished = step.finished
        if step.consumed == 0, step.produced == 0, position == stored.count || end == stored.count { break }
    }
    return (decoded, position, finished)
}
