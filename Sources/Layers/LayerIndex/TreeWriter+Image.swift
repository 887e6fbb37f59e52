import Base

extension TreeWriter {
    /// Writes every inode, directory and link at its assigned position and returns the image.
    func image() throws(LayerIndexError) -> [UInt8] {
        let blocks = dataStart + dataBlocks
        var image = [UInt8](repeating: 0, count: blocks * EROFS.blockSize)
        let addresses = try deviceAddresses(after: UInt64(blocks))
        image.withUnsafeMutableBytes { bytes in
            let buffer = ImageBuffer(bytes: bytes)
            arena.bytes.withUnsafeBytes { names in
                for index in arena.nodes.indices where slots[index] != 0 {
                    write(UInt32(index), names: names, to: buffer)
                }
            }
            writeDevices(addresses, to: buffer)
            writeSuperblock(blocks: UInt32(blocks), to: buffer)
        }
        return image
    }

    private func write(_ index: UInt32, names: UnsafeRawBufferPointer, to buffer: ImageBuffer) {
        let node = arena.nodes[Int(index)]
        let start = Int(slots[Int(index)]) * EROFS.nodeUnit
        let header = headerSize(node)
        var layout = EROFS.Layout.plain
        var detail = EROFS.noBlock
        switch node.kind {
        case .regular where node.flags.contains(.hasContent):
            layout = EROFS.Layout.chunked
            // One chunk for the whole file.
            let blocks = EROFS.blocks(node.size)
            let bits = blocks <= 1 ? 0 : UInt64.bitWidth - (blocks - 1).leadingZeroBitCount
            detail = UInt32(EROFS.chunkIndexes) | UInt32(bits)
            let entry = start + EROFS.align(header, to: 8)
            buffer.store(UInt16(0), at: entry)
            buffer.store(UInt16(node.extra + 1), at: entry + 2)
            buffer.store(node.payload, at: entry + 4)
        case .directory, .symlink:
            let first = node.kind == .directory ? node.payload : node.extra
            let inline = node.flags.contains(.inline)
            layout = inline ? EROFS.Layout.inline : EROFS.Layout.plain
            if !inline || node.size >= UInt64(EROFS.blockSize) { detail = UInt32(dataStart) + first }
            if node.kind == .directory {
                writeDirectory(index, first: first, tail: inline ? start + header : nil, names: names, to: buffer)
            } else {
                let target = Int(node.payload)..<Int(node.payload) + Int(node.size)
                let place = inline ? start + header : (dataStart + Int(first)) * EROFS.blockSize
                buffer.copy(UnsafeRawBufferPointer(rebasing: names[target]), at: place)
            }
        case .character, .block:
            detail = node.payload
        default: break
        }
        writeInode(node, layout: layout, detail: detail, number: slots[Int(index)], at: start, to: buffer)
        if node.xattrLength > 0 {
            let place = start + (node.flags.contains(.compact) ? EROFS.compactInodeSize : EROFS.extendedInodeSize)
            let range = Int(node.xattrOffset)..<Int(node.xattrOffset) + Int(node.xattrLength)
            arena.xattrs.withUnsafeBytes { xattrs in
                buffer.copy(UnsafeRawBufferPointer(rebasing: xattrs[range]), at: place + EROFS.xattrHeaderSize)
            }
        }
    }

    private func writeInode(
        _ node: NodeArena.Node, layout: UInt16, detail: UInt32, number: UInt32, at start: Int, to buffer: ImageBuffer
    ) {
        let compact = node.flags.contains(.compact)
        buffer.store((compact ? 0 : 1) | layout << 1, at: start)
        buffer.store(node.xattrLength == 0 ? 0 : UInt16(1 + node.xattrLength / 4), at: start + 2)
        buffer.store(node.mode, at: start + 4)
        buffer.store(detail, at: start + 16)
        buffer.store(number, at: start + 20)
        if compact {
            buffer.store(UInt16(node.linkCount), at: start + 6)
            buffer.store(UInt32(node.size), at: start + 8)
            buffer.store(UInt16(node.uid), at: start + 24)
            buffer.store(UInt16(node.gid), at: start + 26)
        } else {
            buffer.store(node.size, at: start + 8)
            buffer.store(node.uid, at: start + 24)
            buffer.store(node.gid, at: start + 28)
            buffer.store(node.modifiedSeconds, at: start + 32)
            buffer.store(node.modifiedNanoseconds, at: start + 40)
            buffer.store(node.linkCount, at: start + 44)
        }
    }

