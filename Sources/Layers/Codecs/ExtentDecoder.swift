/// Decodes one extent from its start: compressed bytes in as they arrive, decoded bytes out.
///
/// A worker keeps one and calls ``reset(_:)`` for each extent: the contexts of the libraries are made at their first use
/// and then live as long as the decoder (gzip 88 KiB; zstd 160 KiB and the window of the largest frame so far). A call
/// to ``decode(_:into:)`` allocates nothing of its own.
///
/// A caller that wants only the first bytes of an extent stops calling once it has them: what follows them in an
/// eStargz member (padding, the tar headers of the next entries) need not be fetched nor decoded.
///
/// Not `Sendable`: it belongs to one thread at a time.
public final class ExtentDecoder {
    /// The largest zstd window taken by default, as a power of two: 8 MiB, what RFC 8878 §3.1.1.1.2 asks every decoder to
    /// support and what no encoder in use for images exceeds without being told to.
    public static let standardWindowLog = 23

    private var codec = Codec.raw
    private var gzip: GzipDecoder?
    private var zstd: ZstdDecoder?
    private let maximumWindowLog: Int

    /// - Parameter maximumWindowLog: zstd frames whose window is larger than two to this power are refused, so that it
    ///   bounds the memory of the decoder.
    public init(maximumWindowLog: Int = ExtentDecoder.standardWindowLog) {
        self.maximumWindowLog = maximumWindowLog
    }

    /// Forgets everything about the extent before, also after an error, and expects the first byte of one in `codec`.
    /// ``Codec/deflate`` is expected at the start of a stream; for any other place see ``reset(_:window:)``.
    public func reset(_ codec: Codec) {
        guard codec != .deflate else { return reset(.start, window: []) }
        self.codec = codec
        gzip?.reset()
        zstd?.reset()
    }

    /// As ``reset(_:)``, and expects what follows a place within a DEFLATE stream; `window` is what was decoded before it,
    /// as far as what follows refers to it (its end counts, at most 32 KiB).
    public func reset(_ restart: DeflateRestart, window: [UInt8]) {
        codec = .deflate
        let decoder = gzip ?? GzipDecoder()
        gzip = decoder
        decoder.reset(restart, window: window)
    }

    /// Decodes as much of `input` as fits `output`. When the output was full, decoded bytes may have been held back: they
    /// come with the next call, which may be one without input.
    ///
    /// - Returns: how many bytes of `input` were used up (the caller offers the rest again), how many bytes were written
    ///   to the start of `output`, and whether a gzip member or zstd frame ends exactly here. After `finished`, more
    ///   input continues with the next member or frame. An extent that runs out of input before the wanted bytes have
    ///   come is truncated; a raw extent is never `finished`.
    /// - Throws: ``CodecError``; the decoder must then be reset before it is used again.
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
