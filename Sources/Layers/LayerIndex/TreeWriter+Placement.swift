import Base

extension TreeWriter {
    /// The position of the next inode. An inode may start on any 32-byte boundary. Its inline data must not cross a
    /// block boundary (Linux fs/erofs/inode.c and data.c, "inline data cross block boundary"). So the writer keeps an
    /// inode and its inline data in one block.
    struct Cursor {
        var position: Int
        /// The unused rest of an earlier block, in which an inode with inline data did not fit.
        var gap: Range<Int> = 0..<0

        /// Reserves `size` bytes and returns their offset in the image. If `together` is true, all of these bytes are
        /// in one block.
        mutating func take(_ size: Int, together: Bool) -> Int {
            let size = EROFS.align(size, to: EROFS.nodeUnit)
            if size <= gap.count {
                let start = gap.lowerBound
                gap = start + size..<gap.upperBound
                return start
            }
            let left = EROFS.blockSize - position % EROFS.blockSize
            if together, size > left {
                if left > gap.count { gap = position..<position + left }
                position += left
            }
            let start = position
            position += size
            return start
        }
    }

    /// Assigns a number to every inode, and data blocks to directories and symbolic links that need them.
    mutating func placeInodes() throws(LayerIndexError) {
        slots = [UInt32](repeating: 0, count: arena.nodes.count)
        let tableEnd = (Int(EROFS.deviceTableSlot) + devices.count) * EROFS.deviceSlotSize
        var cursor = Cursor(position: EROFS.align(tableEnd, to: EROFS.nodeUnit))
        try place(0, &cursor)
        // Without the 48BIT feature the root's number has 16 bits.
        guard slots[0] <= UInt32(UInt16.max) else {
            throw LayerIndexError(.limit, "\(devices.count) layers leave no room for the root")
        }
        var stack: [UInt32] = [0]
        while let directory = stack.popLast() {
            let range = childRange(directory)
            let bottom = stack.count
            for position in range where children[position] < Self.parentMarker {
                let node = target(children[position])
                guard slots[Int(node)] == 0 else { continue }
                try place(node, &cursor)
                if arena.nodes[Int(node)].isDirectory { stack.append(node) }
            }
            stack[bottom...].reverse()
        }
        dataStart = EROFS.align(cursor.position, to: EROFS.blockSize) / EROFS.blockSize
        guard dataStart + dataBlocks < Int(EROFS.noBlock) else {
            throw LayerIndexError(.limit, "the tree takes more than 16 TiB")
        }
    }

    private mutating func place(_ index: UInt32, _ cursor: inout Cursor) throws(LayerIndexError) {
        let node = arena.nodes[Int(index)]
        if node.xattrLength > 0 { hasXattrs = true }
        inodeCount += 1
        if fitsCompact(node) { arena.nodes[Int(index)].flags.insert(.compact) }
        let header = headerSize(arena.nodes[Int(index)])
        let start: Int
        if node.flags.contains(.hasContent) {
            start = cursor.take(EROFS.align(header, to: 8) + 8, together: false)
        } else if node.size > 0, node.kind == .directory || node.kind == .symlink {
            let tail = Int(node.size % UInt64(EROFS.blockSize))
            var blocks = Int(node.size / UInt64(EROFS.blockSize))
            if tail > 0, header + tail <= EROFS.blockSize {
                arena.nodes[Int(index)].flags.insert(.inline)
                start = cursor.take(header + tail, together: true)
            } else {
                blocks += tail > 0 ? 1 : 0
                start = cursor.take(header, together: false)
            }
            if node.kind == .directory { arena.nodes[Int(index)].payload = UInt32(dataBlocks) }
            if node.kind == .symlink { arena.nodes[Int(index)].extra = UInt32(dataBlocks) }
            dataBlocks += blocks
        } else {
            start = cursor.take(header, together: false)
        }
        guard let slot = UInt32(exactly: start / EROFS.nodeUnit), dataBlocks < Int(EROFS.noBlock) else {
            throw LayerIndexError(.limit, "the tree takes more than 128 GiB")
        }
        slots[Int(index)] = slot
    }

    /// Returns the size in bytes of the inode and its extended attributes.
    func headerSize(_ node: NodeArena.Node) -> Int {
        let inode = node.flags.contains(.compact) ? EROFS.compactInodeSize : EROFS.extendedInodeSize
        return inode + (node.xattrLength == 0 ? 0 : EROFS.xattrHeaderSize + Int(node.xattrLength))
    }

    private func fitsCompact(_ node: NodeArena.Node) -> Bool {
        node.size <= UInt64(UInt32.max) && node.uid <= UInt32(UInt16.max) && node.gid <= UInt32(UInt16.max)
            && node.linkCount <= UInt32(UInt16.max) && node.modifiedSeconds == epoch.seconds
            && node.modifiedNanoseconds == epoch.nanoseconds
    }
}
