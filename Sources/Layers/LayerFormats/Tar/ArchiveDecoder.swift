public import Base
public import Codecs

/// A streaming decoder of a layer's blob, or of a part of the blob. The output is the layer's uncompressed tar archive,
/// or the corresponding part of the archive. A whole blob may be uncompressed, or compressed with gzip or zstd.
///
/// Not `Sendable`: it belongs to one thread at a time.
public final class ArchiveDecoder {
    private let decoder: ExtentDecoder
    /// True once the blob's compression is known.
    private var isBegun: Bool
    private let isPart: Bool
    /// True if the blob is an uncompressed archive.
    private var isRaw = false
    /// The first bytes of the blob, until there are four, which identify the compression.
    private var held: [UInt8] = []
    private var isWithin = false
    private let output = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 4096)

    /// - Parameter decoder: `nil` to decode a whole blob, whose first bytes identify its compression. To decode a part
    ///   of a blob, pass a decoder that was reset for the part's first byte. In a part that begins within a DEFLATE
    ///   stream, bytes after the end of the stream are ignored.
    public init(_ decoder: ExtentDecoder? = nil) {
        self.decoder = decoder ?? ExtentDecoder()
        isBegun = decoder != nil
        isPart = decoder != nil
    }

    deinit {
        output.deallocate()
    }

    /// Decodes the next bytes of the blob. `sink` receives the decoded bytes in pieces. A piece is valid only during
    /// the call of `sink` that receives it.
    public func push(
        _ bytes: UnsafeRawBufferPointer, _ sink: (UnsafeRawBufferPointer) throws(LayerFormatError) -> Void
    ) throws(LayerFormatError) {
        guard !isBegun else { return try decode(bytes, sink) }
        held.append(contentsOf: bytes)
        if held.count >= 4 { try begin(sink) }
    }

    /// Completes the decoding after the last byte was pushed. `sink` receives the remaining decoded bytes.
    ///
    /// - Throws: `badArchive` if the compressed stream is truncated.
    public func finish(
        _ sink: (UnsafeRawBufferPointer) throws(LayerFormatError) -> Void
    ) throws(LayerFormatError) {
        if !isBegun { try begin(sink) }
        guard !isWithin else {
            throw LayerFormatError(.badArchive, "truncated compressed stream")
        }
    }

    private func begin(
        _ sink: (UnsafeRawBufferPointer) throws(LayerFormatError) -> Void
    ) throws(LayerFormatError) {
        let all = held
        held = []
        let codec = Codec(startOf: all)
        decoder.reset(codec)
        (isBegun, isRaw) = (true, codec == .raw)
        try all.withUnsafeBufferPointer { (all) throws(LayerFormatError) in
            try decode(UnsafeRawBufferPointer(all), sink)
        }
    }

    private func decode(
        _ bytes: UnsafeRawBufferPointer, _ sink: (UnsafeRawBufferPointer) throws(LayerFormatError) -> Void
    ) throws(LayerFormatError) {
        guard !isRaw else {
            if !bytes.isEmpty { try sink(bytes) }
            return
        }
        var position = 0
        while true {
            let step: (consumed: Int, produced: Int, finished: Bool)
            do throws(CodecError) {
                step = try decoder.decode(UnsafeRawBufferPointer(rebasing: bytes[position...]), into: output)
            } catch {
                throw LayerFormatError(codec: error)
            }
            position += step.consumed
            if step.produced > 0 {
                try sink(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(output)[..<step.produced]))
            }
            if step.consumed > 0 || step.produced > 0 { isWithin = !step.finished }
            if position == bytes.count, step.produced < output.count { return }
            guard step.consumed > 0 || step.produced > 0 else {
                guard !isPart else { return }
                throw LayerFormatError(.badArchive, "compressed data that does not go on")
            }
        }
    }
}
