import Base
public import ContentStore
import LayerFormats
import LayerIndex
public import NIOPosix
public import Registry

/// Holds a complete layer against the image, without believing the artifact that it was streamed through.
///
/// The blob is read again, from the registry, and indexed anew. Its bytes must be those that the image's manifest names, its
/// archive that which the image's configuration names; its tree must be the one that was mounted, and each piece of its files what
/// lies in the store. It relies on a layer having one tree only, whoever makes it.
public struct LayerAudit: Sendable {
    private let registry: RegistryClient
    private let workers: NIOThreadPool

    /// - Parameter workers: where the layer is decoded and read; it must be running.
    public init(registry: RegistryClient, workers: NIOThreadPool) {
        self.registry = registry
        self.workers = workers
    }

    /// What is wrong with the layer; `nil` when nothing is.
    ///
    /// - Throws: when that cannot be told now: the registry failed, or gave other bytes than the blob's, or the disk failed.
    public func finding(_ content: LayerContent, _ origin: LayerOrigin) async throws -> String? {
        let manifest = try await registry.manifest(origin.repository, digest: origin.manifest)
        let bytes = try await registry.blob(
            BlobLocation(repository: origin.repository, digest: manifest.config.digest),
            maximumSize: RegistryClient.maximumConfigSize)
        let diffIDs = try ImageConfiguration(bytes: bytes).diffIDs
        guard let place = manifest.layers.firstIndex(where: { $0.digest == content.digest }),
            diffIDs.count == manifest.layers.count
        else { return "image \(origin.manifest) has no layer \(content.digest)" }
        let indexed = try await registry.index(manifest.layers[place], in: origin.repository, workers)
        guard indexed.diffID == diffIDs[place] else {
            return "its archive is \(indexed.diffID), and the image says \(diffIDs[place])"
        }
        return try await workers.runIfActive { try Self.difference(content, indexed.index) }
    }

    /// In what the layer differs from an index of its archive.
    private static func difference(_ content: LayerContent, _ index: LayerIndexBytes) throws -> String? {
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
