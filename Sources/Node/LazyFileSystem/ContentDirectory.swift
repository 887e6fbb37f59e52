import Base
import ContentStore

/// The directory `content` in the root of the mount. It has one file for each layer of the mounted chains, sorted by
/// inode number.
///
/// A file's inode number contains 39 bits of the hash of the layer's key, so the number stays the same after a restart.
/// If two layers have the same 39 bits, the layer that is added second has the next free number.
struct ContentDirectory {
    struct Entry {
        let nid: UInt64
        let layer: ReadLayer
        var references: Int
    }

    /// The bit that is set in the inode number of each file. The root and `content` are also in slot 0, but this bit is
    /// not set in their inode numbers.
    private static let mark: UInt64 = 1 << 39

    private var entries: [Entry] = []

    var count: Int { entries.count }

    private static func firstNid(of id: Digest) -> UInt64 {
        let bits = id.withBytes { $0.littleEndian(UInt64.self, at: 0) ?? 0 }
        return mark | (bits & (mark - 1))
    }

    /// Returns the index of the entry with the inode number `nid`, or the index at which to insert it.
    private func position(of nid: UInt64) -> Int {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].nid < nid { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func index(of id: Digest) -> Int? {
        // Colliding entries are adjacent. One of them may have been removed, so the search continues past unused
        // numbers.
        var index = position(of: Self.firstNid(of: id))
        while index < entries.count {
            if entries[index].layer.content.key.id == id { return index }
            guard entries[index].nid < Self.firstNid(of: id) &+ 64 else { return nil }
            index += 1
        }
        return nil
    }

    func entry(_ nid: UInt64) -> Entry? {
        let index = position(of: nid)
        return index < entries.count && entries[index].nid == nid ? entries[index] : nil
    }

    func entry(_ id: Digest) -> Entry? {
        index(of: id).map { entries[$0] }
    }

    /// Returns the first entry with an inode number of at least `nid`; `nil` if there is none.
    func entry(from nid: UInt64) -> Entry? {
        let index = position(of: max(nid, Self.mark))
        return index < entries.count ? entries[index] : nil
    }

    /// Adds a chain's reference to a layer.
    ///
    /// - Returns: true if this added a file to the directory.
    mutating func add(_ content: StoredLayer) -> Bool {
        if let index = index(of: content.key.id) {
            entries[index].references += 1
            return false
        }
        // 64 layers whose digests share 39 bits are no accident. The 65th has no file here and is only read through its
        // chain.
        var nid = Self.firstNid(of: content.key.id)
        let end = nid &+ 64
        var index = position(of: nid)
        while index < entries.count, entries[index].nid == nid {
            nid += 1
            index += 1
        }
        guard nid < end, nid < Self.mark << 1 else { return false }
        entries.insert(Entry(nid: nid, layer: ReadLayer(content), references: 1), at: index)
        return true
    }

    /// Removes a chain's reference to a layer.
    ///
    /// - Returns: true if this removed a file from the directory.
    mutating func remove(_ id: Digest) -> Bool {
        guard let index = index(of: id) else { return false }
        entries[index].references -= 1
        guard entries[index].references == 0 else { return false }
        entries.remove(at: index)
        return true
    }
}
