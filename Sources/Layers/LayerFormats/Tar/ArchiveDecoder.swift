public import Base
public import Codecs

/// Gives a layer's archive, or part of it, while its blob passes by, whatever that is compressed with.
///
/// Not `Sendable`: it belongs to one thread at a time.
public final class ArchiveDecoder {
    private let decoder: ExtentDecoder
    /// Set once the blob's format is known.
    private var isBegun: Bool
    private let isPart: Bool
    /// Set for a blob that is the bare archive.
    private var isRaw = false
    /// The first bytes, until there are enough to tell what they are.
    private var held: [UInt8] = []
    private var isWithin = false
    private let output = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 4096)

    /// - Parameter decoder: a decoder ready for the first byte of a part of a blob; `nil` for a whole blob, whose
    ///   start names its format. Bytes after the end of a stream within a part are skipped.
    public init(_ decoder: ExtentDecoder? = nil) {
        self.decoder = decoder ?? ExtentDecoder()
        isBegun = decoder != nil
        isPart = decoder != nil
    }

    deinit {
        output.deallocate()
    }

    /// Takes the next bytes of the blob. `sink` receives the decoded bytes in pieces, valid during the call only.
    public func push(
        _ bytes: UnsafeRawBufferPointer, _ sink: (UnsafeRawBufferPointer) throws(LayerFormatError) -> Void
    ) throws(LayerFormatError) {
        guard !isBegun else { return try decode(bytes, sink) }
        held.append(contentsOf: bytes)
        if held.count >= 4 { try begin(sink) }
    }

    /// Says that the blob is over.
    public func finish(
        _ sink: (UnsafeRawBufferPointer) throws(LayerFormatError) -> Void
    ) throws(LayerFormatError) {
        if !isBegun { try begin(sink) }
        guard !isWithin else {
            throw LayerFormatError(.badArchive, "the blob ends within what it is compressed in")
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
