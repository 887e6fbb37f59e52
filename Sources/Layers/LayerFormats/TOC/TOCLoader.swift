import Base
import LayerIndex

/// A loader that passes the entries of a table of contents (TOC) to a ``LayerIndexBuilder``.
///
/// The loader determines which bytes of the blob hold each piece of a file. It also reads the prefetch landmarks
/// (``TOCNames``). The builder handles names, links and whiteouts.
struct TOCLoader: ~Copyable {
    /// The kind of regular file to which the next `chunk` element would belong; `nothing` if no `chunk` element may
    /// come next.
    private enum Pending {
        case nothing, file
        /// A landmark or the TOC's own entry. Neither is part of the tree.
        case hidden
    }

    private let blob: Digest
    private let payloadEnd: UInt64
    private let codec: ExtentCodec
    private let deadline: WorkDeadline
    private var meter: WorkMeter
    private var builder: LayerIndexBuilder
    private var path: EntryPath
    /// The current entry. The loader reuses it, so that its arrays keep their memory.
    private var entry = LayerEntry()
    private var pending = Pending.nothing
    private var covered: UInt64 = 0
    private var extent: (offset: UInt64, number: UInt32)?
    private var prefetch = PrefetchHint.unknown

    /// - Parameters:
    ///   - payloadEnd: the offset in the blob at which the layer's data ends. The TOC follows; if the TOC is not in the
    ///     blob, the footer follows.
    ///   - codec: the compression of the layer's data.
    ///   - deadline: the deadline of the whole work.
    init(
        blob: Digest, blobSize: UInt64, payloadEnd: UInt64, codec: ExtentCodec, limits: LayerFormatLimits,
        by deadline: WorkDeadline = .never
    ) {
        self.deadline = deadline
        meter = WorkMeter(deadline)
        self.blob = blob
        self.payloadEnd = payloadEnd
        self.codec = codec
        builder = LayerIndexBuilder(blobDigest: blob, blobSize: blobSize, limits: limits.index)
        path = EntryPath(limits: limits.index)
    }

    /// Adds the element that `scanner` has just found in `window`.
    mutating func add(
        _ scanner: borrowing TOCScanner, in window: UnsafeBufferPointer<UInt8>
    ) throws(LayerFormatError) {
        try count(1)
        guard scanner.item.present.contains(.type) else { throw bad("an entry without a type") }
        if scanner.item.kind == .chunk { return try addChunk(scanner.item) }
        try flush()
        guard scanner.item.present.contains(.name) else { throw bad("an entry without a name") }
        entry.path.removeAll(keepingCapacity: true)
        scanner.withBytes(of: scanner.item.name, in: window) { entry.path.append(contentsOf: $0) }
        entry.linkTarget.removeAll(keepingCapacity: true)
        if scanner.item.present.contains(.linkName) {
            scanner.withBytes(of: scanner.item.linkName, in: window) { entry.linkTarget.append(contentsOf: $0) }
        }
        entry.pieces.removeAll(keepingCapacity: true)
        if !entry.xattrs.isEmpty || !scanner.attributes.isEmpty { entry.xattrs = scanner.attributes }
        entry.attributes.mode = UInt16(truncatingIfNeeded: scanner.item.mode & 0o7777)
        entry.attributes.uid = scanner.item.uid
        entry.attributes.gid = scanner.item.gid
        entry.attributes.modifiedSeconds = scanner.item.modifiedSeconds
        entry.attributes.modifiedNanoseconds = scanner.item.modifiedNanoseconds
        entry.attributes.deviceMajor = scanner.item.deviceMajor
        entry.attributes.deviceMinor = scanner.item.deviceMinor
        entry.attributes.size = 0
        switch scanner.item.kind {
        case .regular: return try addRegular(scanner.item)
        case .directory: entry.kind = .directory
        case .symlink: entry.kind = .symlink
        case .hardlink: entry.kind = .hardlink
        case .character: entry.kind = .character
        case .block: entry.kind = .block
        case .fifo: entry.kind = .fifo
        case .chunk: return
        }
        try addEntry()
    }

    /// Returns the index of all added elements.
    consuming func finish() throws(LayerFormatError) -> LayerIndexBytes {
        try flush()
        try endExtent(at: payloadEnd)
        builder.setPrefetch(prefetch)
        do {
            return try builder.finish(by: deadline)
        } catch {
            throw Self.wrap(error, blob)
        }
    }

    private mutating func addRegular(_ item: TOCItem) throws(LayerFormatError) {
        entry.kind = .regular
        entry.attributes.size = item.size
        covered = 0
        pending = try isHidden(item) ? .hidden : .file
        if item.size > 0 { try addPiece(item) }
    }

    private mutating func addChunk(_ item: TOCItem) throws(LayerFormatError) {
        // A chunk belongs to the file before it, so its name is ignored.
        guard pending != .nothing else { throw bad("a chunk that no file comes before") }
        try addPiece(item)
    }

