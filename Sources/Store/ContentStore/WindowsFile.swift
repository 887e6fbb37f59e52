import Base
public import LayerIndex
import Linux
import SystemPackage

/// A sparse local copy of a layer's windows blob. It holds the windows fetched so far.
///
/// A restart point is a place in a DEFLATE stream where decoding can begin. The compressed data after this place refers
/// back to at most 32 KiB of decoded data before this place. These decoded bytes are the window of the restart point.
/// The windows blob in the registry holds all windows of the layer. The local copy needs no presence bits: the chunk
/// table has a checksum of each window. A damaged or missing window does not match its checksum, so the node fetches it
/// again.
///
/// Parts that the disk does not take stay in memory, so that a full disk does not keep readers from their bytes.
public final class WindowsFile: Sendable {
    /// The maximum size of the parts in memory in bytes.
    private static let maximumUnstored = 4 << 20

    private struct Part {
        let range: ByteRange
        let bytes: [UInt8]
    }

    private let file: OnDemandFile
    private let space: CacheSpace
    /// The latest parts that the disk did not take, the oldest first.
    private let unstored = Guarded<[Part]>([])

    /// Opens the file at `path`, or creates it if it is missing.
    ///
    /// - Parameters:
    ///   - space: the account of the store's space.
    ///   - files: the account of the store's open files.
    init(path: String, space: CacheSpace, files: DescriptorBudget) throws(Errno) {
        self.space = space
        let file = try Sys.open(path, [.readWrite, .create, .noFollow, .nonBlocking])
        guard try Sys.fstat(file.raw).kind == .regular else { throw .invalidArgument }
        self.file = try OnDemandFile(file, path: path, budget: files)
    }

    /// Closes the file until it is used again.
    func closeFile() { file.close { _ in } }

    /// Returns the compressed window of `restart`; `nil` if the window is missing or does not match its checksum.
    public func window(of restart: ExtentRestart) -> [UInt8]? {
        let stored = try? file.use { (file) throws(Errno) in
            try Sys.pread(file, count: Int(restart.window.count), at: restart.window.offset)
        }
        if let stored, restart.isWindow(stored) { return stored }
        return unstored.withLock { parts in
            for part in parts where part.range.contains(restart.window) {
                let start = Int(restart.window.offset - part.range.offset)
                let bytes = Array(part.bytes[start..<start + Int(restart.window.count)])
                if restart.isWindow(bytes) { return bytes }
            }
            return nil
        }
    }

    /// Stores a part of the windows blob, or keeps it in memory if the disk does not take it. `bytes` start at `offset`
    /// in that blob.
    public func store(_ bytes: [UInt8], at offset: UInt64) {
        let isStored =
            space.take(UInt64(bytes.count))
            && (try? file.use { (file) throws(Errno) in try Sys.pwriteAll(file, bytes, at: offset) }) != nil
        if isStored { return }
        guard let range = ByteRange(offset: offset, count: UInt64(bytes.count)) else { return }
        unstored.withLock { parts in
            parts.append(Part(range: range, bytes: bytes))
            while parts.count > 1, parts.reduce(0, { $0 + $1.bytes.count }) > Self.maximumUnstored {
                parts.removeFirst()
            }
        }
    }
}
