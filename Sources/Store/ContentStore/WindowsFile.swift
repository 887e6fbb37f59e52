public import Base
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
public final class WindowsFile: Sendable {
    private let path: String
    private let file: OwnedDescriptor

    /// Opens the file at `path`, or creates it if it is missing.
    init(path: String) throws(Errno) {
        self.path = path
        file = try Sys.open(path, [.readWrite, .create, .noFollow, .nonBlocking])
        guard try Sys.fstat(file.raw).kind == .regular else { throw .invalidArgument }
    }

    /// Returns the compressed window of `restart`; `nil` if the window is missing or does not match its checksum.
    public func window(of restart: ExtentRestart) -> [UInt8]? {
        let bytes = try? Sys.pread(file.raw, count: Int(restart.window.count), at: restart.window.offset)
        return bytes.flatMap { restart.isWindow($0) ? $0 : nil }
    }

    /// Stores a part of the windows blob. `bytes` start at `offset` in that blob.
    public func store(_ bytes: [UInt8], at offset: UInt64) throws(ContentStoreError) {
        try ContentStoreError.wrapping("cannot write \(path)") { () throws(Errno) in
            try Sys.pwriteAll(file.raw, bytes, at: offset)
        }
    }
}
