import Base
import Codecs
import LayerFormats
import Linux
import NIOCore
import NIOPosix
import Registry
import SystemPackage

/// Writes one layer anew, in a format that nodes of others can stream.
///
/// The archive is put into a file first, since the files that a start needs come first in the new one, and is then compressed
/// member by member on all cores. In memory is what the cores work at.
struct LayerReencoder {
    /// A layer in the new format, in the registry.
    struct Result {
        let descriptor: Descriptor
        let diffID: Digest
        /// Those of the paths that a start needs which are in it.
        let found: Set<[UInt8]>
    }

    /// Bytes of a file in a member: a reader of any of them fetches all. Four times that is what stargz-snapshotter's own
    /// converter takes.
    private static let chunkSize = 1 << 20
    /// Of what is compressed in one go, at least.
    private static let batchSize = 1 << 20
    /// As docker and buildkit do; 9 takes twice the time for half a percent.
    private static let gzipLevel: Int32 = 6
    private static let zstdLevel: Int32 = 9
    private static let uncompressedSizeAnnotation = "io.containers.estargz.uncompressed-size"

    let registry: RegistryClient
    let workers: NIOThreadPool
    let format: ReencodedFormat
    let scratch: String
    /// Batches that are worked at side by side.
    let batchesAtOnce: Int

    /// Reads a layer from `source` and pushes it to `target`.
    ///
    /// - Parameters:
    ///   - first: paths of files that a start needs; see `EstargzPlan`.
    ///   - read: called with bytes of the old layer as they are done with.
    func reencode(
        _ layer: Descriptor, diffID: Digest, from source: Repository, to target: Repository, first: [[UInt8]],
        _ read: @escaping @Sendable (Int) -> Void
    ) async throws -> Result {
        try await withTemporaryDirectory(in: scratch, prefix: "rivulet-reencode-") { directory in
            let archive = Shared(try Sys.open("\(directory)/archive", [.readWrite, .create]))
            let entries = try await store(layer, diffID, source, archive, read)
            let (first, format) = (first, format)
            let plan = try await workers.runIfActive {
                try EstargzPlan(
                    entries, first: first, chunkSize: Self.chunkSize, endsArchive: format == .zstdChunked)
            }
            let writer = BlobWriter(Shared(try Sys.open("\(directory)/blob", [.readWrite, .create])))
            try await write(plan, archive, writer)
            let end = try await workers.runIfActive { try writer.end(plan, format) }
            let blob = writer.file
            try await registry.pushBlob(
                BlobLocation(repository: target, digest: end.descriptor.digest), size: end.descriptor.size
            ) { range throws(RegistryError) in
                do {
                    return try await workers.runIfActive {
                        ByteBuffer(bytes: try Sys.pread(blob.raw, count: Int(range.count), at: range.offset))
                    }
                } catch {
                    throw RegistryError(.connection, "the scratch file of layer \(layer.digest)", cause: error)
                }
            }
            return end
        }
    }

    /// Puts the layer's archive into a file.
    private func store(
        _ layer: Descriptor, _ diffID: Digest, _ source: Repository, _ file: Shared,
        _ read: @Sendable (Int) -> Void
    ) async throws -> [ArchivedEntry] {
        // In a box: it belongs to one thread at a time, which is the one that runs the step.
        let state = Guarded(StoredArchive(listing: ArchiveListing(blobDigest: layer.digest), file: file))
        let stream = try await registry.open(
            BlobLocation(repository: source, digest: layer.digest), .whole, priority: .background,
            knownSize: layer.size)
        for try await buffer in stream {
            try await workers.runIfActive {
                try state.withLock { state in try buffer.withUnsafeReadableBytes { try state.push($0) } }
            }
            read(buffer.readableBytes)
        }
        let found = try await workers.runIfActive { try state.withLock { try $0.finish() } }
        guard found.diffID == diffID else {
            throw ArtifactError(
                .badLayer,
                "layer \(layer.digest) of \(source) unpacks to \(found.diffID), and the image says \(diffID)")
        }
        return found.entries
    }

    /// An archive on its way into a file.
    private struct StoredArchive {
        let listing: ArchiveListing
        let file: Shared
        private var end: UInt64 = 0
        /// What has been decoded and not been written.
        private var made: [UInt8] = []

        init(listing: ArchiveListing, file: Shared) {
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
            try made.withUnsafeBytes { try Sys.pwriteAll(file.raw, $0, at: end) }
            end += UInt64(made.count)
            made.removeAll(keepingCapacity: true)
        }
    }

    // MARK: - Writing

    /// Compresses members batch by batch, so many at once, and writes them in their order.
    private func write(_ plan: EstargzPlan, _ archive: Shared, _ writer: BlobWriter) async throws {
        let batches = Self.batches(plan)
        let format = format
        try await withThrowingTaskGroup(of: (Int, [CompressedMember]).self) { group in
            var waiting: [Int: [CompressedMember]] = [:]
            var (started, written) = (0, 0)
            while written < batches.count {
                while started < batches.count, started - written < batchesAtOnce {
                    let number = started
                    let members = plan.members[batches[number]]
                    group.addTask {
                        let made = try await workers.runIfActive {
                            try members.map { try CompressedMember($0, of: archive, format) }
                        }
                        return (number, made)
                    }
                    started += 1
                }
                guard let (number, made) = try await group.next() else { break }
                waiting[number] = made
                while let next = waiting.removeValue(forKey: written) {
                    try await workers.runIfActive { try next.forEach(writer.append) }
                    written += 1
                }
            }
        }
    }

