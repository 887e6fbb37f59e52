public import Base

extension TreeImage {
    /// Calls `body` with each stored attribute of an inode until `body` returns `false`. `index` is the number of the
    /// attribute's namespace, and `name` the rest of its name.
    @inline(__always)
    private func forEachStoredAttribute(
        _ number: UInt64,
        _ body: (_ index: UInt8, _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool
    ) throws(LayerIndexError) {
        let inode = try inode(number)
        guard inode.xattrSize > 0 else { return }
        let list = try image.slice(at: inode.xattrStart, count: inode.xattrSize)
        guard list.littleEndian(UInt8.self, at: 4) == 0 else { throw Self.corrupt("shared extended attributes") }
        var position = EROFS.xattrHeaderSize
        while position < list.count {
            guard let nameLength = list.littleEndian(UInt8.self, at: position),
                let index = list.littleEndian(UInt8.self, at: position + 1),
                let valueLength = list.littleEndian(UInt16.self, at: position + 2)
            else {
                throw Self.corrupt("an extended attribute cut short")
            }
            let name = position + EROFS.xattrEntrySize
            let value = name + Int(nameLength)
            let end = value + Int(valueLength)
            guard end <= list.count else { throw Self.corrupt("an extended attribute cut short") }
            let goesOn = body(
                index, UnsafeRawBufferPointer(rebasing: list[name..<value]),
                UnsafeRawBufferPointer(rebasing: list[value..<end]))
            guard goesOn else { return }
            position = EROFS.align(end, to: 4)
        }
    }

    /// Calls `body` with the value of an inode's attribute and returns the result; `nil` if there is no such attribute.
    /// `name` is the full name (`security.capability`).
    public func extendedAttribute<Result>(
        _ number: UInt64, name: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Result
    ) throws(LayerIndexError) -> Result? {
        guard hasExtendedAttributes, let split = ExtendedAttributeName.split(name) else { return nil }
        let suffix = UnsafeRawBufferPointer(rebasing: name[split.prefix...])
        var result: Result?
        try forEachStoredAttribute(number) { index, stored, value in
            guard index == split.index, stored.elementsEqual(suffix) else { return true }
            result = body(value)
            return false
        }
        return result
    }

    /// Calls `body` with the full name and the value of each of an inode's attributes until `body` returns `false`.
    /// Skips attributes of a namespace that Linux does not know.
    public func forEachExtendedAttribute(
        _ number: UInt64,
        _ body: (_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool
    ) throws(LayerIndexError) {
        guard hasExtendedAttributes else { return }
        try forEachStoredAttribute(number) { index, stored, value in
            guard let prefix = ExtendedAttributeName.prefix(index), prefix.isWhole == stored.isEmpty else {
                return true
            }
            // The longest prefix has 24 bytes, and the stored part at most 255.
            return withUnsafeTemporaryAllocation(byteCount: 288, alignment: 1) { buffer in
                let length = prefix.text.count + stored.count
                guard length <= buffer.count else { return true }
                buffer.copyBytes(from: prefix.text)
                UnsafeMutableRawBufferPointer(rebasing: buffer[prefix.text.count..<length]).copyMemory(from: stored)
                return body(UnsafeRawBufferPointer(rebasing: buffer[..<length]), value)
            }
        }
    }
}
