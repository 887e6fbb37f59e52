import Artifacts
import Base
import LayerFormats
import NIOCore
import NIOPosix
import Registry

extension RegistryClient {
    /// Decodes a layer, and stores its archive in a file. Returns the archive's entries and its size in bytes.
    ///
    /// - Parameter read: called with the number of newly processed bytes of the layer.
    /// - Throws: an ``ArtifactError`` (`badLayer`) if the digest of the archive is not `diffID`, or the error of the
    ///   registry, the decoder or the file.
    func storeArchive(
        of layer: Descriptor, diffID: Digest, in repository: Repository, to file: ScratchFile,
        on workers: NIOThreadPool,
        read: @Sendable (Int) -> Void
    ) async throws -> (entries: [ArchivedEntry], size: UInt64) {
        // The lock makes the state `Sendable`. Only the thread that runs the current step uses it.
        let state = Guarded(StoredArchive(listing: ArchiveListing(blobDigest: layer.digest), file: file))
        try await readWhole(layer, in: repository, on: workers, read: read) { bytes in
            try state.withLock { try $0.push(bytes) }
        }
        return try await workers.runIfActive {
            try state.withLock { state in
                let found = try state.finish()
                guard found.diffID == diffID else {
                    throw ArtifactError(
                        .badLayer,
                        "layer \(layer.digest) of \(repository) unpacks to \(found.diffID), but the image names \(diffID)"
                    )
                }
                return (found.entries, state.size)
            }
        }
    }

    /// Pushes a blob from a file.
    func push(
        _ blob: Descriptor, in file: ScratchFile, to repository: Repository, on workers: NIOThreadPool
    ) async throws(RegistryError) {
        try await pushBlob(BlobLocation(repository: repository, digest: blob.digest), size: blob.size) {
            range throws(RegistryError) in
            do {
                return try await workers.runIfActive { ByteBuffer(bytes: try file.read(range)) }
            } catch {
                throw RegistryError(.connection, "the scratch file of blob \(blob.digest)", cause: error)
            }
        }
    }
}

/// A layer's archive that is being written to a file.
private struct StoredArchive {
    let listing: ArchiveListing
    let file: ScratchFile
    private(set) var size: UInt64 = 0
    /// The decoded bytes that have not been written to the file yet.
    private var made: [UInt8] = []

    init(listing: ArchiveListing, file: ScratchFile) {
        self.listing = listing
        self.file = file
    }

    mutating func push(_ bytes: UnsafeRawBufferPointer) throws {
        try listing.push(bytes) { made += $0 }
        try write()
    }

    mutating func finish() throws -> (entries: [ArchivedEntry], diffID: Digest) {
        let found = try listing.finish { made += $0 }
        try write()
        return found
    }

    private mutating func write() throws {
        try file.write(made, at: size)
        size += UInt64(made.count)
        try file.checkRoom(size, after: made.count)
        made.removeAll(keepingCapacity: true)
    }
}
