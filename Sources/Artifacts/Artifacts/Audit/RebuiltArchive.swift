import Base
import Codecs
import ContentStore
import LayerFormats
import LayerIndex
import NIOCore
import NIOPosix
import Registry

/// The tar archive of a complete layer, rebuilt from the layer's content (the bytes of its files) and its gaps.
///
/// Gaps are all other bytes of the archive, such as headers and padding. When a node decodes an extent, the smallest
/// decodable piece of a blob, it records the extent's gaps in a log (`TarSplitLog`). Some extents have no record, for
/// example if a startup pack brought their chunks. The rebuild reads these extents, and bytes outside all extents, from
/// the blob that the layer was streamed from: the layer's own blob or a copy.
struct RebuiltArchive: Sendable {
    /// A piece of the archive.
    private enum Part {
        /// The decoded bytes of extents that need no fetch: the store has their chunks, and the log has their gaps (the
        /// bytes outside all chunks). Each extent comes with its record in the log.
        case stored([(number: Int, record: TarSplitLog.Record)])
        /// The decoded bytes of a range of the blob. The range begins at the extent `from`, or at the start of the blob
        /// if `from` is `nil`.
        case fetched(ByteRange, from: Extent?)
    }

    /// The maximum number of extents that the rebuild handles in one job of the thread pool.
    private static let extentsAtOnce = 64

    private let content: StoredLayer
    private let gaps: TarSplitLog
    private var parts: [Part] = []
    /// The number of bytes that the rebuild must read from the blob.
    private(set) var fetchedBytes: UInt64 = 0

    /// Plans the rebuild from the log of gaps, the decoded bytes outside all chunks. Returns `nil` if the layer has no
    /// such log or no extents. Blocks on the disk.
    init?(_ content: StoredLayer) {
        guard let gaps = content.gaps, content.chunks.extentCount > 0 else { return nil }
        self.content = content
        self.gaps = gaps
        let records = gaps.records()
        let isFetched = Self.fetched(content, records)
        let table = content.chunks
        var number = 0
        while number < table.extentCount {
            let end = isFetched[number...].firstIndex { $0 != isFetched[number] } ?? table.extentCount
            if isFetched[number] {
                let start = number == 0 ? 0 : table.extent(number).blob.offset
                let limit = end == table.extentCount ? table.blobSize : table.extent(end).blob.offset
                parts.append(
                    .fetched(ByteRange(offset: start, end: limit), from: start == 0 ? nil : table.extent(number)))
                fetchedBytes += limit - start
            } else {
                for first in stride(from: number, to: end, by: Self.extentsAtOnce) {
                    let some = first..<min(first + Self.extentsAtOnce, end)
                    parts.append(.stored(some.compactMap { number in records[number].map { (number, $0) } }))
                }
            }
            number = end
        }
    }

    /// Returns for each extent whether the rebuild must read it from the blob. The rebuild must read these extents:
    ///
    /// - each extent whose gaps (the decoded bytes outside all chunks) are not in the log;
    /// - each extent that is followed by bytes of the blob that belong to no extent;
    /// - the first extent if the blob has bytes before it.
    ///
    /// Decoding cannot begin at such an extent if the store lacks the extent's restart window, the data that a decoder
    /// needs to begin there. The rebuild then also reads the preceding extents, back to one at which decoding can
    /// begin.
    private static func fetched(_ content: StoredLayer, _ records: [Int: TarSplitLog.Record]) -> [Bool] {
        let table = content.chunks
        var isFetched = (0..<table.extentCount).map { number in
            let next = number + 1 < table.extentCount ? table.extent(number + 1).blob.offset : table.blobSize
            return records[number] == nil || next > table.extent(number).blob.end
        }
        if table.extent(0).blob.offset > 0 { isFetched[0] = true }
        for number in (1..<max(1, table.extentCount)).reversed() where isFetched[number] && !isFetched[number - 1] {
            guard let restart = table.extent(number).restart, !restart.window.isEmpty,
                content.windows?.window(of: restart) == nil
            else { continue }
            isFetched[number - 1] = true
        }
        return isFetched
    }

    /// Writes the whole archive to `tree`.
    ///
    /// - Throws: `RegistryError`, or another error if the layer cannot be rebuilt.
    func write(
        to tree: Guarded<ArchiveTree>, registry: RegistryClient, in repository: Repository, on workers: NIOThreadPool
    ) async throws {
        for part in parts {
            switch part {
            case .stored(let extents):
                try await workers.runIfActive {
                    let decoder = ExtentDecoder()
                    try tree.withLock { tree in
                        try extents.forEach { try write($0.number, of: $0.record, to: tree, with: decoder) }
                    }
                }
            case .fetched(let range, let extent):
                let decoder = try await workers.runIfActive { [content] in
                    Guarded(
                        ArchiveDecoder(
                            try extent.map { extent in
                                let decoder = ExtentDecoder()
                                try decoder.begin(extent, content.windows)
                                return decoder
                            }))
                }
                let stream = try await registry.open(
                    BlobLocation(repository: repository, digest: content.chunks.blobDigest), .range(range),
                    priority: .background, knownSize: content.chunks.blobSize)
                for try await buffer in stream {
                    try await workers.runIfActive {
                        try decoder.withLock { decoder in
                            try buffer.withUnsafeReadableBytes { bytes in
                                try tree.withLock { tree in
                                    try decoder.push(bytes) { (made) throws(LayerFormatError) in try tree.push(made) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// Writes the decoded bytes of an extent to `tree`: in turn, chunks and gaps (the bytes outside all chunks).
    private func write(
        _ number: Int, of record: TarSplitLog.Record, to tree: ArchiveTree, with decoder: ExtentDecoder
    ) throws {
        let gaps = try gaps(number, of: record, with: decoder)
        var place = 0
        var position: UInt64 = 0
        func gap(_ count: Int) throws {
            guard count <= gaps.count - place else {
                throw ContentStoreError(.damaged, "what was written down of extent \(number) is too short")
            }
            try gaps[place..<place + count].withUnsafeBytes { try tree.push($0) }
            place += count
        }
        for index in content.chunks.extent(number).chunks {
            let chunk = content.chunks.chunk(index)
            guard !chunk.isZeros, chunk.innerOffset >= position else { continue }
            try gap(Int(chunk.innerOffset - position))
            let bytes = try [UInt8](unsafeUninitializedCapacity: Int(chunk.content.count)) { buffer, count in
                count = try content.read(at: chunk.content.offset, into: UnsafeMutableRawBufferPointer(buffer))
            }
            try bytes.withUnsafeBytes { try tree.push($0) }
            position = chunk.innerOffset + chunk.content.count
        }
        try gap(gaps.count - place)
    }

    private func gaps(_ number: Int, of record: TarSplitLog.Record, with decoder: ExtentDecoder) throws -> [UInt8] {
        guard let stored = gaps.stored(record, of: number) else {
            throw ContentStoreError(.damaged, "what was written down of extent \(number) is damaged")
        }
        decoder.reset(.zstd)
        return try [UInt8](unsafeUninitializedCapacity: record.byteCount) { output, count in
            count = try stored.withUnsafeBytes {
                try decoder.decode($0, into: UnsafeMutableRawBufferPointer(output)).produced
            }
        }
    }
}
