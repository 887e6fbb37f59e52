import Artifacts
import Base
import LayerFormats
import NIOCore
import NIOPosix
import Registry

extension RegistryClient {
    /// Reads the blob of a layer, and builds the layer index as the bytes arrive.
    ///
    /// - Parameter read: called with the number of newly processed bytes.
    /// - Throws: `RegistryError`, or `LayerFormatError` if the blob is not a layer, does not match the descriptor's
    ///   digest, or cannot be decoded in parts (`undivided`).
    func index(
        _ layer: Descriptor, in repository: Repository, on workers: NIOThreadPool,
        read: @Sendable (Int) -> Void = { _ in }
    ) async throws -> IndexedLayer {
        // The lock makes the indexer `Sendable`. Only the thread that runs the current step uses it.
        let indexer = Guarded(LayerIndexer(blobDigest: layer.digest, blobSize: layer.size))
        try await readWhole(layer, in: repository, on: workers, read: read) { bytes in
            try indexer.withLock { try $0.push(bytes) }
        }
        return try await workers.runIfActive { try indexer.withLock { try $0.finish() } }
    }
}
