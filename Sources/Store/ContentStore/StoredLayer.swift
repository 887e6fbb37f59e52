public import Base
import Concurrency
public import LayerIndex
import Linux
import Synchronization
import SystemPackage

/// One layer on this node: its tree, its chunk table, and the content fetched so far.
///
/// The store opens a layer once, and all images that contain the layer share this object. The layer closes when its
/// last user releases it. In memory, a layer costs two bits per chunk and nothing per file.
///
/// Methods may be called from any thread. ``isPresent(_:)`` and ``read(_:at:into:isUse:)`` of present chunks take no
/// lock, unless a read must repair a shortened content file.
///
/// The presence file keeps the presence bits on the disk. A *slot* is one of two places in this file for a checksummed
/// copy of the bits. Such a copy survives a crash of the machine. ``PresenceFile`` explains why the bytes of a present
/// chunk are always verified, even after a crash of the process or the machine.
public final class StoredLayer: Sendable {
    /// The blob's digest.
    public var digest: Digest { key.blob }
    /// The layer's identity on this node.
    public let key: LayerKey
    /// The layer's tree, whiteouts included.
    public let tree: TreeImage
    /// The chunk table: it maps each byte of the content to its place in the blob.
    public let chunks: ChunkTable
    /// The path of the sparse content file: the bytes of the layer's files, end to end. Code that does not check
    /// ``isPresent(_:)`` may read it only if the layer is complete.
    public let contentPath: String
    /// The local copy of the layer's windows; `nil` if no extent needs a window. A window is the data that a decoder
    /// needs to start in the middle of a DEFLATE stream.
    public let windows: WindowsFile?
    /// The log of the layer's gaps; `nil` if the layer was already verified when it was opened, or if the log could not
    /// be opened. Gaps are decoded bytes outside all chunks, such as tar headers.
    public let gaps: TarSplitLog?

    private let content: OnDemandFile
    private let presence: PresenceFile
    private let bits: AtomicBits
    private let presentChunks: Atomic<Int>
    private let presentLength: Atomic<UInt64>
    /// The number of changes of presence bits since the layer was opened. If this number equals
    /// ``Durability/recorded``, the last good slot is up to date. The last good slot is the newest valid copy of the
    /// bits on the disk.
    private let changes = Atomic<UInt64>(0)
    /// The number of failed calls of fdatasync(2) on the content file. Each failure may have lost earlier writes.
    private let losses = Atomic<UInt64>(0)
    /// True if a read found the content file too short. The file must be repaired before the next write.
    private let isShortened = Atomic<Bool>(false)
    /// The lock for three operations: making the layer durable, evicting chunks, and repairing a shortened content
    /// file.
    let durabilityLock = BlockingLock()
    private let diffID: Guarded<Digest?>
    /// The chunks that were read since ``evict(_:)`` last passed them.
    private let reads: AtomicBits
    /// The reads and publications that are running.
    let operations = OperationBarrier()
    /// The chunks that are being evicted now. They are not published meanwhile.
    let evicting = Guarded<AtomicBits?>(nil)
    /// The extent at which the next eviction begins.
    let evictionHand = Guarded(0)
    private let space: CacheSpace
    private let unstored: UnstoredChunks
    private let durability: Guarded<Durability>
    /// The lock on the store. The reference keeps the store locked while this object can write to it.
    private let claim: StoreLock

    private struct Durability: Sendable {
        var slots: SlotState
        /// The value of ``changes`` just before the latest successful ``makeDurable()`` copied the bits from memory.
        /// Before the first such call, the value is 0 if the last good slot was up to date when the layer was opened,
        /// otherwise `.max`.
        var recorded: UInt64
    }

    /// The parts of an opened layer.
    struct Parts {
        let key: LayerKey
        let tree: TreeImage
        let chunks: ChunkTable
        let contentPath: String
        let content: OnDemandFile
        let presence: PresenceFile
        let words: [UInt64]
        let slots: SlotState
        /// True if the presence file's last good slot holds the same bits as `words`.
        let isSaved: Bool
        let windows: WindowsFile?
        let gaps: TarSplitLog?
        let diffID: Digest?
        let claim: StoreLock
        let space: CacheSpace
        let unstored: UnstoredChunks
    }

