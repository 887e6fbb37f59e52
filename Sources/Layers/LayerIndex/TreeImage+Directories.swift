public import Base

extension TreeImage {
    /// One block of a directory's entries: the records, then the names.
    private struct DirectoryBlock {
        let bytes: UnsafeRawBufferPointer
        let count: Int

        init(_ bytes: UnsafeRawBufferPointer) throws(LayerIndexError) {
            self.bytes = bytes
            // The first name starts where the records end.
            guard let first = bytes.littleEndian(UInt16.self, at: 8), first > 0,
                Int(first) % EROFS.direntSize == 0, Int(first) < bytes.count
            else {
                throw TreeImage.corrupt("a directory block without entries")
            }
            count = Int(first) / EROFS.direntSize
        }

        /// Returns the name of the entry at `index`, which must be below ``count``.
        @inline(__always)
        func name(_ index: Int) throws(LayerIndexError) -> UnsafeRawBufferPointer {
            let record = index * EROFS.direntSize
            let isLast = index == count - 1
            let next = isLast ? UInt16(bytes.count) : bytes.littleEndian(UInt16.self, at: record + EROFS.direntSize + 8)
            guard let start = bytes.littleEndian(UInt16.self, at: record + 8), let next,
                Int(start) >= count * EROFS.direntSize, start < next, Int(next) <= bytes.count
            else {
                throw TreeImage.corrupt("a name outside its block")
            }
            var end = Int(next)
            if isLast {
                // The last name of a full block ends before the padding.
                while end > Int(start), bytes[end - 1] == 0 { end -= 1 }
            }
            let length = end - Int(start)
            guard length > 0, length <= IndexLimits.nameLength else {
                throw TreeImage.corrupt("an empty or overlong name")
            }
            return UnsafeRawBufferPointer(rebasing: bytes[Int(start)..<end])
        }

        @inline(__always)
        func destination(_ index: Int) throws(LayerIndexError) -> (number: UInt64, kind: FileKind) {
            let record = index * EROFS.direntSize
            guard let number = bytes.littleEndian(UInt64.self, at: record),
                let type = bytes.littleEndian(UInt8.self, at: record + 10), let kind = EROFS.kind(entryType: type)
            else {
                throw TreeImage.corrupt("an entry of an unknown kind")
            }
            return (number, kind)
        }
    }

    /// Returns block `index` of the directory. `index` must be below the number of blocks, which follows from the
    /// directory's size.
    @inline(__always)
    private func block(_ index: Int, of directory: Inode) throws(LayerIndexError) -> DirectoryBlock {
        let whole = Int(directory.size / UInt64(EROFS.blockSize))
        let tail = Int(directory.size % UInt64(EROFS.blockSize))
        let count = index < whole ? EROFS.blockSize : tail
        let start =
            index == whole && directory.layout == EROFS.Layout.inline
            ? directory.end : (Int(directory.detail) + index) * EROFS.blockSize
        return try DirectoryBlock(try image.slice(at: start, count: count))
    }

    @inline(__always)
    private func directory(_ number: UInt64) throws(LayerIndexError) -> (inode: Inode, blocks: Int) {
        let inode = try inode(number)
        guard inode.kind == .directory, inode.size <= UInt64(image.count),
            inode.layout == EROFS.Layout.inline || inode.layout == EROFS.Layout.plain
        else {
            throw Self.corrupt("a listing of something other than a directory")
        }
        return (inode, Int(EROFS.blocks(inode.size)))
    }

    /// Returns the inode number of the entry called `name` in a directory; `nil` if there is none.
    public func lookup(
        _ directory: UInt64, _ name: UnsafeRawBufferPointer
    ) throws(LayerIndexError) -> UInt64? {
        let (inode, blocks) = try self.directory(directory)
        guard blocks > 0, !name.isEmpty else { return nil }
        // Find the last block whose first name does not come after `name`.
        var low = 0
        var high = blocks
        while high - low > 1 {
            let middle = (low + high) / 2
            if Bytes.compare(try block(middle, of: inode).name(0), name) <= 0 { low = middle } else { high = middle }
        }
        let block = try block(low, of: inode)
        var first = 0
        var end = block.count
        while first < end {
            let middle = (first + end) / 2
            let order = Bytes.compare(try block.name(middle), name)
            if order == 0 { return try block.destination(middle).number }
            if order < 0 { first = middle + 1 } else { end = middle }
        }
        return nil
    }

    /// Lists a directory in the order of its names, including `.` and `..` at their sorted positions.
    ///
    /// - Parameters:
    ///   - cookie: 0 for the start, or an earlier `nextCookie` of the same directory.
    ///   - body: receives the name, the inode number, the kind as in `d_type` (``FileKind``), and the cookie of the
    ///     entry after this one. Returns `false` to stop.
    public func forEachEntry(
        _ directory: UInt64, from cookie: UInt64 = 0,
        _ body: (_ name: UnsafeRawBufferPointer, _ inode: UInt64, _ fileType: UInt8, _ nextCookie: UInt64) -> Bool
    ) throws(LayerIndexError) {
        let (inode, blocks) = try self.directory(directory)
        // A cookie is the byte offset of an entry's record in the directory, as in Linux's own EROFS.
        guard cookie < inode.size else { return }
        var index = Int(cookie) / EROFS.blockSize
        var entry = (Int(cookie) % EROFS.blockSize + EROFS.direntSize - 1) / EROFS.direntSize
        while index < blocks {
            let block = try block(index, of: inode)
            while entry < block.count {
                let name = try block.name(entry)
                let (number, kind) = try block.destination(entry)
                entry += 1
                let next =
                    entry < block.count
                    ? index * EROFS.blockSize + entry * EROFS.direntSize : (index + 1) * EROFS.blockSize
                guard body(name, number, kind.rawValue, UInt64(next)) else { return }
            }
            index += 1
            entry = 0
        }
    }
}