    /// Adds the piece of the pending file that `item` describes.
    private mutating func addPiece(_ item: TOCItem) throws(LayerFormatError) {
        let size = entry.attributes.size
        guard item.chunkOffset == covered, covered < size else {
            throw bad("a chunk at \(item.chunkOffset) of a file of \(size) bytes, after \(covered)")
        }
        // A chunk without a size reaches to the end of the file.
        let length = item.chunkSize == 0 ? size - covered : item.chunkSize
        guard length <= size - covered else { throw bad("a chunk of \(length) bytes at \(covered) of \(size)") }
        // containers/storage marks chunks of zeros (chunkType). They do not have to be fetched.
        let isZeros = item.isZeros
        let number = try extentNumber(at: item.offset)
        covered += length
        guard pending == .file else { return }
        // If one chunk is the whole file, the file's digest also verifies the chunk.
        guard let digest = item.chunkDigest ?? (length == size ? item.digest : nil) else {
            throw LayerFormatError(
                .unverified, "layer \(blob): no digest for the bytes at \(covered - length) of \(name)")
        }
        entry.pieces.append(
            ContentPiece(
                fileOffset: covered - length, length: length, digest: digest, extent: number,
                innerOffset: item.innerOffset, isZeros: isZeros))
    }

    /// Adds the pending file, if there is one. Throws if its chunks do not cover the whole file. Call this once all
    /// chunks of the file are known.
    private mutating func flush() throws(LayerFormatError) {
        guard pending != .nothing else { return }
        guard covered == entry.attributes.size else {
            throw bad("chunks for \(covered) of \(entry.attributes.size) bytes")
        }
        if pending == .file { try addEntry() }
        pending = .nothing
    }

    /// Returns the number of the extent that starts at `offset` of the blob, and adds the extent if it is new. An
    /// extent ends where the next one starts, so extents must come in order.
    private mutating func extentNumber(at offset: UInt64) throws(LayerFormatError) -> UInt32 {
        if let extent, extent.offset == offset { return extent.number }
        guard offset < payloadEnd, offset > extent?.offset ?? 0 || extent == nil else {
            throw bad("data at \(offset) of the blob, after \(extent?.offset ?? 0) and of \(payloadEnd) bytes")
        }
        try endExtent(at: offset)
        do {
            let number = try builder.addExtent(from: offset, codec: codec)
            extent = (offset, number)
            return number
        } catch {
            throw Self.wrap(error, blob)
        }
    }

    private mutating func endExtent(at end: UInt64) throws(LayerFormatError) {
        guard let extent else { return }
        do {
            try builder.endExtent(extent.number, at: end)
        } catch {
            throw Self.wrap(error, blob)
        }
    }

    /// Returns true if the entry is not part of the tree, because it is one of ``TOCNames`` in the root directory. For
    /// a landmark, also records the prefetch hint.
    private mutating func isHidden(_ item: TOCItem) throws(LayerFormatError) -> Bool {
        guard let last = entry.path.last, last == UInt8(ascii: "k") || last == UInt8(ascii: "n") else { return false }
        let isPrefetch = try isInRoot(TOCNames.prefetchLandmark)
        let isNoPrefetch = try isInRoot(TOCNames.noPrefetchLandmark)
        if isNoPrefetch {
            prefetch = .nothing
        } else if isPrefetch, prefetch != .nothing {
            guard item.offset <= payloadEnd else { throw bad("a landmark at \(item.offset)") }
            prefetch = .blobPrefix(end: item.offset)
        }
        if isPrefetch || isNoPrefetch { return true }
        return try isInRoot(TOCNames.toc)
    }

    private mutating func isInRoot(_ name: [UInt8]) throws(LayerFormatError) -> Bool {
        guard entry.path.count >= name.count, entry.path[(entry.path.count - name.count)...].elementsEqual(name) else {
            return false
        }
        let bytes = entry.path
        do {
            try bytes.withUnsafeBufferPointer { (bytes) throws(LayerIndexError) in
                try path.clean(UnsafeRawBufferPointer(bytes))
            }
        } catch {
            throw Self.wrap(error, blob)
        }
        guard path.names.count == 1, let range = path.names.first else { return false }
        return entry.path[range].elementsEqual(name)
    }

    /// Counts steps of work (``WorkMeter``).
    private mutating func count(_ steps: Int) throws(LayerFormatError) {
        do {
            try meter.count(steps)
        } catch {
            throw Self.wrap(error, blob)
        }
    }

    private mutating func addEntry() throws(LayerFormatError) {
        // A name or a target of two bytes for each directory, and an attribute, cost about as much as a step each.
        try count((entry.path.count + entry.linkTarget.count) / 32 + entry.xattrs.count)
        let before = builder.hiddenSteps
        do {
            try builder.add(entry)
        } catch {
            throw Self.wrap(error, blob)
        }
        try count(builder.hiddenSteps - before)
    }

    private static func wrap(_ error: LayerIndexError, _ blob: Digest) -> LayerFormatError {
        LayerFormatError(
            LayerFormatError.code(error) ?? .badTOC, "layer \(blob) cannot be indexed", cause: error)
    }

    private var name: String { String(decoding: entry.path.prefix(200), as: UTF8.self) }

    private func bad(_ reason: String) -> LayerFormatError {
        LayerFormatError(.badTOC, "the TOC of \(blob) is not valid: \(reason) (\(name))")
    }
}
