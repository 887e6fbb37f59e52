import Base
import ContentStore

/// The directory `content`: one file a layer that some chain has, sorted by node.
///
/// A file's inode number is 39 bits of its blob digest, so it is the same after a restart; the next free number when two
/// layers meet.
struct ContentDirectory {
    struct Entry {
        let nid: UInt64
        let layer: ReadLayer
        var references: Int
    }

    /// Set in the inode number of each file, which keeps them apart from the directories of slot 0.
    private static let mark: UInt64 = 1 << 39

    private var entries: [Entry] = []

    var count: Int { entries.count }

    private static func firstNid(of digest: Digest) -> UInt64 {
        let bits = digest.withBytes { $0.littleEndian(UInt64.self, at: 0) ?? 0 }
        return mark | (bits & (mark - 1))
    }

    /// Where `nid` is or belongs.
    private func position(of nid: UInt64) -> Int {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].nid < nid { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func index(of digest: Digest) -> Int? {
        // Those that met lie one after the other; one of them may have gone since, so the search goes on past a gap.
        var index = position(of: Self.firstNid(of: digest))
        while index < entries.count {
            if entries[index].layer.content.digest == digest { return index }
            guard entries[index].nid < Self.firstNid(of: digest) &+ 64 else { return nil }
            index += 1
        }
        return nil
    }

    func entry(_ nid: UInt64) -> Entry? {
        let index = position(of: nid)
        return index < entries.count && entries[index].nid == nid ? entries[index] : nil
    }

    func entry(_ digest: Digest) -> Entry? {
        index(of: digest).map { entries[$0] }
    }

    /// The first entry whose inode number is not below `nid`.
    func entry(from nid: UInt64) -> Entry? {
        let index = position(of: max(nid, Self.mark))
        return index < entries.count ? entries[index] : nil
    }

    /// - Returns: whether a file appeared.
    mutating func add(_ content: StoredLayer) -> Bool {
        if let index = index(of: content.digest) {
            entries[index].references += 1
            return false
        }
        // 64 layers whose digests share 39 bits do not happen by accident: the 65th has no file here, and is read
        // through its chain as ever.
        var nid = Self.firstNid(of: content.digest)
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

    /// - Returns: whether a file disappeared.
    mutating func remove(_ digest: Digest) -> Bool {
        guard let index = index(of: digest) else { return false }
        entries[index].references -= 1
        guard entries[index].references == 0 else { return false }
        entries.remove(at: index)
        return true
    }
}
