public import Base
import LayerIndex

/// Extended attributes.
extension LazyFileSystem {
    /// Returns the result of `body` for the value of the extended attribute `name`; `nil` if `node` has no such
    /// attribute. The bytes are valid only during the call of `body`.
    public func withExtendedAttribute<Result>(
        _ node: NodeID, named name: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Result
    ) throws(LazyFileSystemError) -> Result? {
        guard node.slot != 0 else { return nil }
        let chain = try chain(of: node)
        guard chain.tree.hasExtendedAttributes else { return nil }
        do {
            return try chain.tree.extendedAttribute(node.nid, name: name, body)
        } catch {
            throw chain.corrupt(error)
        }
    }

    /// Copies the value of the extended attribute `name` into `buffer`. If `buffer` is empty, only returns the length,
    /// as getxattr(2) does.
    ///
    /// - Returns: the value's length in bytes; `nil` if `node` has no such attribute.
    /// - Throws: ``LazyFileSystemErrorCode/tooSmall`` if a non-empty `buffer` is too small.
    public func extendedAttribute(
        _ node: NodeID, named name: UnsafeRawBufferPointer, into buffer: UnsafeMutableRawBufferPointer
    ) throws(LazyFileSystemError) -> Int? {
        let count = try withExtendedAttribute(node, named: name) { value in
            if value.count <= buffer.count { buffer.copyMemory(from: value) }
            return value.count
        }
        guard let count else { return nil }
        guard buffer.isEmpty || count <= buffer.count else { throw .tooSmall }
        return count
    }

    /// Copies the names of all extended attributes of `node` into `buffer`, each followed by a NUL. If `buffer` is
    /// empty, only returns the length, as listxattr(2) does.
    ///
    /// - Returns: the length of all names in bytes, including the NULs.
    /// - Throws: ``LazyFileSystemErrorCode/tooSmall`` if a non-empty `buffer` is too small.
    public func extendedAttributeNames(
        _ node: NodeID, into buffer: UnsafeMutableRawBufferPointer
    ) throws(LazyFileSystemError) -> Int {
        guard node.slot != 0 else { return 0 }
        let chain = try chain(of: node)
        guard chain.tree.hasExtendedAttributes else { return 0 }
        var count = 0
        do {
            try chain.tree.forEachExtendedAttribute(node.nid) { name, _ in
                if count + name.count < buffer.count {
                    UnsafeMutableRawBufferPointer(rebasing: buffer[count...]).copyMemory(from: name)
                    buffer[count + name.count] = 0
                }
                count += name.count + 1
                return true
            }
        } catch {
            throw chain.corrupt(error)
        }
        guard buffer.isEmpty || count <= buffer.count else { throw .tooSmall }
        return count
    }
}
