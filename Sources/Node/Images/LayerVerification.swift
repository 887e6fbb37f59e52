package import Base
package import ContentStore
import LayerFormats
import LayerIndex
package import Logging
import Registry

/// The verification of a layer: the comparison of its index with its archive.
///
/// The index of a layer comes from a table of contents or from a streaming artifact, and nothing guarantees that it
/// describes the layer. The verification puts the layer's archive together, and compares all files of the archive with
/// the index (`ArchiveCheck`). The digest of the archive is the layer's diff ID.
///
/// There are two ways to the archive:
///
/// - It is rebuilt from the store (``RebuiltArchive``), if the layer is complete. The bytes between the files are not
///   covered by any digest, so this counts only if the index is right and an image states this diff ID.
/// - The layer's own blob is read, without storing it. The blob must have its digest, so the result is final. A copy
///   of the blob in a streaming artifact is never read for this.
package struct LayerVerification: Sendable {
    package enum Outcome: Sendable, Equatable {
        /// The index describes the archive with this diff ID.
        case verified(diffID: Digest)
        /// The blob's archive is not what the index describes: a description of the first difference.
        case refused(String)
        /// Nobody can say, because the blob's archive has something that the check does not support, or too much of it:
        /// the reason. Another attempt ends in the same way.
        case undecidable(String)
    }

    private let source: BlobSource
    private let threads: BackgroundThreads
    private let logger: Logger

    package init(source: BlobSource, threads: BackgroundThreads, logger: Logger) {
        self.source = source
        self.threads = threads
        self.logger = logger
    }

    /// Verifies a layer.
    ///
    /// - Parameter isStated: returns true if an image states this diff ID for the layer.
    /// - Throws: an error if the verification cannot decide now: the registry failed or returned bytes other than the
    ///   blob's, or the disk failed.
    package func outcome(
        of layer: StoredLayer, isStated: @Sendable (Digest) async throws -> Bool
    ) async throws -> Outcome {
        if layer.isComplete, let diffID = await rebuilt(layer), try await isStated(diffID) {
            return .verified(diffID: diffID)
        }
        return try await outcome(ofBlob: layer)
    }

    /// Returns the diff ID of the archive in the store. Returns `nil` if the index does not describe this archive. Also
    /// returns `nil` if the archive cannot be rebuilt, or if that would read more than half of the blob.
    private func rebuilt(_ layer: StoredLayer) async -> Digest? {
        do {
            guard let archive = try await threads.run({ RebuiltArchive(layer) }),
                archive.fetchedBytes <= layer.chunks.blobSize / 2
            else { return nil }
            // The lock makes this state sendable. One thread uses it at a time: the one that runs the current step.
            let check = Guarded(ArchiveCheck(layer))
            try await archive.read(into: check, from: source, on: threads)
            let finding = try await threads.run { try check.withLock { try $0.finish() } }
            if let difference = finding.difference {
                logger.debug(
                    "a layer rebuilt from the store differs from its index",
                    metadata: ["layer": "\(layer.key)", "difference": "\(difference)"])
            }
            return finding.difference == nil ? finding.diffID : nil
        } catch {
            logger.debug(
                "failed to rebuild a layer from the store", metadata: ["layer": "\(layer.key)", "error": "\(error)"])
            return nil
        }
    }

    /// Reads the layer's own blob, and compares its archive with the index.
    private func outcome(ofBlob layer: StoredLayer) async throws -> Outcome {
        let reading = Guarded((decoder: ArchiveDecoder(), check: ArchiveCheck(layer), hasher: DigestHasher()))
        // An archive that cannot be read is a finding, but only if it is the blob's.
        let failure = Guarded<LayerFormatError?>(nil)
        let step: @Sendable ((ArchiveDecoder, ArchiveCheck) throws(LayerFormatError) -> Void) -> Void = { body in
            reading.withLock { reading in
                guard failure.withLock({ $0 }) == nil else { return }
                do throws(LayerFormatError) {
                    try body(reading.decoder, reading.check)
                } catch {
                    failure.withLock { $0 = error }
                }
            }
        }
        let size = layer.chunks.blobDigest == layer.digest ? layer.chunks.blobSize : nil
        // The size of a blob whose copy is streamed is unknown. Compression does not make an archive much larger.
        let received = Guarded((count: UInt64(0), limit: reading.withLock { $0.check.maximumBytes }))
        do {
            try await source.read(layer.digest, nil, of: size, on: threads) { bytes in
                try received.withLock { received in
                    guard UInt64(bytes.count) <= received.limit - received.count else {
                        throw LayerFormatError(.limit, "the blob has over \(received.limit) bytes")
                    }
                    received.count += UInt64(bytes.count)
                }
                // A lack of memory says nothing about the blob, so there is no need to read the rest.
                if let error = failure.withLock({ $0 }), error.code == .outOfMemory { throw error }
                reading.withLock { $0.hasher.update(bytes) }
                step { (decoder, check) throws(LayerFormatError) in
                    try decoder.push(bytes) { (made) throws(LayerFormatError) in try check.push(made) }
                }
            }
        } catch let error as LayerFormatError where error.code == .limit {
            // Another attempt would read as much, and decide nothing either.
            return .undecidable("\(error)")
        }
        let digest = reading.withLock { $0.hasher.finish() }
        guard digest == layer.digest else {
            throw LayerFormatError(.badArchive, "the registry returned \(digest) instead of the blob \(layer.digest)")
        }
        return try await threads.run {
            let finding = Guarded<ArchiveCheck.Finding?>(nil)
            step { (decoder, check) throws(LayerFormatError) in
                try decoder.finish { (made) throws(LayerFormatError) in try check.push(made) }
                let found = try check.finish()
                finding.withLock { $0 = found }
            }
            if let error = failure.withLock({ $0 }) {
                switch error.code {
                case .outOfMemory: throw error
                case .unsupported, .limit: return .undecidable("\(error)")
                default: return .refused("its archive cannot be read: \(error)")
                }
            }
            guard let found = finding.withLock({ $0 }) else { return .refused("its archive cannot be read") }
            return found.difference.map { .refused($0) } ?? .verified(diffID: found.diffID)
        }
    }
}

extension ArchiveCheck {
    fileprivate convenience init(_ layer: StoredLayer) {
        let isFromTable =
            switch layer.key.pin {
            case .tableOfContents, .unverified, .inherited: true
            case .index: false
            }
        self.init(tree: layer.tree, chunks: layer.chunks, isFromTable: isFromTable)
    }
}
