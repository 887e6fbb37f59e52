import Base
import Codecs
import LayerFormats
import Linux
import NIOCore
import NIOPosix
import Registry
import SystemPackage

/// A converter of single layers to a format that stargz-snapshotter and related tools can stream; see
/// ``ReencodedFormat``.
///
/// The converter first stores the layer's archive in a file, because it must move the files that a start reads to the
/// front. It then divides the archive into members (gzip members or zstd frames) and compresses batches of members on
/// all cores. Memory holds only the batches in progress.
struct LayerReencoder {
    /// A layer in the new format, pushed to the registry.
    struct Result {
        let descriptor: Descriptor
        let diffID: Digest
        /// The paths of the files that a start reads, as far as the layer contains them: a subset of the parameter
        /// `first` of ``LayerReencoder/reencode(_:diffID:from:to:first:read:)``.
        let found: Set<[UInt8]>
    }

    /// The maximum number of bytes of a file in one compressed member. A read of any byte fetches the whole member.
    /// The converter of stargz-snapshotter uses 4 MiB.
    private static let chunkSize = 1 << 20
    /// The minimum size of a batch of members, in uncompressed bytes. One thread compresses a whole batch.
    private static let batchSize = 1 << 20
    /// The gzip level that docker and BuildKit use. Level 9 takes twice the time and saves half a percent.
    private static let gzipLevel: Int32 = 6
    private static let zstdLevel: Int32 = 9
    private static let uncompressedSizeAnnotation = "io.containers.estargz.uncompressed-size"

    let registry: RegistryClient
    let workers: NIOThreadPool
    let format: ReencodedFormat
    let scratch: String
    /// The maximum number of batches in progress.
    let batchesAtOnce: Int

    /// Reads a layer from `source`, and pushes the converted layer to `target`.
    ///
    /// - Parameters:
    ///   - layer: the layer to read.
    ///   - diffID: the digest of the layer's archive.
    ///   - source: the repository of the layer.
    ///   - target: the repository of the converted layer.
    ///   - first: the paths of the files that a start reads, in the order of their use; see `EstargzPlan`.
    ///   - read: called with the number of newly processed bytes of the old layer.
    func reencode(
        _ layer: Descriptor, diffID: Digest, from source: Repository, to target: Repository, first: [[UInt8]],
        read: @escaping @Sendable (Int) -> Void
    ) async throws -> Result {
        try await withTemporaryDirectory(in: scratch, prefix: "rivulet-reencode-") { directory in
            let archive = try ScratchFile("\(directory)/archive")
            let entries = try await registry.storeArchive(
                of: layer, diffID: diffID, in: source, to: archive, on: workers, read: read
            ).entries
            let (first, format) = (first, format)
            let plan = try await workers.runIfActive {
                try EstargzPlan(
                    entries, first: first, chunkSize: Self.chunkSize, endsArchive: format == .zstdChunked)
            }
            let file = try ScratchFile("\(directory)/blob")
            let writer = BlobWriter(file)
            try await write(plan, from: archive, to: writer)
            let end = try await workers.runIfActive { try writer.end(plan, format) }
            try await registry.push(end.descriptor, in: file, to: target, on: workers)
            return end
        }
    }

    // MARK: - Writing

    /// Compresses batches of members concurrently, and writes the results in the order of the archive.
    private func write(_ plan: EstargzPlan, from archive: ScratchFile, to writer: BlobWriter) async throws {
        let batches = Self.batches(plan)
        let format = format
        try await workers.inOrder(batches.count, atOnce: batchesAtOnce) { number in
            try plan.members[batches[number]].map { try CompressedMember($0, of: archive, as: format) }
        } use: { made in
            try made.forEach(writer.append)
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

    private struct CompressedMember: Sendable {
        let bytes: [UInt8]
        /// The member's uncompressed bytes.
        let raw: [UInt8]
        /// The digest of the file content in the member; `nil` for a member with only headers.
        let chunkDigest: Digest?

        init(_ member: EstargzPlan.Member, of archive: ScratchFile, as format: ReencodedFormat) throws {
            var raw: [UInt8] = []
            raw.reserveCapacity(member.byteCount)
            for part in member.parts {
                switch part {
                case .bytes(let bytes): raw += bytes
                case .archive(let range): raw += try archive.read(range)
                }
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

    /// The new layer's blob while it is being written.
    private final class BlobWriter: Sendable {
        private struct State {
            var blob: GrowingBlob
            var archiveSize: UInt64 = 0
            var diffHasher = DigestHasher()
            var written: [EstargzPlan.Written] = []
        }

        private let state: Guarded<State>

        init(_ file: ScratchFile) {
            state = Guarded(State(blob: GrowingBlob(file)))
        }

        func append(_ member: CompressedMember) throws {
            try state.withLock { state in
                state.written.append(EstargzPlan.Written(offset: state.blob.size, chunkDigest: member.chunkDigest))
                try put(member.bytes, raw: member.raw, state: &state)
            }
        }

        /// Appends bytes to the blob.
        ///
        /// - Parameter raw: the uncompressed form of `bytes` if they belong to the archive; otherwise empty. The footer
        ///   does not belong to the archive, and in the format zstd:chunked, the table of contents does not either.
        private func put(_ bytes: [UInt8], raw: [UInt8] = [], state: inout State) throws {
            try state.blob.append(bytes)
            state.archiveSize += UInt64(raw.count)
            raw.withUnsafeBytes { state.diffHasher.update($0) }
        }

        /// Writes the table of contents and the footer, and returns the finished layer.
        func end(_ plan: EstargzPlan, _ format: ReencodedFormat) throws -> Result {
            try state.withLock { state in
                let toc = try plan.tableOfContents(state.written)
                let start = state.blob.size
                var annotations = [TOCOpener.digestAnnotation: "\(Digest.of(toc))"]
                switch format {
                case .estargz:
                    let entry = EstargzPlan.tocEntry(toc)
                    try put(try LayerReencoder.compress(entry, format), raw: entry, state: &state)
                    try put(EstargzFooter.bytes(tocOffset: start), state: &state)
                case .zstdChunked:
                    let compressed = try LayerReencoder.compress(toc, format)
                    try put(SkippableFrame.frame(compressed), state: &state)
                    let place = ByteRange(offset: start + UInt64(SkippableFrame.headerSize), end: state.blob.size)
                    try put(ZstdChunkedFooter.frame(toc: place, tocSize: UInt64(toc.count)), state: &state)
                    let position = "\(place.offset):\(place.count):\(toc.count):1"
                    // These are the annotations that stargz-snapshotter reads. podman reads others, and requires
                    // tar-split data with them, so they are not written.
                    annotations["io.containers.zstd-chunked.manifest-checksum"] = "\(Digest.of(compressed))"
                    annotations["io.containers.zstd-chunked.manifest-position"] = position
                }
                annotations[LayerReencoder.uncompressedSizeAnnotation] = "\(state.archiveSize)"
                return Result(
                    descriptor: state.blob.finish(
                        format == .estargz ? MediaType.ociLayerGzip : MediaType.ociLayerZstd, annotations),
                    diffID: state.diffHasher.finish(), found: plan.found)
            }
        }
    }
}