    init(_ parts: Parts) {
        key = parts.key
        tree = parts.tree
        chunks = parts.chunks
        contentPath = parts.contentPath
        presence = parts.presence
        windows = parts.windows
        gaps = parts.gaps
        claim = parts.claim
        space = parts.space
        unstored = parts.unstored
        diffID = Guarded(parts.diffID)
        reads = AtomicBits(count: parts.chunks.chunkCount)
        bits = AtomicBits(count: parts.chunks.chunkCount, initial: parts.words)
        // `changes` starts at 0, so a `recorded` of 0 means saved. `changes` never reaches `.max`, which means unsaved.
        durability = Guarded(Durability(slots: parts.slots, recorded: parts.isSaved ? 0 : .max))
        var count = 0
        var length: UInt64 = 0
        var next = bits.first(in: 0..<bits.count, where: true)
        while let chunk = next {
            count += 1
            length += parts.chunks.chunk(chunk).content.count
            next = bits.first(in: chunk + 1..<bits.count, where: true)
        }
        presentChunks = Atomic(count)
        presentLength = Atomic(length)
        content = parts.content
    }

    /// The diff ID of a verified layer, which is the digest of its archive; `nil` for an unverified layer. See
    /// ``ContentStore/markVerified(_:diffID:)``.
    public var verifiedDiffID: Digest? { diffID.withLock { $0 } }

    func becomeVerified(_ digest: Digest) {
        diffID.withLock { $0 = digest }
        durabilityLock.withLock { gaps?.close() }
    }

    // MARK: Presence

    /// Returns true if the chunk's bytes can be read; false for a chunk number out of range.
    @inline(__always)
    public func isPresent(_ chunk: Int) -> Bool { bits.contains(chunk) }

    /// Returns the first missing chunk of `range`; `nil` if all are present. Ignores chunk numbers that the layer does
    /// not have.
    public func missing(in range: Range<Int>) -> Int? { bits.first(in: range, where: false) }

    /// Returns the first present chunk of `range`; `nil` if none is present.
    public func present(in range: Range<Int>) -> Int? { bits.first(in: range, where: true) }

    /// The number of present chunks.
    public var presentCount: Int { presentChunks.load(ordering: .acquiring) }

    /// True once every chunk is present.
    public var isComplete: Bool { presentCount == bits.count }

    /// The number of present bytes of content.
    public var presentBytes: UInt64 { presentLength.load(ordering: .relaxed) }

    // MARK: Bytes

    /// Fills `buffer` with content from `contentOffset` on, if all of `chunks` are available: on the disk, or in memory
    /// because the disk did not take them. The buffer must not reach beyond the last of `chunks`.
    ///
    /// - Parameter isUse: true if the read shows that the chunks are in use. Chunks in use are evicted last.
    /// - Returns: `nil` if the buffer is filled. Otherwise the range from the first unavailable chunk to the last of
    ///   `chunks`, and the buffer has no meaning.
    /// - Throws: `.damaged` if the disk cannot return present bytes; another code for any other failure. After
    ///   `.damaged`, call ``drop(_:)`` for the chunks and fetch them again.
    public func read(
        _ chunks: Range<Int>, at contentOffset: UInt64, into buffer: UnsafeMutableRawBufferPointer,
        isUse: Bool = true
    ) throws(ContentStoreError) -> Range<Int>? {
        do throws(ContentStoreError) {
            // An eviction waits for reads that saw the bits of its chunks.
            return try operations.during { () throws(ContentStoreError) in
                guard let first = bits.first(in: chunks, where: false) else {
                    if isUse { for chunk in chunks where !reads.contains(chunk) { _ = reads.set(chunk) } }
                    guard try readFromDisk(at: contentOffset, into: buffer) == buffer.count else {
                        throw ContentStoreError(
                            .outOfRange, "\(digest) ends before \(contentOffset) + \(buffer.count)")
                    }
                    return nil
                }
                guard !unstored.isEmpty else { return first..<max(first, chunks.upperBound) }
                return try readFromMemory(chunks, at: contentOffset, into: buffer)
            }
        } catch {
            // The repair takes a lock that an eviction may hold while it waits for the end of this read.
            if isShortened.load(ordering: .sequentiallyConsistent) { try repairTruncation() }
            throw error
        }
    }

