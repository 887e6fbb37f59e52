public import Linux
import SystemPackage

// Read-only descriptors, to pass to another process that reads the layer itself.

extension StoredLayer {
    /// Opens the layer's tree for reading.
    public func openTree() throws(ContentStoreError) -> OwnedDescriptor {
        try Self.open(directory + "/tree.erofs")
    }

    /// Opens the content for reading. The reader must know which chunks are present. The bytes of any other chunk are a
    /// hole or unverified.
    public func openContent() throws(ContentStoreError) -> OwnedDescriptor {
        try Self.open(contentPath)
    }

    private var directory: String { String(contentPath.dropLast("/content".count)) }

    static func open(_ path: String) throws(ContentStoreError) -> OwnedDescriptor {
        do throws(Errno) {
            return try Sys.open(path, [.readOnly, .noFollow, .nonBlocking])
        } catch {
            throw ContentStoreError(errno: error, "cannot open \(path)")
        }
    }
}
