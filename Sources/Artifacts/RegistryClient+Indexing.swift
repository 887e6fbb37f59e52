import Base
import LayerFormats
import NIOCore
import NIOPosix
import Registry

extension RegistryClient {
    /// Reads the blob of a layer, whole and in order, and makes its index as it comes.
    ///
    /// - Parameters:
    ///   - blob: the layer's own, or a copy of it that can be decoded in pieces.
    ///   - layer: what names the layer, when it is a copy.
    ///   - read: called with bytes of it as they are done with.
    /// - Throws: `RegistryError`, or `LayerFormatError` for what is no layer, or not the one that `blob` names.
    func index(
        _ blob: Descriptor, of layer: Digest? = nil, in repository: Repository, _ workers: NIOThreadPool,
        _ read: @Sendable (Int) -> Void = { _ in }
    ) async throws -> IndexedLayer {
        // In a box: it belongs to one thread at a time, which is the one that runs the step.
        let indexer = Guarded(LayerIndexer(layer: layer, blobDigest: blob.digest, blobSize: blob.size))
        let stream = try await open(
            BlobLocation(repository: repository, digest: blob.digest), .whole, priority: .background,
            knownSize: blob.size)
        for try await buffer in stream {
            try await workers.runIfActive {
                try indexer.withLock { indexer in try buffer.withUnsafeReadableBytes { try indexer.push($0) } }
            }
            read(buffer.readableBytes)
        }
        return try await workers.runIfActive { try indexer.withLock { try $0.finish() } }
    }

    /// Reads the blob of a layer, whole and in order, whatever it is compressed with, and indexes its archive.
    ///
    /// - Returns: the tree and the pieces of the files; where these lie in the blob it does not say.
    /// - Throws: `RegistryError`, or `LayerFormatError` for what is no layer, or not the one that `layer` names.
    func indexArchive(
        of layer: Descriptor, in repository: Repository, _ workers: NIOThreadPool
    ) async throws -> IndexedLayer {
        // In a box: it belongs to one thread at a time, which is the one that runs the step.
        let reading = Guarded(
            (decoder: ArchiveDecoder(), indexer: LayerIndexer(archiveOf: layer.digest), hasher: DigestHasher()))
        let stream = try await open(
            BlobLocation(repository: repository, digest: layer.digest), .whole, priority: .background,
            knownSize: layer.size)
        for try await buffer in stream {
            try await workers.runIfActive {
                try reading.withLock { reading in
                    try buffer.withUnsafeReadableBytes { bytes in
                        reading.hasher.update(bytes)
                        let indexer = reading.indexer
                        try reading.decoder.push(bytes) { (made) throws(LayerFormatError) in try indexer.push(made) }
                    }
                }
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
