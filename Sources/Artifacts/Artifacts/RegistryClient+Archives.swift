import Base
import LayerFormats
import NIOCore
package import NIOPosix
package import Registry

extension RegistryClient {
    /// Reads a blob, whole and in order, on a thread of `workers` each piece of it.
    ///
    /// - Parameters:
    ///   - read: called with bytes of it as they are done with.
    ///   - use: given the pieces, one at a time; their bytes are good during the call only.
    package func readWhole(
        _ blob: Descriptor, in repository: Repository, on workers: NIOThreadPool,
        read: @Sendable (Int) -> Void = { _ in },
        use: @escaping @Sendable (UnsafeRawBufferPointer) throws -> Void
    ) async throws {
        let stream = try await open(
            BlobLocation(repository: repository, digest: blob.digest), .whole, priority: .background,
            knownSize: blob.size)
        for try await buffer in stream {
            try await workers.runIfActive { try buffer.withUnsafeReadableBytes(use) }
            read(buffer.readableBytes)
        }
    }

    /// Reads the blob of a layer, whatever it is compressed with, and indexes its archive.
    ///
    /// - Returns: the tree and the pieces of the files; where these lie in the blob it does not say.
    /// - Throws: `RegistryError`, or `LayerFormatError` for what is no layer, or not the one that `layer` names.
    func indexArchive(
        of layer: Descriptor, in repository: Repository, _ workers: NIOThreadPool
    ) async throws -> IndexedLayer {
        // In a box: it belongs to one thread at a time, which is the one that runs the step.
        let reading = Guarded(
            (decoder: ArchiveDecoder(), indexer: LayerIndexer(archiveOf: layer.digest), hasher: DigestHasher()))
        try await readWhole(layer, in: repository, on: workers) { bytes in
            try reading.withLock { reading in
                reading.hasher.update(bytes)
                let indexer = reading.indexer
                try reading.decoder.push(bytes) { (made) throws(LayerFormatError) in try indexer.push(made) }
            }
        }
        return try await workers.runIfActive {
            try reading.withLock { reading in
                let indexer = reading.indexer
                try reading.decoder.finish { (made) throws(LayerFormatError) in try indexer.push(made) }
                guard reading.hasher.finish() == layer.digest else {
                    throw LayerFormatError(
                        .badArchive, "the blob is not the one that its descriptor names, \(layer.digest)")
                }
                return try indexer.finish()
            }
        }
    }
}
