import Base
import Codecs
import ContentStore
import LayerFormats
import LayerIndex
import NIOCore
import NIOPosix
import Registry

/// The archive of a complete layer, rebuilt from the layer's content and from its gaps.
///
/// Gaps are the archive's bytes outside the content, such as headers. Decoding writes them to a log (`TarSplitLog`).
/// The rebuild reads all other bytes from the blob that the layer was streamed from: its own or a copy. An example is
/// the gaps of extents whose chunks a startup pack brought.
struct RebuiltArchive: Sendable {
    /// A piece of the archive.
    private enum Part {
        /// The decoded bytes of these extents, from the store.
        case stored([(number: Int, record: TarSplitLog.Record)])
        /// The decoded bytes of a range of the blob. The range begins at the extent, or at the start of the blob if the
        /// extent is `nil`.
        case fetched(ByteRange, from: Extent?)
    }

    /// The most extents that the rebuild handles in one step.
    private static let extentsAtOnce = 64

    private let content: StoredLayer
    private let gaps: TarSplitLog
    private var parts: [Part] = []
    /// The number of bytes that the rebuild must read from the blob.
    private(set) var fetchedBytes: UInt64 = 0

    /// Plans the rebuild from the records of the log; `nil` if the layer has no log or no extents. Blocks on the disk.
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

    /// Returns for each extent whether the rebuild must read it from the blob.
    ///
    /// The rebuild must read an extent without a record, and an extent that bytes outside all extents follow. If
    /// decoding cannot begin at such an extent, the rebuild also reads the extents before it, back to one at which
    /// decoding can begin.
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

    /// Writes the decoded bytes of an extent: gaps and chunks in turn.
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
