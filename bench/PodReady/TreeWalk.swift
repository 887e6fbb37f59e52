import Base
import Lab
import Linux

/// The time to walk a tree: its names, its attributes, and its content.
struct TreeWalk: Sendable {
    var entries = 0
    var bytes: UInt64 = 0
    var listSeconds = 0.0
    var statSeconds = 0.0
    var readSeconds = 0.0

    /// Walks the tree at `root` in up to three passes. Blocks.
    ///
    /// The first lists directories, and the second calls lstat for every entry. If `reading` is true, the third reads
    /// every regular file in pieces of 128 KiB.
    init(_ root: String, reading: Bool) throws {
        var files: [[UInt8]] = []
        var others: [[UInt8]] = []
        let start = MonotonicTime.now()
        try Self.list(Array(root.utf8), &files, &others)
        listSeconds = Self.seconds(since: start)
        entries = files.count + others.count
        let stats = MonotonicTime.now()
        for path in files { _ = try Sys.lstat(path) }
        for path in others { _ = try Sys.lstat(path) }
        statSeconds = Self.seconds(since: stats)
        guard reading else { return }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 128 << 10, alignment: 4096)
        defer { buffer.deallocate() }
        let reads = MonotonicTime.now()
        for path in files {
            let file = try Sys.open(path, [.readOnly, .noFollow])
            while true {
                let count = try Sys.read(file.raw, into: buffer)
                if count == 0 { break }
                bytes += UInt64(count)
            }
        }
        readSeconds = Self.seconds(since: reads)
    }

    private static func list(_ directory: [UInt8], _ files: inout [[UInt8]], _ others: inout [[UInt8]]) throws {
        for entry in try Sys.list(directory) {
            let path = directory + [UInt8(ascii: "/")] + entry.name
            switch entry.kind {
            case .regular: files.append(path)
            case .directory:
                others.append(path)
                try list(path, &files, &others)
            default: others.append(path)
            }
        }
    }

    private static func seconds(since start: MonotonicTime) -> Double {
        Double(MonotonicTime.now().since(start)) / 1e9
    }

    /// The cells of a table's row: microseconds per entry, and megabytes per second.
    var cells: [String] {
        let each = 1e6 / Double(max(1, entries))
        let rate = readSeconds > 0 ? "\(Int(Double(bytes) / readSeconds / 1e6)) MB/s" : "-"
        return [Format.seconds(listSeconds * each), Format.seconds(statSeconds * each), rate]
    }
}
