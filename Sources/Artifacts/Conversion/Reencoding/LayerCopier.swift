import Artifacts
import Base
import Codecs
import LayerFormats
import Linux
import NIOPosix
import Registry

/// A copier of layers that can be decoded only from their beginning. An example is a layer that BuildKit pushed as one
/// large zstd frame.
///
/// A node can decode the copy in pieces. The copy holds the same archive, with one zstd frame for each
/// ``LayerScanner/span`` bytes of the archive.
struct LayerCopier {
    /// The zstd level, the same as in ``LayerReencoder``.
    private static let level: Int32 = 9
    /// The number of frames that one thread compresses in one step.
    private static let framesAtOnce = 4

    let registry: RegistryClient
    let workers: NIOThreadPool
    let scratch: String

    /// Reads a layer, and pushes its copy to the same repository. Returns the copy's descriptor and the layer's index.
    /// The extents in the index are the zstd frames of the copy.
    ///
    /// - Parameters:
    ///   - diffID: the expected digest of the layer's archive. The method throws if the digest differs.
    ///   - read: called with the number of newly processed bytes of the layer.
    func copy(
        _ layer: Descriptor, diffID: Digest, in repository: Repository, read: @escaping @Sendable (Int) -> Void
    ) async throws -> (descriptor: Descriptor, indexed: IndexedLayer) {
        try await withTemporaryDirectory(in: scratch, prefix: "rivulet-copy-") { directory in
            let archive = try ScratchFile("\(directory)/archive")
            let size = try await registry.storeArchive(
                of: layer, diffID: diffID, in: repository, to: archive, on: workers, read: read
            ).size
            let file = try ScratchFile("\(directory)/blob")
            let descriptor = try await compress(archive, size: size, to: file)
            let indexed = try await index(descriptor, of: layer, in: file)
            try await registry.push(descriptor, in: file, to: repository, on: workers)
            return (descriptor, indexed)
        }
    }

    private func compress(_ archive: ScratchFile, size: UInt64, to file: ScratchFile) async throws -> Descriptor {
        let step = LayerScanner.span * UInt64(Self.framesAtOnce)
        let blob = Guarded(GrowingBlob(file))
        try await workers.inOrder(Int((size + step - 1) / step), atOnce: 2 * workers.numberOfThreads) { number in
            let start = UInt64(number) * step
            let end = min(start + step, size)
            var frames: [UInt8] = []
            for offset in stride(from: start, to: end, by: UInt64.Stride(LayerScanner.span)) {
                let range = ByteRange(offset: offset, end: min(offset + LayerScanner.span, end))
                frames += try archive.read(range).withUnsafeBytes { try ZstdEncoder.frame($0, level: Self.level) }
            }
            return frames
        } use: { frames in
            try blob.withLock { try $0.append(frames) }
        }
        return blob.withLock { $0.finish(StreamingArtifact.layerCopyType) }
    }

    private func index(_ copy: Descriptor, of layer: Descriptor, in file: ScratchFile) async throws -> IndexedLayer {
        // The lock makes the indexer `Sendable`. Only the thread that runs the current step uses it.
        let indexer = Guarded(LayerIndexer(layer: layer.digest, blobDigest: copy.digest, blobSize: copy.size))
        for offset in stride(from: 0, to: copy.size, by: 1 << 20) {
            try await workers.runIfActive {
                let bytes = try file.read(ByteRange(offset: offset, end: min(offset + 1 << 20, copy.size)))
                try indexer.withLock { indexer in try bytes.withUnsafeBytes { try indexer.push($0) } }
            }
        }
        return try await workers.runIfActive { try indexer.withLock { try $0.finish() } }
    }
}
