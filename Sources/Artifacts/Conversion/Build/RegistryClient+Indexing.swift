import Artifacts
import Base
import LayerFormats
import NIOCore
import NIOPosix
import Registry

extension RegistryClient {
    /// Reads the blob of a layer and builds its index as the bytes arrive.
    ///
    /// - Parameter read: called with the number of processed bytes.
    /// - Throws: `RegistryError`, or `LayerFormatError` for a blob that is not a layer, or another one than `layer`
    ///   names.
    func index(
        _ layer: Descriptor, in repository: Repository, on workers: NIOThreadPool,
        read: @Sendable (Int) -> Void = { _ in }
    ) async throws -> IndexedLayer {
        // In a box: it belongs to one thread at a time, which is the one that runs the step.
        let indexer = Guarded(LayerIndexer(blobDigest: layer.digest, blobSize: layer.size))
        try await readWhole(layer, in: repository, on: workers, read: read) { bytes in
            try indexer.withLock { try $0.push(bytes) }
        }
        return try await workers.runIfActive { try indexer.withLock { try $0.finish() } }
    }
}
