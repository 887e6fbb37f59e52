import Base
import Codecs
import ContentStore
import LayerFormats
import LayerIndex
import NIOCore
import Registry

/// The tar archive of a complete layer, rebuilt from the layer's content (the bytes of its files) and its gaps.
///
/// Gaps are all other bytes of the archive, such as headers and padding. When a node decodes an extent, the smallest
/// decodable piece of a blob, it records the extent's gaps in a log (`TarSplitLog`). Some extents have no record, for
/// example if a startup pack brought their chunks. The rebuild reads these extents, and bytes outside all extents, from
/// the blob that the layer was streamed from: the layer's own blob or a copy.
struct RebuiltArchive: Sendable {
    /// The point at which the decoding of a fetched range begins.
    private enum Start {
        /// The start of the blob, whose first bytes identify its compression.
        case blob
        /// The start of an extent.
        case extent(Extent)
        /// The start of a gzip member or of a zstd frame outside all extents, or any point of an uncompressed blob.
        case between(Codec)
    }

    /// A piece of the archive.
    private enum Part {
        /// The decoded bytes of extents that need no fetch: the store has their chunks, and the log has their gaps (the
        /// bytes outside all chunks). Each extent comes with its record in the log.
        case stored([(number: Int, record: TarSplitLog.Record)])
        /// The decoded bytes of a range of the blob.
        case fetched(ByteRange, from: Start)
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
        let table = content.chunks
        let isFetched = Self.fetched(content, records)
        var number = 0
        if table.extent(0).blob.offset > 0 {
            fetch(ByteRange(offset: 0, end: table.extent(0).blob.offset), from: .blob)
        }
        while number < table.extentCount {
            let codec = table.extent(number).codec
            var end = number
            while end < table.extentCount, isFetched[end] == isFetched[number], table.extent(end).codec == codec,
                end == number || table.extent(end - 1).blob.end == table.extent(end).blob.offset
            { end += 1 }
            let limit = end == table.extentCount ? table.blobSize : table.extent(end).blob.offset
            var last = table.extent(end - 1).blob.end
            if isFetched[number] {
                let start = table.extent(number).blob.offset
                // Bytes after a deflate extent may be a part of its stream.
                if codec == .deflate { last = limit }
                fetch(
                    ByteRange(offset: start, end: last), from: start == 0 ? .blob : .extent(table.extent(number)))
            } else {
                for first in stride(from: number, to: end, by: Self.extentsAtOnce) {
                    let some = first..<min(first + Self.extentsAtOnce, end)
                    parts.append(.stored(some.compactMap { number in records[number].map { (number, $0) } }))
                }
            }
            if last < limit { fetch(ByteRange(offset: last, end: limit), from: .between(Codec(codec))) }
            number = end
        }
    }

    private mutating func fetch(_ range: ByteRange, from start: Start) {
        parts.append(.fetched(range, from: start))
        fetchedBytes += range.count
    }

    /// Returns for each extent whether the rebuild must read it from the blob. The rebuild must read:
    ///
    /// - each extent whose gaps (the decoded bytes outside all chunks) are not in the log;
    /// - each extent with codec `deflate` that is followed by bytes of the blob that belong to no extent;
    /// - the extents before one of these, if decoding cannot begin at it because the store lacks its restart window
    ///   (the data that a decoder needs to begin there): back to an extent at which decoding can begin.
    private static func fetched(_ content: StoredLayer, _ records: [Int: TarSplitLog.Record]) -> [Bool] {
        let table = content.chunks
        var isFetched = (0..<table.extentCount).map { number in
            let extent = table.extent(number)
            let next = number + 1 < table.extentCount ? table.extent(number + 1).blob.offset : table.blobSize
            return records[number] == nil || extent.codec == .deflate && next > extent.blob.end
        }
        for number in (1..<max(1, table.extentCount)).reversed() where isFetched[number] && !isFetched[number - 1] {
            guard let restart = table.extent(number).restart, !restart.window.isEmpty,
                content.windows?.window(of: restart) == nil
            else { continue }
            isFetched[number - 1] = true
        }
        return isFetched
    }

    /// Passes the whole archive to `check`.
    ///
    /// - Throws: `RegistryError`, or another error if the layer cannot be rebuilt.
    func read(
        into check: Guarded<ArchiveCheck>, from blob: BlobSource, on threads: BackgroundThreads
    ) async throws {
        for part in parts {
            switch part {
            case .stored(let extents):
                try await threads.run {
                    let decoder = ExtentDecoder()
                    try check.withLock { check in
                        try extents.forEach { try push($0.number, of: $0.record, to: check, with: decoder) }
                    }
                }
            case .fetched(let range, let start):
                let decoder = try await threads.run { [content] in
                    switch start {
                    case .blob: return Guarded(ArchiveDecoder())
                    case .extent(let extent):
                        let decoder = ExtentDecoder()
                        try decoder.begin(extent, content.windows)
                        return Guarded(ArchiveDecoder(decoder))
                    case .between(let codec):
                        let decoder = ExtentDecoder()
                        decoder.reset(codec)
                        return Guarded(ArchiveDecoder(decoder))
                    }
                }
                try await blob.read(content.chunks.blobDigest, range, of: content.chunks.blobSize, on: threads) {
                    bytes in
                    try decoder.withLock { decoder in
                        try check.withLock { check in
                            try decoder.push(bytes) { (made) throws(LayerFormatError) in try check.push(made) }
                        }
                    }
                }
            }
        }
    }

    /// Passes the decoded bytes of an extent to `check`: in turn, chunks and gaps (the bytes outside all chunks).
    private func push(
        _ number: Int, of record: TarSplitLog.Record, to check: ArchiveCheck, with decoder: ExtentDecoder
    ) throws {
        let gaps = try gaps(number, of: record, with: decoder)
        var place = 0
        var position: UInt64 = 0
        func gap(_ count: Int) throws {
            guard count <= gaps.count - place else {
                throw ContentStoreError(.damaged, "what was written down of extent \(number) is too short")
            }
            try gaps[place..<place + count].withUnsafeBytes { try check.push($0) }
            place += count
        }
        for index in content.chunks.extent(number).chunks {
            let chunk = content.chunks.chunk(index)
            guard !chunk.isZeros, chunk.innerOffset >= position else { continue }
            try gap(Int(chunk.innerOffset - position))
            let bytes = try [UInt8](unsafeUninitializedCapacity: Int(chunk.content.count)) { buffer, count in
                let target = UnsafeMutableRawBufferPointer(
                    rebasing: UnsafeMutableRawBufferPointer(buffer)[..<Int(chunk.content.count)])
                let missing = try content.read(
                    index..<index + 1, at: chunk.content.offset, into: target, isUse: false)
                guard missing == nil else {
                    throw ContentStoreError(.damaged, "chunk \(index) was evicted during the verification")
                }
                count = target.count
            }
            try bytes.withUnsafeBytes { try check.push($0) }
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

extension Codec {
    fileprivate init(_ codec: ExtentCodec) {
        self =
            switch codec {
            case .raw: .raw
            case .gzip: .gzip
            case .zstd: .zstd
            case .deflate: .deflate
            }
    }
}