    /// Fills `buffer` like ``read(_:at:into:isUse:)``, where some of `chunks` are not on the disk.
    private func readFromMemory(
        _ chunks: Range<Int>, at contentOffset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(ContentStoreError) -> Range<Int>? {
        // Between two files, the content space has holes.
        buffer.initializeMemory(as: UInt8.self, repeating: 0)
        guard let wanted = ByteRange(offset: contentOffset, count: UInt64(buffer.count)) else { return chunks }
        for chunk in chunks {
            let content = self.chunks.chunk(chunk).content
            let part = ByteRange(offset: max(content.offset, wanted.offset), end: min(content.end, wanted.end))
            guard !part.isEmpty else { continue }
            let start = Int(part.offset - wanted.offset)
            let target = UnsafeMutableRawBufferPointer(rebasing: buffer[start..<start + Int(part.count)])
            if isPresent(chunk) {
                _ = try readFromDisk(at: part.offset, into: target)
            } else if let bytes = bytesInMemory(chunk) {
                let first = Int(part.offset - content.offset)
                target.copyBytes(from: bytes[first..<first + target.count])
            } else {
                return chunk..<chunks.upperBound
            }
        }
        return nil
    }

    /// Returns true if the chunk can be read, from the disk or from memory.
    public func isAvailable(_ chunk: Int) -> Bool { isPresent(chunk) || bytesInMemory(chunk) != nil }

    private func bytesInMemory(_ chunk: Int) -> [UInt8]? {
        guard !unstored.isEmpty, chunk >= 0, chunk < chunks.chunkCount else { return nil }
        return unstored.bytes(UnstoredChunks.Key(layer: key.id, digest: chunks.chunk(chunk).digest))
    }

    /// Keeps a chunk in memory that ``publish(_:_:)`` could not store, for the readers that wait for it. The caller
    /// must have checked the digest of `bytes`.
    public func keepInMemory(_ chunk: Int, _ bytes: UnsafeRawBufferPointer) {
        guard chunk >= 0, chunk < chunks.chunkCount else { return }
        unstored.add(UnstoredChunks.Key(layer: key.id, digest: chunks.chunk(chunk).digest), Array(bytes))
    }

    /// Reads content from `contentOffset` on into `buffer`. The caller must have checked that the chunks are present.
    /// They may be evicted meanwhile, unless the caller uses ``read(_:at:into:isUse:)``.
    ///
    /// - Returns: the number of bytes read. It is less than the buffer's size only at the end of the content space.
    /// - Throws: like ``read(_:at:into:isUse:)``.
    package func read(
        at contentOffset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(ContentStoreError) -> Int {
        do throws(ContentStoreError) {
            return try readFromDisk(at: contentOffset, into: buffer)
        } catch {
            if isShortened.load(ordering: .sequentiallyConsistent) { try repairTruncation() }
            throw error
        }
    }

    /// Reads like ``read(at:into:)``, but leaves the repair of a shortened content file to the caller.
    private func readFromDisk(
        at contentOffset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(ContentStoreError) -> Int {
        guard contentOffset < chunks.contentSize, !buffer.isEmpty else { return 0 }
        let wanted = Int(min(UInt64(buffer.count), chunks.contentSize - contentOffset))
        let done: Int
        do throws(Errno) {
            done = try content.use { (content) throws(Errno) in
                try Sys.preadAll(
                    content, into: UnsafeMutableRawBufferPointer(rebasing: buffer.prefix(wanted)), at: contentOffset)
            }
        } catch {
            // EIO means a bad sector. xfs, ext4 and btrfs report a wrong checksum as EUCLEAN (117) or EBADMSG (74).
            let lost = error == .ioError || error.rawValue == 117 || error.rawValue == 74
            throw ContentStoreError(
                lost ? .damaged : .io, "cannot read \(wanted) bytes at \(contentOffset) of \(contentPath)",
                cause: error)
        }
        guard done == wanted else {
            isShortened.store(true, ordering: .sequentiallyConsistent)
            throw ContentStoreError(
                .damaged, "\(contentPath) ends at \(contentOffset + UInt64(done)): it was shortened")
        }
        return done
    }

    /// Stores a chunk and marks it present.
    ///
    /// The caller must have checked the digest of `bytes`. Several threads may publish at once, even the same chunk. If
    /// the chunk is already present, nothing is written.
    ///
    /// - Throws: `.noSpace`, `.readOnly` or `.io` if the bytes cannot be stored; the chunk then stays absent.
    ///   `.noSpace` also if the limits of the store do not allow the write. `.busy` if the chunk is being evicted.
    ///   `.outOfRange` if the layer has no such chunk or `bytes` do not have its length.
    public func publish(_ chunk: Int, _ bytes: UnsafeRawBufferPointer) throws(ContentStoreError) {
        guard chunk >= 0, chunk < bits.count else {
            throw ContentStoreError(.outOfRange, "\(digest) has no chunk \(chunk)")
        }
        let range = chunks.chunk(chunk).content
        guard UInt64(bytes.count) == range.count else {
            throw ContentStoreError(
                .outOfRange, "chunk \(chunk) of \(digest) has \(range.count) bytes, not \(bytes.count)")
        }
        if isShortened.load(ordering: .sequentiallyConsistent) { try repairTruncation() }
        while !bits.contains(chunk), try !store(chunk, bytes, at: range.offset) {}
    }

    /// Writes the bytes of a chunk, and marks the chunk present. Returns false if this must be repeated.
    private func store(
        _ chunk: Int, _ bytes: UnsafeRawBufferPointer, at offset: UInt64
    ) throws(ContentStoreError) -> Bool {
        // An eviction waits for publications that did not see that it has begun.
        try operations.during { () throws(ContentStoreError) in
            if evicting.withLock({ $0?.contains(chunk) ?? false }) {
                throw ContentStoreError(.busy, "chunk \(chunk) of \(digest) is being evicted")
            }
            guard space.take(UInt64(bytes.count)) else {
                throw ContentStoreError(
                    .noSpace, "cannot store chunk \(chunk) of \(digest): the disk or the quota of the cache is full")
            }
            let before = losses.load(ordering: .sequentiallyConsistent)
            do throws(Errno) {
                try content.use { (content) throws(Errno) in try Sys.pwriteAll(content, bytes, at: offset) }
            } catch {
                space.giveBack(UInt64(bytes.count))
                throw ContentStoreError(errno: error, "cannot store chunk \(chunk) of \(digest)")
            }
            mark(chunk)
            // A write-back may have failed between the write and the mark. Then `forgetUnsaved` may have missed this
            // bit, and the page cache may have lost the bytes.
            if losses.load(ordering: .sequentiallyConsistent) == before { return true }
            drop(chunk)
            return false
        }
    }

    /// Marks an unreadable chunk absent, so that it is fetched again.
    ///
    /// The bytes stay in the file. They are right or unreadable, and the next fetch overwrites them. A chunk of zeros
    /// stays present: such a chunk is a hole in the file, and nobody fetches it.
    public func drop(_ chunk: Int) {
        _ = clear(chunk)
    }

    /// Marks a chunk absent. Returns false if it was absent, or if it is a chunk of zeros.
    func clear(_ chunk: Int) -> Bool {
        guard chunk >= 0, chunk < bits.count, !chunks.chunk(chunk).isZeros, bits.clear(chunk) else { return false }
        account(chunk, -1)
        recordWord(of: chunk)
        return true
    }

    /// Returns the size of the content on the disk in bytes, without holes.
    public func allocatedBytes() throws(ContentStoreError) -> UInt64 {
        try ContentStoreError.wrapping("cannot look at \(contentPath)") { () throws(Errno) in try allocated() }
    }

    /// Marks a chunk present whose bytes are in the content file.
    func mark(_ chunk: Int) {
        guard bits.set(chunk) else { return }
        account(chunk, 1)
        recordWord(of: chunk)
    }

    private func account(_ chunk: Int, _ sign: Int) {
        let length = chunks.chunk(chunk).content.count
        if sign > 0 {
            presentLength.wrappingAdd(length, ordering: .relaxed)
        } else {
            presentLength.wrappingSubtract(length, ordering: .relaxed)
        }
        presentChunks.wrappingAdd(sign, ordering: .acquiringAndReleasing)
        changes.wrappingAdd(1, ordering: .sequentiallyConsistent)
    }

    private func recordWord(of chunk: Int) {
        // If this fails, the live area keeps its old word. A missing set bit costs a fetch after a restart. A leftover
        // set bit names bytes that are right or unreadable. Neither is worth a failure.
        try? presence.recordWord(chunk >> 6, of: bits)
    }
}

// MARK: - Eviction

extension StoredLayer {
    /// Forgets that any of `chunks` was read. Returns true if one was.
    func forgetReads(of chunks: Range<Int>) -> Bool {
        chunks.reduce(false) { wasRead, chunk in
            (reads.contains(chunk) && reads.clear(chunk)) || wasRead
        }
    }

    /// Clears the bits of `chunks`, which are absent in memory, everywhere in the presence file, and waits for the
    /// disk. The caller holds ``durabilityLock``.
    func retract(_ chunks: [Int]) throws(ContentStoreError) {
        var state = durability.withLock { $0 }
        var words = presence.durableWords(state.slots)
        if words.isEmpty { words = [UInt64](repeating: 0, count: bits.wordCount) }
        for chunk in chunks where chunk >> 6 < words.count { words[chunk >> 6] &= ~(1 << UInt64(chunk & 63)) }
        defer { durability.withLock { $0 = state } }
        try ContentStoreError.wrapping("cannot save which chunks of \(digest) are evicted") { () throws(Errno) in
            for word in Set(chunks.map { $0 >> 6 }) { try presence.recordWord(word, of: bits) }
            // Even without a good slot: a slot whose flush failed may be good after a crash of the machine.
            try presence.writeBothSlots(words, &state.slots)
        }
    }

    /// Frees the blocks of `range` of the content file.
    func punch(_ range: ByteRange) throws(Errno) {
        try content.use { (content) throws(Errno) in
            try Sys.punchHole(content, at: range.offset, count: range.count)
        }
    }

    /// Returns the size of the content file on the disk in bytes, without holes.
    func allocated() throws(Errno) -> UInt64 {
        try content.use { (content) throws(Errno) in try Sys.fstat(content).allocatedBytes }
    }
}

// MARK: - Durability

extension StoredLayer {
    /// Makes the present chunks survive a crash of the machine. Calls fdatasync(2) on the content, and then writes the
    /// presence bits to a slot of the presence file.
    ///
    /// Does nothing if no bit has changed since the last successful call. This function waits for the disk, so never
    /// call it on an event loop.
    ///
    /// The streaming engine calls this function when a layer becomes complete. The daemon calls it at shutdown through
    /// ``ContentStore/makeAllDurable()``. Calls at any other time are also safe.
    ///
    /// - Throws: an error if a write or a flush failed. If fdatasync(2) on the content failed, bytes may be lost. This
    ///   function then drops every chunk without a set bit in the last good slot.
    public func makeDurable() throws(ContentStoreError) {
        try durabilityLock.withLock { () throws(ContentStoreError) in
            var state = durability.withLock { $0 }
            // Read the count before the bits: a change in between is in the copy or raises the count above it.
            let count = changes.load(ordering: .sequentiallyConsistent)
            guard count != state.recorded else { return }
            let words = bits.snapshot()
            try syncContent(state.slots)
            let failure = writeSlot(words, &state.slots)
            if failure == nil { state.recorded = count }
            durability.withLock { $0 = state }
            if let failure { throw failure }
        }
    }

    private func syncContent(_ slots: SlotState) throws(ContentStoreError) {
        do throws(Errno) {
            try content.use { (content) throws(Errno) in try Sys.fdatasync(content) }
        } catch {
            throw lostContent(slots, error)
        }
    }

    /// Drops what a failed fdatasync(2) on the content may have lost. Returns the error to throw.
    private func lostContent(_ slots: SlotState, _ error: Errno) -> ContentStoreError {
        forgetUnsaved(slots)
        return ContentStoreError(errno: error, "the disk lost content of \(digest) that was to be written")
    }

    /// Closes the layer's files until they are used again.
    ///
    /// - Parameters:
    ///   - onlyIdle: true to leave the files open if the content was used since the last call.
    ///   - waitsForDisk: true to wait until the disk has the content. If false, leaves the files open if the disk may
    ///     lack bytes.
    func closeFiles(onlyIdle: Bool, waitsForDisk: Bool) throws(ContentStoreError) {
        try durabilityLock.withLock { () throws(ContentStoreError) in
            if onlyIdle, content.isOpen, !content.becameIdle() { return }
            if !waitsForDisk, hasUnsavedBits { return }
            defer {
                presence.closeFile()
                windows?.closeFile()
                gaps?.closeFile()
            }
            // The kernel reports a failed write-back to descriptors that were open then. Another descriptor may not
            // receive the report once the kernel has forgotten the inode.
            try content.close { (content) throws(ContentStoreError) in
                guard hasUnsavedBits else { return }
                do throws(Errno) {
                    try Sys.fdatasync(content)
                } catch {
                    throw lostContent(durability.withLock { $0.slots }, error)
                }
            }
        }
    }

    /// True if presence bits have changed since the last successful ``makeDurable()``.
    private var hasUnsavedBits: Bool {
        durability.withLock { $0.recorded } != changes.load(ordering: .sequentiallyConsistent)
    }

    private func writeSlot(_ words: [UInt64], _ slots: inout SlotState) -> ContentStoreError? {
        do throws(Errno) {
            try presence.writeSlot(words, &slots)
            return nil
        } catch {
            return ContentStoreError(errno: error, "cannot save which chunks of \(digest) are present")
        }
    }

    /// Drops every present chunk without a set bit in the last good slot. After a failed write-back, the bytes of such
    /// a chunk may be lost: the kernel does not report which pages it lost.
    private func forgetUnsaved(_ slots: SlotState) {
        losses.wrappingAdd(1, ordering: .sequentiallyConsistent)
        let saved = presence.durableWords(slots)
        var next = present(in: 0..<bits.count)
        while let chunk = next {
            let word = chunk >> 6 < saved.count ? saved[chunk >> 6] : 0
            if word & (1 << UInt64(chunk & 63)) == 0 { drop(chunk) }
            next = present(in: chunk + 1..<bits.count)
        }
    }

    /// Repairs a content file that something outside the store truncated. First clears the bits of all chunks that
    /// reach past the file's end, in memory and everywhere in the presence file. Then restores the file's length. In
    /// the reverse order, readers would receive zeros as content.
    private func repairTruncation() throws(ContentStoreError) {
        try durabilityLock.withLock { () throws(ContentStoreError) in
            guard isShortened.load(ordering: .sequentiallyConsistent) else { return }
            let what = "cannot repair \(contentPath)"
            let size = try ContentStoreError.wrapping(what) { () throws(Errno) in
                try content.use { (content) throws(Errno) in try Sys.fstat(content).size }
            }
            if size < chunks.contentSize {
                for chunk in Self.chunks(of: chunks, beyond: size) { drop(chunk) }
                var state = durability.withLock { $0 }
                let words = bits.snapshot()
                try syncContent(state.slots)
                try ContentStoreError.wrapping(what) { () throws(Errno) in
                    try presence.retract(words, &state.slots)
                    try content.use { (content) throws(Errno) in
                        try Sys.ftruncate(content, size: chunks.contentSize)
                    }
                }
                durability.withLock { $0 = state }
            }
            isShortened.store(false, ordering: .sequentiallyConsistent)
        }
    }

    /// Returns the chunks of `table` that reach beyond the first `size` bytes of the content space.
    static func chunks(of table: ChunkTable, beyond size: UInt64) -> Range<Int> {
        var low = 0
        var high = table.chunkCount
        while low < high {
            let middle = (low + high) / 2
            if table.chunk(middle).content.end <= size { low = middle + 1 } else { high = middle }
        }
        return low..<table.chunkCount
    }
}
