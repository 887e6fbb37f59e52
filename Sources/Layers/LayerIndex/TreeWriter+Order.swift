extension TreeWriter {
    /// Sorts the children of every directory in EROFS's order: by bytes, and a name before longer names that start with
    /// it.
    ///
    /// - Parameter meter: the meter that stops the work at its deadline.
    mutating func sortChildren(_ meter: inout WorkMeter) throws(LayerIndexError) {
        var keyed: [(key: UInt64, child: UInt32)] = []
        for index in arena.nodes.indices where isLiveDirectory(index) {
            let range = childRange(UInt32(index))
            keyed.removeAll(keepingCapacity: true)
            for position in range {
                keyed.append((sortKey(children[position]), children[position]))
            }
            try WorkMeter.sort(&keyed) { (left, right) throws(LayerIndexError) in
                if left.key != right.key { return left.key < right.key }
                try meter.count()
                return precedes(left.child, right.child)
            }
            for (offset, entry) in keyed.enumerated() {
                children[range.lowerBound + offset] = entry.child
            }
        }
    }

    /// Returns the first eight bytes of the name as a big-endian number, padded with zeros (which no name contains). If
    /// two names have different keys, the order of the keys is the order of the names.
    private func sortKey(_ child: UInt32) -> UInt64 {
        switch child {
        case Self.selfMarker: return 0x2E00_0000_0000_0000
        case Self.parentMarker: return 0x2E2E_0000_0000_0000
        default: break
        }
        let node = arena.nodes[Int(child)]
        let start = Int(node.nameOffset)
        var key: UInt64 = 0
        let count = min(Int(node.nameLength), 8)
        for position in start..<start + count {
            key = key << 8 | UInt64(arena.bytes[position])
        }
        return count == 0 ? 0 : key << UInt64(8 * (8 - count))
    }

    /// Returns true if the name of `left` comes before the name of `right`. Both must have the same ``sortKey(_:)``, so
    /// the names are equal or both have at least eight bytes.
    private func precedes(_ left: UInt32, _ right: UInt32) -> Bool {
        // No other name has the key of a marker, because `.` and `..` are shorter than eight bytes.
        guard left < Self.parentMarker, right < Self.parentMarker else { return false }
        let leftNode = arena.nodes[Int(left)]
        let rightNode = arena.nodes[Int(right)]
        let leftStart = Int(leftNode.nameOffset)
        let rightStart = Int(rightNode.nameOffset)
        // Names of a hostile layer share long beginnings.
        return arena.bytes.withUnsafeBytes { bytes in
            Bytes.compare(
                UnsafeRawBufferPointer(rebasing: bytes[leftStart..<leftStart + Int(leftNode.nameLength)]),
                UnsafeRawBufferPointer(rebasing: bytes[rightStart..<rightStart + Int(rightNode.nameLength)])) < 0
        }
    }
}
