import Codecs
import NIOCore

/// A cursor over the buffers (the pieces) that together hold the compressed bytes of a ``DecodeJob``.
struct PieceCursor {
    private let pieces: [ByteBuffer]
    private var index = 0
    private var offset = 0

    init(_ pieces: [ByteBuffer]) {
        self.pieces = pieces
    }

    /// True if no pieces are left.
    var isAtEnd: Bool { index >= pieces.count }
    /// True if the next call of ``withPiece(_:)`` passes no bytes.
    var isEmptyPiece: Bool { index >= pieces.count || pieces[index].readableBytes == offset }

    /// Passes the rest of the current piece to `body`, and advances the cursor by the number of bytes that `body`
    /// consumed. Returns the result of `body`. If no piece is left, passes an empty buffer, because a decoder in `body`
    /// may still have output.
    mutating func withPiece(
        _ body: (UnsafeRawBufferPointer) throws(CodecError) -> (consumed: Int, produced: Int)
    ) throws(CodecError) -> (consumed: Int, produced: Int) {
        guard index < pieces.count else { return try body(UnsafeRawBufferPointer(start: nil, count: 0)) }
        let result = pieces[index].withUnsafeReadableBytes { bytes in
            Result { () throws(CodecError) in try body(UnsafeRawBufferPointer(rebasing: bytes[offset...])) }
        }
        let (consumed, produced) = try result.get()
        offset += consumed
        if offset >= pieces[index].readableBytes {
            index += 1
            offset = 0
        }
        return (consumed, produced)
    }
}
