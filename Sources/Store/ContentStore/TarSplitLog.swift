import Base
import LayerIndex
import Linux
import Synchronization
package import SystemPackage

/// A log of the gaps in a layer's extents (the smallest decodable pieces of its blob).
///
/// A gap is a stretch of an extent's decoded bytes that belongs to no chunk: archive headers, padding, or zeros. It
/// lies before, between or after the extent's chunks.
///
/// The threads that decode extents write the log. The verification of the layer rebuilds the layer's archive from the
/// log and the content. From the registry, it fetches only the bytes that neither the log nor the content has.
///
/// Only unverified layers have a log. The file is a sequence of records:
///
/// ```
///  0  extent u32    4  decoded size of its gaps u32    8  stored size u32    12  CRC-32C of the other bytes u32
/// 16  the extent's gaps one after the other, as the caller compressed them
/// ```
///
/// If the write of a record failed, the readers of the log cannot find the later records. The verification fetches the
/// extents without a record. If a record has a wrong checksum, the verification fetches the whole blob.
public final class TarSplitLog: Sendable {
    /// The maximum decoded size, in bytes, of all gaps of one extent together. The log does not record larger gaps.
    public static let maximumGaps = 8 << 20
    private static let headerSize = 16

    /// The entry of the log for one extent: the place of the extent's gaps in the log file, and their size. Gaps are
    /// decoded bytes outside all chunks.
    public struct Record: Sendable, Equatable {
        /// The decoded size of all the extent's gaps together, in bytes.
        public let byteCount: Int
        fileprivate let stored: ByteRange
        fileprivate let checksum: UInt32
    }

    private let file: OnDemandFile
    /// The extents that this process has recorded.
    private let written: AtomicBits
    private let isClosed = Atomic<Bool>(false)
    private let end: Guarded<UInt64>
    private let space: CacheSpace

    /// Opens the file at `path`, or creates it if it is missing.
    package convenience init(path: String, extentCount: Int) throws(Errno) {
        try self.init(
            path: path, extentCount: extentCount, space: CacheSpace(), files: DescriptorBudget(limit: .max))
    }

    /// Opens the file at `path`, or creates it if it is missing.
    ///
    /// - Parameters:
    ///   - space: the account of the store's space.
    ///   - files: the account of the store's open files.
    init(path: String, extentCount: Int, space: CacheSpace, files: DescriptorBudget) throws(Errno) {
        self.space = space
        let file = try Sys.open(path, [.readWrite, .create, .noFollow, .nonBlocking])
        let status = try Sys.fstat(file.raw)
        guard status.kind == .regular else { throw .invalidArgument }
        self.file = try OnDemandFile(file, path: path, budget: files)
        end = Guarded(status.size)
        written = AtomicBits(
            count: extentCount, initial: [UInt64](repeating: 0, count: AtomicBits.wordCount(for: extentCount)))
    }

    /// Returns true if the decoder of `extent` should pass the extent's gaps to ``append(_:byteCount:stored:)``.
    /// Returns false if this process has already recorded the gaps, and after ``close()``. Gaps are decoded bytes
    /// outside all chunks.
    public func wants(_ extent: Int) -> Bool {
        !isClosed.load(ordering: .relaxed) && extent < written.count && !written.contains(extent)
    }

    /// Records the gaps of an extent: its decoded bytes outside all chunks. Does nothing if ``wants(_:)`` returns false
    /// for the extent, or if the gaps are larger than ``maximumGaps``. Ignores a failed write, and writes
    /// nothing if the store is full.
    ///
    /// - Parameters:
    ///   - byteCount: the decoded size of all gaps in bytes.
    ///   - stored: all gaps one after the other, compressed by the caller.
    public func append(_ extent: Int, byteCount: Int, stored: [UInt8]) {
        guard wants(extent), byteCount <= Self.maximumGaps, stored.count <= 2 * Self.maximumGaps,
            space.take(UInt64(Self.headerSize + stored.count)), written.set(extent)
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
        try? file.use { (file) throws(Errno) in try Sys.pwriteAll(file, record, at: place) }
    }

    /// Returns the records by extent number. Stops at the first record with a missing or malformed header. Does not
    /// verify checksums.
    public func records() -> [Int: Record] {
        var found: [Int: Record] = [:]
        var place: UInt64 = 0
        let end = end.withLock { $0 }
        while place + UInt64(Self.headerSize) <= end,
            let header = try? file.use({ (file) throws(Errno) in
                try Sys.pread(file, count: Self.headerSize, at: place)
            }), header.count == Self.headerSize
        {
            let words = header.withUnsafeBytes { header in
                (0..<4).map { header.littleEndian(UInt32.self, at: 4 * $0) ?? 0 }
            }
            let stored = ByteRange(
                offset: place + UInt64(Self.headerSize), end: place + UInt64(Self.headerSize) + UInt64(words[2]))
            // After a hole or a bad header, no later record can be found.
            guard words[3] != 0, stored.end <= end, words[1] <= Self.maximumGaps else { break }
            found[Int(words[0])] = Record(byteCount: Int(words[1]), stored: stored, checksum: words[3])
            place = stored.end
        }
        return found
    }

    /// Returns the gaps in `record`, the record of `extent`, still compressed. Returns `nil` if the record is
    /// unreadable or does not match its checksum. Gaps are an extent's decoded bytes outside all chunks.
    public func stored(_ record: Record, of extent: Int) -> [UInt8]? {
        let stored = try? file.use { (file) throws(Errno) in
            try Sys.pread(file, count: Int(record.stored.count), at: record.stored.offset)
        }
        guard let bytes = stored else { return nil }
        var header: [UInt8] = []
        header.appendLittleEndian(UInt32(truncatingIfNeeded: extent))
        header.appendLittleEndian(UInt32(record.byteCount))
        header.appendLittleEndian(UInt32(bytes.count))
        return Self.checksum(header, bytes) == record.checksum ? bytes : nil
    }

    /// Stops recording.
    func close() {
        isClosed.store(true, ordering: .relaxed)
        closeFile()
    }

    /// Closes the file until it is used again.
    func closeFile() { file.close { _ in } }

    /// Returns the CRC-32C of a record. Returns 1 instead of 0, because a checksum of 0 marks a record that was not
    /// written.
    private static func checksum(_ header: [UInt8], _ bytes: [UInt8]) -> UInt32 {
        max(1, CRC32C.checksum(header + bytes))
    }
}
