public import Base

/// A decoder of one extent from its start: compressed bytes in as they arrive, decoded bytes out.
///
/// A worker keeps one and calls ``reset(_:)`` for each extent. The libraries' contexts are created on first use and
/// live as long as the decoder (gzip 88 KiB; zstd 160 KiB and the largest window so far). ``decode(_:into:)`` itself
/// allocates nothing.
///
/// A caller that wants only the first bytes of an extent stops once it has them. The rest of an eStargz member
/// (padding, the tar headers of the next entries) has to be neither fetched nor decoded.
///
/// Not `Sendable`: it belongs to one thread at a time.
public final class ExtentDecoder {
    /// The default limit of a zstd window, as a power of two: 8 MiB. RFC 8878 §3.1.1.1.2 asks every decoder to support
    /// it, and image encoders exceed it only on request.
    public static let standardWindowLog = 23

    private var codec = Codec.raw
    private var gzip: GzipDecoder?
    private var zstd: ZstdDecoder?
    private let maximumWindowLog: Int

    /// - Parameter maximumWindowLog: the largest accepted zstd window, as a power of two. It bounds the decoder's
    ///   memory.
    public init(maximumWindowLog: Int = ExtentDecoder.standardWindowLog) {
        self.maximumWindowLog = maximumWindowLog
    }

    /// Resets all state, also after an error, for a new extent in `codec`. A ``Codec/deflate`` extent begins at the
    /// start of a stream; for any other place see ``reset(_:window:)``.
    public func reset(_ codec: Codec) {
        guard codec != .deflate else { return reset(.start, window: []) }
        self.codec = codec
        gzip?.reset()
        zstd?.reset()
    }

    /// Resets all state for data from within a DEFLATE stream. `window` is the decoded data before it; its last 32 KiB
    /// count, and bytes without references may be zeros.
    public func reset(_ restart: DeflateRestart, window: [UInt8]) {
        codec = .deflate
        let decoder = gzip ?? GzipDecoder()
        gzip = decoder
        decoder.reset(restart, window: window)
    }

    /// Decodes as much of `input` as fits `output`. If the output is full, decoded bytes may remain in the decoder; the
    /// next call returns them, even without input.
    ///
    /// - Returns: the number of input bytes consumed (the caller passes the rest again), the number of bytes written to
    ///   the start of `output`, and whether a gzip member or zstd frame ends exactly here. After `finished`, more input
    ///   continues with the next member or frame. An extent whose input ends before the wanted bytes is truncated; a
    ///   raw extent is never `finished`.
    /// - Throws: ``CodecError``. Reset the decoder before further use.
    public func decode(
        _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(CodecError) -> (consumed: Int, produced: Int, finished: Bool) {
        switch codec {
        case .raw:
            let count = min(input.count, output.count)
            if count > 0 {
                output.copyMemory(from: UnsafeRawBufferPointer(rebasing: input[..<count]))
            }
            return (count, count, false)
        case .gzip, .deflate:
            if let gzip { return try gzip.decode(input, into: output) }
            let made = GzipDecoder()
            gzip = made
            return try made.decode(input, into: output)
        case .zstd:
            if let zstd { return try zstd.decode(input, into: output) }
            guard let made = ZstdDecoder(maximumWindowLog: maximumWindowLog) else {
                throw CodecError(.outOfMemory, "no memory for a zstd decoder")
            }
            zstd = made
            return try made.decode(input, into: output)
        }
    }
}
