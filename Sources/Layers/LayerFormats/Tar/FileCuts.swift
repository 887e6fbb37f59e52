import Base
import LayerIndex

/// The chunk boundaries of the files in a layer's index, by the size of the file.
///
/// Somebody who reads the layer's archive must know where to cut a file before its content arrives. The path in the
/// archive usually tells. But a later entry may replace the path, while a hard link keeps the first file. Files of one
/// size nearly always have the same boundaries, so those of other files of the size are tried, too.
struct FileCuts {
    /// The maximum number of different boundaries of files of one size.
    private static let maximumCuts = 4
    /// The maximum number of files of one size whose boundaries are compared.
    private static let maximumFiles = 4096

    private struct File {
        let size: UInt64
        let chunks: Range<Int>
    }

    private let table: ChunkTable
    /// All files that are not empty, in the order of their sizes.
    private var files: [File] = []
    private var known: [UInt64: [Range<Int>]] = [:]

    /// Reads the files of `tree`. Throws if the tree is corrupt or exceeds the limits.
    init(_ tree: TreeImage, _ table: ChunkTable, limits: IndexLimits = .standard) throws(LayerIndexError) {
        self.table = table
        var pending = [tree.rootInode]
        var seen: Set<UInt64> = [tree.rootInode]
        var count = 0
        while let directory = pending.popLast() {
            var children: [UInt64] = []
            try tree.forEachEntry(directory) { name, inode, _, _ in
                if !name.elementsEqual([0x2E]), !name.elementsEqual([0x2E, 0x2E]) { children.append(inode) }
                return children.count <= limits.entryCount
            }
            count += children.count
            guard count <= limits.entryCount else {
                throw LayerIndexError(.limit, "more than \(limits.entryCount) files")
            }
            for inode in children {
                switch try tree.attributes(inode).kind {
                case .directory: if seen.insert(inode).inserted { pending.append(inode) }
                case .regular:
                    guard let content = try tree.content(inode) else { continue }
                    files.append(
                        File(size: content.range.count, chunks: table.chunks(overlapping: content.range)))
                default: break
                }
            }
        }
        files.sort { ($0.size, $0.chunks.lowerBound) < ($1.size, $1.chunks.lowerBound) }
    }

    /// Returns one example of each known way to cut files of this size: the chunks of a file in the index that is cut
    /// in this way. The result is empty if the index has no file of this size and `first` is `nil`.
    ///
    /// - Parameter first: the chunks of the index's file at the path of the archive's entry; `nil` if there is no such
    ///   file. They come first in the result.
    mutating func cuts(ofSize size: UInt64, first: Range<Int>?) -> [Range<Int>] {
        let others = cuts(ofSize: size)
        guard let first else { return others }
        return [first] + others.filter { !isCutAlike($0, first) }
    }

    private mutating func cuts(ofSize size: UInt64) -> [Range<Int>] {
        if let cuts = known[size] { return cuts }
        var cuts: [Range<Int>] = []
        for file in files[first(ofSize: size)...].prefix(Self.maximumFiles) {
            guard file.size == size, cuts.count < Self.maximumCuts else { break }
            if !cuts.contains(where: { isCutAlike($0, file.chunks) }) { cuts.append(file.chunks) }
        }
        known[size] = cuts
        return cuts
    }

    /// Returns true if a file of this size has just these chunks. Looks only at the first ``maximumFiles`` files of the
    /// size.
    func hasFile(ofSize size: UInt64, _ digests: [Digest]) -> Bool {
        files[first(ofSize: size)...].prefix(Self.maximumFiles).contains { file in
            file.size == size && file.chunks.count == digests.count
                && zip(file.chunks, digests).allSatisfy { table.chunk($0).digest == $1 }
        }
    }

    /// Returns the index of the first file that has at least this size.
    private func first(ofSize size: UInt64) -> Int {
        var (low, high) = (0, files.count)
        while low < high {
            let middle = (low + high) / 2
            if files[middle].size < size { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func isCutAlike(_ left: Range<Int>, _ right: Range<Int>) -> Bool {
        left.count == right.count
            && zip(left, right).allSatisfy { table.chunk($0).content.count == table.chunk($1).content.count }
    }
}
