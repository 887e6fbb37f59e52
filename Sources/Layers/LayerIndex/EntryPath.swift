public import Base

/// A splitter of archive paths into names. It follows Go's `path.Clean("/" + name)`, which the tools that create layers
/// use. It drops empty names and `.`. A `..` removes the name before it, and has no effect at the root.
public struct EntryPath {
    static let whiteoutPrefix = Array(".wh.".utf8)

    /// The byte range of each name in the path that ``clean(_:)`` cleaned last.
    public private(set) var names: [Range<Int>] = []
    private let limits: IndexLimits

    public init(limits: IndexLimits) {
        self.limits = limits
    }

    /// Cleans `path` and stores the ranges of its names in ``names``. Reuses the memory of ``names`` across calls.
    public mutating func clean(_ path: UnsafeRawBufferPointer) throws(LayerIndexError) {
        names.removeAll(keepingCapacity: true)
        var length = 0
        var start = 0
        while start < path.count {
            var end = start
            while end < path.count, path[end] != 0x2F {
                guard path[end] != 0 else { throw LayerIndexError(.invalidPath, "a NUL byte in a path") }
                end += 1
            }
            let name = start..<end
            start = end + 1
            if name.isEmpty || name.count == 1 && path[name.lowerBound] == 0x2E { continue }
            if name.count == 2, path[name.lowerBound] == 0x2E, path[name.lowerBound + 1] == 0x2E {
                if let last = names.popLast() { length -= last.count + 1 }
                continue
            }
            // A whiteout of a name of the maximum length has four more bytes.
            let prefix = path[name].starts(with: Self.whiteoutPrefix) ? 4 : 0
            guard name.count <= IndexLimits.nameLength + prefix else {
                throw LayerIndexError(.invalidPath, "a name of \(name.count) bytes")
            }
            names.append(name)
            length += name.count + 1
            guard names.count <= limits.depth, length <= limits.pathLength + 1 else {
                throw LayerIndexError(.limit, "a path of more than \(limits.pathLength) bytes or \(limits.depth) names")
            }
        }
    }
}
