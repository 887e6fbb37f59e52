public import Base

/// A streaming decoder of extents (the smallest decodable pieces of a blob), one after the other. The caller passes
/// compressed bytes as they arrive and receives decoded bytes.
///
/// Each decoding thread keeps a decoder and calls ``reset(_:)`` for each extent. The decoder creates the contexts of
/// the gzip and zstd libraries on first use and keeps them. The gzip context takes 88 KiB of memory. The zstd context
/// takes 160 KiB plus the largest window so far. Apart from that, ``decode(_:into:)`` allocates nothing.
///
/// A caller that wants only the first bytes of an extent can stop once it has them. It does not have to fetch or decode
/// the rest. In an eStargz layer, the rest of a gzip member is padding and the tar headers of the next entries.
///
/// Not `Sendable`: it belongs to one thread at a time.
public final class ExtentDecoder {
    /// The default limit of a zstd window, as an exponent of two: 512 MiB, as in containerd's decoder
    /// (klauspost/compress). The limit must be over 8 MiB, because skopeo and buildah declare larger windows by
    /// default.
    ///
    /// libzstd reserves the address space of a whole window, but touches only as much memory as it decodes.
    public static let standardWindowLog = 29

    private var codec = Codec.raw
    private var gzip: GzipDecoder?
    private var zstd: ZstdDecoder?
    private let maximumWindowLog: Int

    /// - Parameter maximumWindowLog: the largest accepted zstd window, as an exponent of two. It bounds the decoder's
    ///   memory.
    public init(maximumWindowLog: Int = ExtentDecoder.standardWindowLog) {
        self.maximumWindowLog = maximumWindowLog
    }

    /// Resets all state for a new extent in `codec`. This also recovers the decoder after an error. With
    /// ``Codec/deflate``, decoding begins at the start of a stream. For any other position in a stream, use
    /// ``reset(_:window:)``.
    public func reset(_ codec: Codec) {
        guard codec != .deflate else { return reset(.start, window: []) }
        self.codec = codec
        gzip?.reset()
        zstd?.reset()
    }

    /// Resets all state for data that begins in the middle of a DEFLATE stream.
    ///
    /// - Parameter window: the decoded data before the restart point. Only the last 32 KiB matter. The caller may
    ///   replace bytes with zeros if the data after the restart point does not refer to them.
    public func reset(_ restart: DeflateRestart, window: [UInt8]) {
        codec = .deflate
        let decoder = gzip ?? GzipDecoder()
        gzip = decoder
        decoder.reset(restart, window: window)
    }

    /// Decodes as much of `input` as fits into `output`. If the output is full, decoded bytes may remain in the
    /// decoder. The next call returns them, even without input.
    ///
    /// The end of the input is not an error. A caller that receives fewer bytes than it expects must treat the extent
    /// as truncated.
    ///
    /// - Returns: `consumed` is the number of input bytes used; the caller passes the unused bytes again. `produced` is
    ///   the number of bytes written to the start of `output`. `finished` is true if the consumed input ends with the
    ///   end of a gzip member, a DEFLATE stream or a zstd frame. After a member or a frame, more input continues with
    ///   the next one. A raw extent is never `finished`.
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
