import Base
import LayerFormats
import NIOCore
package import NIOPosix
package import Registry

extension RegistryClient {
    /// Reads a whole blob in order, and passes each piece of it to `use` on a thread of `workers`.
    ///
    /// - Parameters:
    ///   - read: called with the size in bytes of each piece, after `use` has handled it.
    ///   - use: receives the pieces, one at a time. Their bytes are valid only during the call.
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

    /// Reads a layer's blob, decompresses it, and indexes its archive. The blob may have any supported compression.
    ///
    /// - Returns: the layer's tree, the chunks of its files, and its diff ID. The result does not say where the chunks
    ///   lie in the blob.
    /// - Throws: `RegistryError`, or `LayerFormatError` if the blob is not a layer or does not have the digest in
    ///   `layer`.
    func indexArchive(
        of layer: Descriptor, in repository: Repository, _ workers: NIOThreadPool
    ) async throws -> IndexedLayer {
        // The lock makes this state sendable. One thread uses it at a time: the one that runs the current step.
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
