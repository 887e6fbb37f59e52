import Base
public import ContentStore
import LayerFormats
import LayerIndex
public import Logging
public import NIOPosix
public import Registry

/// The audit of a complete layer, which is a layer with all its chunks in the store. It compares the layer with its
/// image and does not trust the streaming artifact through which the layer was streamed.
///
/// The audit first rebuilds the layer's tar archive from the store (``RebuiltArchive``). The archive must have the diff
/// ID in the image's configuration, and its file tree must equal the mounted tree.
///
/// If this check fails for any reason, the audit reads the layer's own blob from the registry and indexes it. The blob
/// must have the digest in the image's manifest, and its archive must have the diff ID. The archive's tree must equal
/// the mounted tree, and each chunk of its files must equal the content in the store. This second step never reads a
/// copy from which the layer may have been streamed.
///
/// The audit relies on the fact that a layer has only one possible tree, whatever code builds it.
public struct LayerAudit: Sendable {
    private let registry: RegistryClient
    private let workers: NIOThreadPool
    private let logger: Logger

    /// - Parameter workers: the threads that decode and read the layer. The pool must be running.
    public init(registry: RegistryClient, workers: NIOThreadPool, logger: Logger) {
        self.registry = registry
        self.workers = workers
        self.logger = logger
    }

    /// Returns a description of the first difference between the stored layer and the layer in the image; `nil` if
    /// there is none.
    ///
    /// - Throws: an error if the audit cannot decide now: the registry failed or returned bytes other than the blob's,
    ///   or the disk failed.
    public func finding(_ content: StoredLayer, _ origin: LayerOrigin) async throws -> String? {
        let manifest = try await registry.manifest(origin.repository, digest: origin.manifest)
        let diffIDs = try await registry.configuration(of: manifest, in: origin.repository).diffIDs
        guard let place = manifest.layers.firstIndex(where: { $0.digest == content.digest }) else {
            return "image \(origin.manifest) has no layer \(content.digest)"
        }
        if await isConfirmed(content, diffID: diffIDs[place], in: origin.repository) { return nil }
        let indexed = try await registry.indexArchive(of: manifest.layers[place], in: origin.repository, workers)
        guard indexed.diffID == diffIDs[place] else {
            return "its archive is \(indexed.diffID), and the image says \(diffIDs[place])"
        }
        return try await workers.runIfActive { try Self.difference(content, indexed.index) }
    }

    /// Returns true if the rebuilt archive proves that the layer matches the image. Returns false if the rebuild fails,
    /// or if it would read more than half of the blob from which the layer was streamed.
    private func isConfirmed(_ content: StoredLayer, diffID: Digest, in repository: Repository) async -> Bool {
        do {
            let found = try await workers.runIfActive { RebuiltArchive(content) }
            guard let archive = found, archive.fetchedBytes <= content.chunks.blobSize / 2 else { return false }
            // The lock makes this state sendable. One thread uses it at a time: the one that runs the current step.
            let tree = Guarded(ArchiveTree(blobDigest: content.digest))
            try await archive.write(to: tree, registry: registry, in: repository, on: workers)
            return try await workers.runIfActive {
                let made = try tree.withLock { try $0.finish() }
                return made.diffID == diffID && content.tree.isEqual(to: made.tree)
            }
        } catch {
            logger.debug(
                "a layer cannot be put together again", metadata: ["layer": "\(content.digest)", "error": "\(error)"])
            return false
        }
    }

    /// Returns the first difference between the layer and `index`, an index of its archive; `nil` if there is none.
    private static func difference(_ content: StoredLayer, _ index: LayerIndexBytes) throws -> String? {
        guard content.tree.isEqual(to: index.tree) else { return "its tree is not that of its archive" }
        let table = try ChunkTable(bytes: index.chunks)
        guard table.contentSize == content.chunks.contentSize else { return "its files are not those of its archive" }
        var buffer: [UInt8] = []
        for number in 0..<table.chunkCount {
            let chunk = table.chunk(number)
            let length = Int(chunk.content.count)
            if buffer.count < length { buffer = [UInt8](repeating: 0, count: length) }
            let digest = try buffer.withUnsafeMutableBytes { all -> Digest? in
                let part = UnsafeMutableRawBufferPointer(rebasing: all[..<length])
                guard try content.read(at: chunk.content.offset, into: part) == length else { return nil }
                return Digest.of(UnsafeRawBufferPointer(part))
            }
            guard digest == chunk.digest else {
                return "what lies at \(chunk.content) of its content is not what its archive has there"
            }
        }
        return nil
    }
}
