import Base
import LayerIndex
import Linux
import Synchronization
package import SystemPackage

/// A log of the bytes that a layer's extents decode to beside their chunks (headers of the archive, padding, runs of
/// zeros), written as they are decoded: together with the content it rebuilds a layer's archive without the blob.
///
/// Kept only for layers that still have to be audited (``ContentStore/origin(of:)``). A log of records:
///
/// ```
///  0  extent u32    4  bytes in all its gaps u32    8  bytes of them as stored u32    12  CRC-32C of the rest u32
/// 16  the gaps one after the other, stored as the caller has compressed them
/// ```
///
/// A record that cannot be written, or that does not match its checksum, counts as absent: its bytes are fetched again.
public final class TarSplitLog: Sendable {
    /// Gaps of one extent that are larger than this are not kept, in bytes.
    public static let maximumGaps = 8 << 20
    private static let headerSize = 16

    /// The record of one extent.
    public struct Record: Sendable, Equatable {
        /// Bytes in all of its gaps.
        public let byteCount: Int
        fileprivate let stored: ByteRange
        fileprivate let checksum: UInt32
    }

    private let file: OwnedDescriptor
    /// Extents that this process has written down.
    private let written: AtomicBits
    private let isClosed = Atomic<Bool>(false)
    private let end: Guarded<UInt64>

    /// Opens the file at `path`, made when it is missing.
    package init(path: String, extentCount: Int) throws(Errno) {
        file = try Sys.open(path, [.readWrite, .create, .noFollow, .nonBlocking])
        let status = try Sys.fstat(file.raw)
        guard status.kind == .regular else { throw .invalidArgument }
        end = Guarded(status.size)
        written = AtomicBits(
            count: extentCount, initial: [UInt64](repeating: 0, count: AtomicBits.wordCount(for: extentCount)))
    }

    /// Returns whether to record the gaps of an extent that is being decoded.
    public func wants(_ extent: Int) -> Bool {
        !isClosed.load(ordering: .relaxed) && extent < written.count && !written.contains(extent)
    }

    /// Writes down the gaps of an extent: `byteCount` bytes, compressed to `stored`.
    public func append(_ extent: Int, byteCount: Int, stored: [UInt8]) {
        guard wants(extent), byteCount <= Self.maximumGaps, stored.count <= 2 * Self.maximumGaps,
            written.set(extent)
        else { return }
        var record: [UInt8] = []
        record.reserveCapacity(Self.headerSize + stored.count)
        record.appendLittleEndian(UInt32(extent))
        record.appendLittleEndian(UInt32(byteCount))
        record.appendLittleEndian(UInt32(stored.count))
        record.appendLittleEndian(Self.checksum(record, stored))
        record += stored
        let place = end.withLock { end in
            defer { end += UInt64(record.count) }
            return end
        }
        try? Sys.pwriteAll(file.raw, record, at: place)
    }

    /// All that is written down, by extent. Reads the headers of all records.
    public func records() -> [Int: Record] {
        var found: [Int: Record] = [:]
        var place: UInt64 = 0
        let end = end.withLock { $0 }
        while place + UInt64(Self.headerSize) <= end,
            let header = try? Sys.pread(file.raw, count: Self.headerSize, at: place), header.count == Self.headerSize
        {
            let words = header.withUnsafeBytes { header in
                (0..<4).map { header.littleEndian(UInt32.self, at: 4 * $0) ?? 0 }
            }
            let stored = ByteRange(
                offset: place + UInt64(Self.headerSize), end: place + UInt64(Self.headerSize) + UInt64(words[2]))
            // A hole, or no header: nothing behind it can be found.
            guard words[3] != 0, stored.end <= end, words[1] <= Self.maximumGaps else { break }
            found[Int(words[0])] = Record(byteCount: Int(words[1]), stored: stored, checksum: words[3])
            place = stored.end
        }
        return found
    }

    /// The gaps of an extent, as they were stored; `nil` when they are not what was written.
    public func stored(_ record: Record, of extent: Int) -> [UInt8]? {
        guard let bytes = try? Sys.pread(file.raw, count: Int(record.stored.count), at: record.stored.offset) else {
            return nil
        }
        var header: [UInt8] = []
        header.appendLittleEndian(UInt32(truncatingIfNeeded: extent))
        header.appendLittleEndian(UInt32(record.byteCount))
        header.appendLittleEndian(UInt32(bytes.count))
        return Self.checksum(header, bytes) == record.checksum ? bytes : nil
    }

    /// Nothing more is written down.
    func close() {
        isClosed.store(true, ordering: .relaxed)
    }

    /// Never 0, which is what a hole has.
    private static func checksum(_ header: [UInt8], _ bytes: [UInt8]) -> UInt32 {
        max(1, CRC32C.checksum(header + bytes))
    }
}