    private static func batches(_ plan: EstargzPlan) -> [Range<Int>] {
        var batches: [Range<Int>] = []
        var (start, bytes) = (0, 0)
        for (index, member) in plan.members.enumerated() {
            bytes += member.byteCount
            guard bytes >= batchSize || index == plan.members.count - 1 else { continue }
            batches.append(start..<index + 1)
            (start, bytes) = (index + 1, 0)
        }
        return batches
    }

    /// A descriptor that several threads read and write at once, each at places of its own.
    private final class Shared: Sendable {
        private let owner: OwnedDescriptor
        var raw: Int32 { owner.raw }

        init(_ owner: consuming OwnedDescriptor) {
            self.owner = owner
        }
    }

    private struct CompressedMember: Sendable {
        let bytes: [UInt8]
        /// What they were made of.
        let raw: [UInt8]
        let chunkDigest: Digest?

        init(_ member: EstargzPlan.Member, of archive: Shared, _ format: ReencodedFormat) throws {
            var raw: [UInt8] = []
            raw.reserveCapacity(member.byteCount)
            for part in member.parts {
                switch part {
                case .bytes(let bytes): raw += bytes
                case .archive(let range): raw += try Sys.pread(archive.raw, count: Int(range.count), at: range.offset)
                }
            }
            guard raw.count == member.byteCount else {
                throw ArtifactError(.internal, "the scratch file of a layer is shorter than it was")
            }
            let length = member.chunkLength
            chunkDigest =
                length > 0 ? raw.withUnsafeBytes { Digest.of(UnsafeRawBufferPointer(rebasing: $0[..<length])) } : nil
            bytes = try LayerReencoder.compress(raw, format)
            self.raw = raw
        }
    }

    fileprivate static func compress(_ raw: [UInt8], _ format: ReencodedFormat) throws -> [UInt8] {
        try raw.withUnsafeBytes { raw in
            switch format {
            case .estargz: try GzipEncoder.member(raw, level: gzipLevel)
            case .zstdChunked: try ZstdEncoder.frame(raw, level: zstdLevel)
            }
        }
    }

    /// The blob as it grows.
    private final class BlobWriter: Sendable {
        private struct State {
            var size: UInt64 = 0
            var archiveSize: UInt64 = 0
            var blobHasher = DigestHasher()
            var diffHasher = DigestHasher()
            var written: [EstargzPlan.Written] = []
        }

        let file: Shared
        private let state = Guarded(State())

        init(_ file: Shared) {
            self.file = file
        }

        func append(_ member: CompressedMember) throws {
            try state.withLock { state in
                state.written.append(EstargzPlan.Written(offset: state.size, chunkDigest: member.chunkDigest))
                try put(member.bytes, raw: member.raw, &state)
            }
        }

        /// - Parameter raw: what it adds to the archive.
        private func put(_ bytes: [UInt8], raw: [UInt8] = [], _ state: inout State) throws {
            try Sys.pwriteAll(file.raw, bytes, at: state.size)
            state.size += UInt64(bytes.count)
            state.archiveSize += UInt64(raw.count)
            bytes.withUnsafeBytes { state.blobHasher.update($0) }
            raw.withUnsafeBytes { state.diffHasher.update($0) }
        }

        /// Writes the table of contents and the footer.
        func end(_ plan: EstargzPlan, _ format: ReencodedFormat) throws -> Result {
            try state.withLock { state in
                let toc = try plan.tableOfContents(state.written)
                let start = state.size
                var annotations = [EstargzOpener.tocDigestAnnotation: "\(Digest.of(toc))"]
                switch format {
                case .estargz:
                    let entry = EstargzPlan.tocEntry(toc)
                    try put(try LayerReencoder.compress(entry, format), raw: entry, &state)
                    try put(EstargzFooter.bytes(tocOffset: start), &state)
                case .zstdChunked:
                    let compressed = try LayerReencoder.compress(toc, format)
                    try put(SkippableFrame.frame(compressed), &state)
                    let place = ByteRange(offset: start + UInt64(SkippableFrame.headerSize), end: state.size)
                    try put(ZstdChunkedFooter.frame(toc: place, tocSize: UInt64(toc.count)), &state)
                    let position = "\(place.offset):\(place.count):\(toc.count):1"
                    // By the name that stargz-snapshotter gives it alone: podman, which goes by the other, wants tar-split too.
                    annotations["io.containers.zstd-chunked.manifest-checksum"] = "\(Digest.of(compressed))"
                    annotations["io.containers.zstd-chunked.manifest-position"] = position
                }
                annotations[LayerReencoder.uncompressedSizeAnnotation] = "\(state.archiveSize)"
                return Result(
                    descriptor: Descriptor(
                        mediaType: format == .estargz ? MediaType.ociLayerGzip : MediaType.ociLayerZstd,
                        digest: state.blobHasher.finish(), size: state.size, annotations: annotations),
                    diffID: state.diffHasher.finish(), found: plan.found)
            }
        }
    }
}
