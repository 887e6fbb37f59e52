import Base
import Codecs
import ContentStore
import LayerFormats
import LayerIndex
import NIOCore
import NIOPosix
import Registry

/// The check that a repository holds a layer's blob.
///
/// Images of several repositories share a stored layer. An image that merely names the digests of another repository's
/// private layer must not read it. So a repository has to show that it holds the blob: random pieces of the blob,
/// fetched there with the repository's own credentials, must be right.
struct BlobPossession: Sendable {
    /// The number of extents to fetch. Even somebody who knows a part of a private layer does not know which extents
    /// are requested.
    private static let extentCount = 3
    /// The maximum number of extents to look at until there are enough that can be decoded.
    private static let maximumChoices = 100

    let registry: RegistryClient
    let workers: NIOThreadPool

    /// Fetches random extents of the layer's blob from `repository`, and checks them.
    ///
    /// - Throws: a ``FallbackReason`` if the repository does not return the right bytes.
    func check(_ layer: StoredLayer, in repository: Repository) async throws(FallbackReason) {
        let count = layer.chunks.extentCount
        guard count > 0, !layer.chunks.extent(0).blob.isEmpty else {
            return try await checkExistence(layer, in: repository)
        }
        do {
            let extents = try await workers.runIfActive { try Self.choose(layer) }
            try await withThrowingTaskGroup { group in
                for extent in extents {
                    group.addTask { try await check(layer.chunks.extent(extent), of: layer, in: repository) }
                }
                try await group.waitForAll()
            }
        } catch let reason as FallbackReason {
            throw reason
        } catch {
            throw FallbackReason(registry: error)
        }
    }

    /// Returns random extents of the layer that can be decoded. The node may lack the windows of some extents, and the
    /// repository need not have them. Blocks on the disk.
    private static func choose(_ layer: StoredLayer) throws -> Set<Int> {
        var extents: Set<Int> = []
        for _ in 0..<maximumChoices where extents.count < extentCount {
            let extent = Int.random(in: 0..<layer.chunks.extentCount)
            let restart = layer.chunks.extent(extent).restart
            if let restart, !restart.window.isEmpty, layer.windows?.window(of: restart) == nil { continue }
            extents.insert(extent)
        }
        guard extents.count >= min(extentCount, layer.chunks.extentCount) else {
            throw FallbackReason(.unauthorized, "too few extents of blob \(layer.digest) can be checked")
        }
        return extents
    }

    private func checkExistence(_ layer: StoredLayer, in repository: Repository) async throws(FallbackReason) {
        let isThere: Bool
        do throws(RegistryError) {
            isThere = try await registry.hasBlob(BlobLocation(repository: repository, digest: layer.digest))
        } catch {
            throw FallbackReason(registry: error)
        }
        guard isThere else { throw FallbackReason(.notFound, "\(repository) has no blob \(layer.digest)") }
    }

    private func check(_ extent: Extent, of layer: StoredLayer, in repository: Repository) async throws {
        let stream = try await registry.open(
            BlobLocation(repository: repository, digest: layer.chunks.blobDigest), .range(extent.blob),
            priority: .demand, knownSize: layer.chunks.blobSize)
        let reading = Guarded(try Reading(extent, of: layer))
        for try await buffer in stream {
            try await workers.runIfActive {
                try reading.withLock { reading in try buffer.withUnsafeReadableBytes { try reading.push($0) } }
            }
        }
        guard reading.withLock({ $0.isRight }) else {
            throw FallbackReason(
                .unauthorized, "\(repository) returned other bytes for \(extent.blob) of blob \(layer.digest)")
        }
    }

    /// The decoding of one extent, and the comparison of its chunks with their digests.
    private struct Reading {
        private let decoder: ArchiveDecoder
        /// The chunks that have not been decoded yet, in the order of the extent.
        private var rest: ArraySlice<Chunk>
        private var hasher = DigestHasher()
        private var position: UInt64 = 0
        private var isWrong = false

        init(_ extent: Extent, of layer: StoredLayer) throws {
            let decoder = ExtentDecoder()
            try decoder.begin(extent, layer.windows)
            self.decoder = ArchiveDecoder(decoder)
            rest = extent.chunks.map(layer.chunks.chunk).filter { !$0.isZeros }[...]
        }

        /// True if all chunks were decoded and have their digests.
        var isRight: Bool { !isWrong && rest.isEmpty }

        mutating func push(_ bytes: UnsafeRawBufferPointer) throws {
            guard !isWrong, !rest.isEmpty else { return }
            let decoder = decoder
            do throws(LayerFormatError) {
                try decoder.push(bytes) { (made) throws(LayerFormatError) in
                    take(made)
                    // A few bytes may decode to very many.
                    if isWrong || rest.isEmpty { throw LayerFormatError(.badResponse, "no more is needed") }
                }
            } catch {
                if !rest.isEmpty { isWrong = true }
            }
        }

        private mutating func take(_ bytes: UnsafeRawBufferPointer) {
            var bytes = bytes
            while let chunk = rest.first, !bytes.isEmpty {
                guard position >= chunk.innerOffset else {
                    let skipped = min(UInt64(bytes.count), chunk.innerOffset - position)
                    bytes = UnsafeRawBufferPointer(rebasing: bytes[Int(skipped)...])
                    position += skipped
                    continue
                }
                let end = chunk.innerOffset + chunk.content.count
                let taken = min(UInt64(bytes.count), end - position)
                hasher.update(UnsafeRawBufferPointer(rebasing: bytes[..<Int(taken)]))
                bytes = UnsafeRawBufferPointer(rebasing: bytes[Int(taken)...])
                position += taken
                guard position == end else { return }
                if hasher.finish() != chunk.digest { isWrong = true }
                hasher = DigestHasher()
                rest.removeFirst()
            }
        }
    }
}
