import Codecs

extension FuzzTarget {
    /// A compressed blob. The first byte chooses the codec and the size of the pieces; the scanner and the decoder of
    /// one extent must neither trap nor stall.
    static let codecs = FuzzTarget("FuzzCodecs") { input in
        guard let first = input.first, let codec = Codec(rawValue: first & 3) else { return }
        let blob = UnsafeRawBufferPointer(rebasing: input.dropFirst())
        let pieceSize = first & 4 == 0 ? Int.max : 1 + Int(first >> 3)
        decode(blob, codec, pieceSize: pieceSize)
        scan(blob, pieceSize: pieceSize)
    }

    /// The most decoded bytes that a target looks at.
    private static let outputLimit = 1 << 20
    /// The longest window of DEFLATE (RFC 1951).
    private static let longestWindow = 32 << 10

    private static func decode(_ blob: UnsafeRawBufferPointer, _ codec: Codec, pieceSize: Int) {
        let decoder = ExtentDecoder()
        decoder.reset(codec)
        feed(blob, pieceSize: pieceSize) { (piece, output) throws(CodecError) in
            let step = try decoder.decode(piece, into: output)
            return (step.consumed, step.produced, step.consumed == 0 && step.produced == 0)
        }
    }

    private static func scan(_ blob: UnsafeRawBufferPointer, pieceSize: Int) {
        let scanner = LayerScanner()
        var last: UInt64?
        feed(blob, pieceSize: pieceSize) { (piece, output) throws(CodecError) in
            let step = try scanner.scan(piece, into: output)
            if let boundary = step.boundary {
                precondition(last.map { $0 < boundary.offset } ?? true, "extents that do not follow each other")
                precondition(boundary.offset <= UInt64(blob.count))
                last = boundary.offset
            }
            while let window = scanner.takeWindow() { precondition(window.bytes.count <= longestWindow) }
            return (step.consumed, step.produced, step.isIdle)
        }
        try? scanner.finish()
    }

    /// Offers `blob` in pieces until the step is idle with the last piece, fails, or produced enough.
    private static func feed(
        _ blob: UnsafeRawBufferPointer, pieceSize: Int,
        _ step: (UnsafeRawBufferPointer, UnsafeMutableRawBufferPointer) throws(CodecError) -> (
            consumed: Int, produced: Int, isIdle: Bool
        )
    ) {
        var output = [UInt8](repeating: 0, count: 4096)
        var (position, end, produced) = (0, min(pieceSize, blob.count), 0)
        while produced < outputLimit {
            let piece = UnsafeRawBufferPointer(rebasing: blob[position..<end])
            let result = output.withUnsafeMutableBytes { buffer in
                Result { () throws(CodecError) in try step(piece, buffer) }
            }
            guard case .success(let done) = result else { return }
            precondition(done.consumed <= piece.count && done.produced <= 4096)
            position += done.consumed
            produced += done.produced
            if done.isIdle {
                guard end < blob.count else { return }
                end += min(pieceSize, blob.count - end)
            }
        }
    }
}
