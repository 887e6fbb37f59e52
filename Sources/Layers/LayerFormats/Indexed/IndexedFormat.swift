public import Base
import LayerIndex

/// The format of an ordinary layer, which has no table of contents. Its index is in the image's streaming artifact
/// (``LayerIndexBlob``).
public struct IndexedFormat: LayerFormat {
    public let name = "artifact index"

    public init() {}

    public func isAnnounced(by layer: LayerDescription) -> Bool { layer.index != nil }

    public func pin(in layer: LayerDescription) -> Digest? { layer.index?.digest }

    public func mayBe(_ layer: LayerDescription) -> Bool { false }

    public func opener(for layer: LayerDescription, options: LayerOpenOptions) -> any LayerOpener {
        IndexedOpener(layer)
    }
}

/// An opener that uses the index in a streaming artifact.
///
/// The opener refuses an index that states another layer's digest. It also refuses an index whose diff ID, source blob
/// or windows blob differs from ``LayerDescription/index``. The opener verifies no file content: chunk digests verify
/// content when it is fetched.
private struct IndexedOpener: LayerOpener {
    private enum State {
        case start, waiting
        case ready([UInt8])
        case over
    }

    private let layer: LayerDescription
    private var state = State.start
    private var memoryLimit = UInt64.max

    init(_ layer: LayerDescription) {
        self.layer = layer
    }

    mutating func next(by deadline: WorkDeadline) throws(LayerFormatError) -> OpenStep {
        guard let announced = layer.index else {
            throw LayerFormatError(.unverified, "layer \(layer.digest) has no index in an artifact")
        }
        switch state {
        case .start, .waiting:
            state = .waiting
            return .readCompanion(.index(announced.digest))
        case .ready(let bytes):
            state = .over
            return .done(try index(bytes, announced, by: deadline))
        case .over: throw LayerFormatError(.badResponse, "nothing more to do for \(layer.digest)")
        }
    }

    var memory: OpeningMemory? {
        guard case .ready(let bytes) = state else { return nil }
        let need = Self.memory(UInt64(bytes.count), decoded: LayerIndexBlob.decodedSize(of: bytes) ?? 0)
        return OpeningMemory(least: need, most: need)
    }

    mutating func limitMemory(to bytes: UInt64) {
        memoryLimit = bytes
    }

    private static func memory(_ encoded: UInt64, decoded: UInt64) -> UInt64 {
        // The verification of a tree takes as much as the tree at most, and so does that of a chunk table.
        OpeningMemory.base.plus(encoded).plus(decoded.times(2))
    }

    mutating func receive(_ bytes: [UInt8], range: ByteRange, blobSize: UInt64) throws(LayerFormatError) {
        state = .over
        throw LayerFormatError(.badResponse, "bytes of blob \(layer.digest) that were not asked for")
    }

    mutating func receiveCompanion(_ bytes: [UInt8]) throws(LayerFormatError) {
        guard case .waiting = state else {
            state = .over
            throw LayerFormatError(.badResponse, "an index of \(layer.digest) that was not asked for")
        }
        state = .ready(bytes)
    }

    private func index(
        _ bytes: [UInt8], _ announced: LayerDescription.Index, by deadline: WorkDeadline
    ) throws(LayerFormatError) -> LayerIndexBytes {
        let size = LayerIndexBlob.decodedSize(of: bytes) ?? 0
        guard Self.memory(UInt64(bytes.count), decoded: size) <= memoryLimit else {
            throw LayerFormatError(
                .limit, "the index \(announced.digest) of layer \(layer.digest) decodes to \(size) bytes")
        }
        let blob = try LayerIndexBlob(bytes: bytes)
        let isAnnounced: Bool
        do throws(LayerIndexError) {
            isAnnounced = try ChunkTable.withTable(of: blob.index.chunks) { table in
                (table.blobDigest, table.blobSize) == announced.source && table.windows?.digest == announced.windows
            }
            // We build the trees of the other formats ourselves. This one comes from outside.
            try TreeImage.verify(blob.index.tree, by: deadline)
        } catch {
            throw LayerFormatError(
                error.code == .deadline ? .deadline : .badTOC, "the index \(announced.digest) of layer \(layer.digest)",
                cause: error)
        }
        guard blob.blobDigest == layer.digest, blob.diffID == announced.diffID, isAnnounced else {
            throw LayerFormatError(
                .badTOC, "layer \(layer.digest): the index \(announced.digest) is of another layer")
        }
        return blob.index
    }
}
