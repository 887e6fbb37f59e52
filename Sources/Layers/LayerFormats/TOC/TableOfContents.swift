public import Base

/// The entries of a table of contents as an array of values, for tools and tests. The daemon uses ``TOCOpener``
/// instead, which never has all entries in memory.
public enum TableOfContents {
    /// One element of the JSON array `entries`. A member that the JSON text lacks is 0, empty or `nil` here.
    public struct Entry: Sendable {
        /// The type: `dir`, `reg`, `symlink`, `hardlink`, `char`, `block`, `fifo` or `chunk`; empty if absent.
        public var type = ""
        public var name: [UInt8] = []
        public var linkName: [UInt8] = []
        public var size: UInt64 = 0
        /// The modification time in seconds since 1970.
        public var modifiedSeconds: Int64 = 0
        public var modifiedNanoseconds: UInt32 = 0
        public var mode: UInt64 = 0
        public var uid: UInt32 = 0
        public var gid: UInt32 = 0
        public var deviceMajor: UInt32 = 0
        public var deviceMinor: UInt32 = 0
        public var xattrs: [(name: [UInt8], value: [UInt8])] = []
        public var digest: Digest?
        public var offset: UInt64 = 0
        public var innerOffset: UInt64 = 0
        public var chunkOffset: UInt64 = 0
        public var chunkSize: UInt64 = 0
        public var chunkDigest: Digest?
    }

    /// Returns all elements of `entries` in the JSON text of a table of contents.
    ///
    /// - Parameter pieceSize: the size in bytes of the pieces in which the scanner receives the text. The size does not
    ///   affect the result.
    public static func entries(
        of json: [UInt8], limits: LayerFormatLimits = .standard, pieceSize: Int = .max
    ) throws(LayerFormatError) -> [Entry] {
        var entries: [Entry] = []
        try scan(json, limits: limits, pieceSize: pieceSize) { scanner, window in
            let item = scanner.item
            var entry = Entry()
            if item.present.contains(.type) { entry.type = Self.name(of: item.kind) }
            if item.present.contains(.name) { entry.name = scanner.withBytes(of: item.name, in: window) { Array($0) } }
            if item.present.contains(.linkName) {
                entry.linkName = scanner.withBytes(of: item.linkName, in: window) { Array($0) }
            }
            entry.size = item.size
            entry.modifiedSeconds = item.modifiedSeconds
            entry.modifiedNanoseconds = item.modifiedNanoseconds
            entry.mode = item.mode
            entry.uid = item.uid
            entry.gid = item.gid
            entry.deviceMajor = item.deviceMajor
            entry.deviceMinor = item.deviceMinor
            entry.xattrs = scanner.attributes
            entry.digest = item.digest
            entry.offset = item.offset
            entry.innerOffset = item.innerOffset
            entry.chunkOffset = item.chunkOffset
            entry.chunkSize = item.chunkSize
            entry.chunkDigest = item.chunkDigest
            entries.append(entry)
        }
        return entries
    }

    /// Returns the number of elements of `entries` in the JSON text of a table of contents. Validates everything and
    /// stores nothing.
    public static func entryCount(
        of json: [UInt8], limits: LayerFormatLimits = .standard
    ) throws(LayerFormatError) -> Int {
        var count = 0
        try scan(json, limits: limits, pieceSize: .max) { _, _ in count += 1 }
        return count
    }

    private static func scan(
        _ json: [UInt8], limits: LayerFormatLimits, pieceSize: Int,
        _ body: (borrowing TOCScanner, UnsafeBufferPointer<UInt8>) -> Void
    ) throws(LayerFormatError) {
        var scanner = TOCScanner(limits: limits)
        var window: [UInt8] = []
        var taken = 0
        while true {
            // As in TOCReader, remove the scanned text, append the next piece, then append the padding.
            window.removeFirst(scanner.position)
            scanner.windowMoved(by: scanner.position)
            let count = min(max(pieceSize, 1), json.count - taken)
            window += json[taken..<taken + count]
            taken += count
            window += [UInt8](repeating: 0, count: JSONCursor.padding)
            let isComplete = try window.withUnsafeBufferPointer { (bytes) throws(LayerFormatError) in
                let text = UnsafeBufferPointer(rebasing: bytes[..<(bytes.count - JSONCursor.padding)])
                while true {
                    switch try scanner.next(text, isLast: taken == json.count) {
                    case .entry: body(scanner, text)
                    case .needMore: return false
                    case .end: return true
                    }
                }
            }
            if isComplete { return }
            window.removeLast(JSONCursor.padding)
        }
    }

    private static func name(of kind: TOCItem.Kind) -> String {
        switch kind {
        case .directory: "dir"
        case .regular: "reg"
        case .symlink: "symlink"
        case .hardlink: "hardlink"
        case .character: "char"
        case .block: "block"
        case .fifo: "fifo"
        case .chunk: "chunk"
        }
    }
}
