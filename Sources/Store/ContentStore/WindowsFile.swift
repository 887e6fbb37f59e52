public import Base
public import LayerIndex
import Linux
import SystemPackage

/// The windows of a layer's restart points, as far as they have been fetched: a sparse copy of the windows blob.
///
/// Nothing in it is trusted: the chunk table has a checksum of each window, and one that does not match (a hole reads
/// as zeros) is fetched again.
public final class WindowsFile: Sendable {
    private let path: String
    private let file: OwnedDescriptor

    /// Opens the file at `path`, made when it is missing.
    init(path: String) throws(Errno) {
        self.path = path
        file = try Sys.open(path, [.readWrite, .create, .noFollow, .nonBlocking])
        guard try Sys.fstat(file.raw).kind == .regular else { throw .invalidArgument }
    }

    /// The window of `restart`, compressed; `nil` when it is not here.
    public func window(of restart: ExtentRestart) -> [UInt8]? {
        let bytes = try? Sys.pread(file.raw, count: Int(restart.window.count), at: restart.window.offset)
        return bytes.flatMap { restart.isWindow($0) ? $0 : nil }
    }

    /// Keeps bytes of the windows blob.
    public func store(_ bytes: [UInt8], at offset: UInt64) throws(ContentStoreError) {
        try ContentStoreError.wrapping("cannot write \(path)") { () throws(Errno) in
            try Sys.pwriteAll(file.raw, bytes, at: offset)
        }
    }
}