    /// Writes the entries of directory `index` into blocks. `first` is the number of the directory's first data block,
    /// counted from ``dataStart``. If the last block follows the inode instead, `tail` is that block's offset in the
    /// image, in bytes. Otherwise, `tail` is `nil`.
    private func writeDirectory(
        _ index: UInt32, first: UInt32, tail: Int?, names: UnsafeRawBufferPointer, to buffer: ImageBuffer
    ) {
        let range = childRange(index)
        var block = dataStart + Int(first)
        var position = range.lowerBound
        while position < range.upperBound {
            // The entries of one block, as ``measureDirectories()`` divided them.
            var used = 0
            var end = position
            while end < range.upperBound {
                let need = EROFS.direntSize + nameLength(children[end])
                if used + need > EROFS.blockSize { break }
                used += need
                end += 1
            }
            let isLast = end == range.upperBound
            let start = isLast ? tail ?? block * EROFS.blockSize : block * EROFS.blockSize
            var nameOffset = (end - position) * EROFS.direntSize
            for (count, child) in (position..<end).enumerated() {
                let entry = start + count * EROFS.direntSize
                let (slot, kind) = destination(of: children[child], in: index)
                buffer.store(UInt64(slot), at: entry)
                buffer.store(UInt16(nameOffset), at: entry + 8)
                buffer.store(kind.map(EROFS.entryType) ?? 0, at: entry + 10)
                let length = nameLength(children[child])
                if children[child] < Self.parentMarker {
                    let name = Int(arena.nodes[Int(children[child])].nameOffset)
                    buffer.copy(UnsafeRawBufferPointer(rebasing: names[name..<name + length]), at: start + nameOffset)
                } else {
                    for dot in 0..<length { buffer.store(UInt8(0x2E), at: start + nameOffset + dot) }
                }
                nameOffset += length
            }
            position = end
            block += 1
        }
    }

    private func destination(of child: UInt32, in directory: UInt32) -> (slot: UInt32, kind: FileKind?) {
        switch child {
        case Self.selfMarker: return (slots[Int(directory)], .directory)
        case Self.parentMarker: return (slots[Int(arena.nodes[Int(directory)].parent)], .directory)
        default:
            let node = target(child)
            return (slots[Int(node)], arena.nodes[Int(node)].kind)
        }
    }

    /// Returns the number of each device's first block, as if the devices followed the image on one block device. The
    /// kernel uses these numbers if the image and all devices really are on one block device (`flatdev`, Linux 6.4).
    private func deviceAddresses(after blocks: UInt64) throws(LayerIndexError) -> [UInt32] {
        var addresses: [UInt32] = []
        var next = blocks
        for device in devices {
            guard let address = UInt32(exactly: next), device.blocks < UInt64(EROFS.noBlock) else {
                throw LayerIndexError(.limit, "the layers' files take more than 16 TiB")
            }
            addresses.append(address)
            next += device.blocks
        }
        return addresses
    }

    private func writeDevices(_ addresses: [UInt32], to buffer: ImageBuffer) {
        var slot = Int(EROFS.deviceTableSlot) * EROFS.deviceSlotSize
        for (device, address) in zip(devices, addresses) {
            for (offset, digit) in device.digest.hex.utf8.enumerated() {
                buffer.store(digit, at: slot + offset)
            }
            buffer.store(UInt32(device.blocks), at: slot + 64)
            buffer.store(address, at: slot + 68)
            slot += EROFS.deviceSlotSize
        }
    }

    private func writeSuperblock(blocks: UInt32, to buffer: ImageBuffer) {
        let base = EROFS.superblockOffset
        buffer.store(EROFS.magic, at: base + EROFS.Field.magic)
        buffer.store(EROFS.compatibleFeatures, at: base + EROFS.Field.compatible)
        buffer.store(EROFS.blockBits, at: base + EROFS.Field.blockBits)
        buffer.store(UInt16(slots[0]), at: base + EROFS.Field.rootNode)
        buffer.store(inodeCount, at: base + EROFS.Field.inodeCount)
        buffer.store(epoch.seconds, at: base + EROFS.Field.epoch)
        buffer.store(epoch.nanoseconds, at: base + EROFS.Field.epochNanoseconds)
        buffer.store(blocks, at: base + EROFS.Field.blocks)
        buffer.store(EROFS.incompatibleFeatures, at: base + EROFS.Field.incompatible)
        buffer.store(UInt16(devices.count), at: base + EROFS.Field.deviceCount)
        buffer.store(EROFS.deviceTableSlot, at: base + EROFS.Field.deviceTable)
        let name = hasXattrs ? EROFS.volumeNameWithXattrs : EROFS.volumeName
        name.withUTF8Buffer { text in
            for (offset, byte) in text.enumerated() {
                buffer.store(byte, at: base + EROFS.Field.volumeName + offset)
            }
        }
        uuid().withBytes { digest in
            for offset in 0..<16 {
                var byte = digest[offset]
                // RFC 9562: version 8 (a custom scheme), variant 10.
                if offset == 6 { byte = byte & 0x0F | 0x80 }
                if offset == 8 { byte = byte & 0x3F | 0x80 }
                buffer.store(byte, at: base + EROFS.Field.uuid + offset)
            }
        }
        let checked = UnsafeRawBufferPointer(rebasing: buffer.bytes[base..<EROFS.blockSize])
        buffer.store(CRC32C.update(.max, checked), at: base + EROFS.Field.checksum)
    }

    /// Returns the digest from which the image's UUID is made. The digest covers only the layers' digests, so equal
    /// images have equal UUIDs.
    private func uuid() -> Digest {
        var hasher = DigestHasher()
        Array("rivulet tree 1\n".utf8).withUnsafeBytes { hasher.update($0) }
        for device in devices {
            device.digest.withBytes { hasher.update($0) }
        }
        return hasher.finish()
    }
}
