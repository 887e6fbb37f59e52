public import Base
import Concurrency
public import LayerIndex
import Linux
import Synchronization
import SystemPackage

/// One layer on this node: its tree, its chunk table, and as much of its content as has been fetched.
///
/// Opened once and shared by all images that hold the layer; closed when the last user lets go of it. It costs one
/// bit a chunk and no heap per file. Every method may be called from any thread. ``isPresent(_:)`` and
/// ``read(at:into:)`` take no lock.
///
/// Why a trusted bit is true, whatever process or machine dies at whatever moment, is written at ``PresenceFile``.
public final class StoredLayer: Sendable {
    /// The blob's digest.
    public let digest: Digest
    /// The layer's tree, whiteouts included.
    public let tree: TreeImage
    /// The place of each byte of the content in the blob.
    public let chunks: ChunkTable
    /// The sparse file that holds the content space. Only a complete layer's may be given to others.
    public let contentPath: String
    /// The windows that its extents need to be decoded; `nil` when none does.
    public let windows: WindowsFile?
    /// The decoded bytes between chunks; `nil` for a layer that is not audited.
    public let gaps: TarSplitLog?

    private let content: OwnedDescriptor
    private let presence: PresenceFile
    private let bits: AtomicBits
    private let presentChunks: Atomic<Int>
    private let presentLength: Atomic<UInt64>
    /// Goes up with every change of a bit: a durable copy that was made at the same count is still good.
    private let changes = Atomic<UInt64>(0)
    /// Goes up when a write-back failed: what was written before may be lost.
    private let losses = Atomic<UInt64>(0)
    /// The content file was found shorter than its layer: nothing may be written past its end before it is repaired.
    private let isShortened = Atomic<Bool>(false)
    /// Slots are written by one thread at a time.
    private let durabilityLock = BlockingLock()
    private let durability: Guarded<Durability>
    /// Holds the claim on the directory for as long as something may be written.
    private let claim: StoreLock

    private struct Durability: Sendable {
        var slots: SlotState
        /// The value of ``changes`` when the last good slot's bits were taken.
        var recorded: UInt64
    }

    /// The files of an opened layer.
    struct Parts: ~Copyable {
        let digest: Digest
        let tree: TreeImage
        let chunks: ChunkTable
        let contentPath: String
        var content: OwnedDescriptor
        let presence: PresenceFile
        let words: [UInt64]
        let slots: SlotState
        /// Set when the last good slot equals `words`.
        let isSaved: Bool
        let windows: WindowsFile?
        let gaps: TarSplitLog?
        let claim: StoreLock
    }

    init(_ parts: consuming Parts) {
        digest = parts.digest
        tree = parts.tree
        chunks = parts.chunks
        contentPath = parts.contentPath
        presence = parts.presence
        windows = parts.windows
        gaps = parts.gaps
        claim = parts.claim
        bits = AtomicBits(count: parts.chunks.chunkCount, initial: parts.words)
        // `changes` starts at 0; no count of changes ever reaches the other value.
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

    // MARK: What is here

    /// Returns whether the chunk's bytes can be read; `false` for a number that the layer does not have.
    @inline(__always)
    public func isPresent(_ chunk: Int) -> Bool { bits.contains(chunk) }

    /// The first chunk of `range` that is missing, or `nil` when all are here (or the range has none of this layer's
    /// chunks).
    public func missing(in range: Range<Int>) -> Int? { bits.first(in: range, where: false) }

    /// The first chunk of `range` that is here, or `nil`.
    public func present(in range: Range<Int>) -> Int? { bits.first(in: range, where: true) }

    /// The number of present chunks.
    public var presentCount: Int { presentChunks.load(ordering: .acquiring) }

    /// True once every chunk is present.
    public var isComplete: Bool { presentCount == bits.count }

    /// The number of present bytes of content.
    public var presentBytes: UInt64 { presentLength.load(ordering: .relaxed) }

    // MARK: Bytes

    /// Reads content into the caller's buffer. The caller has seen that the chunks are present.
    ///
    /// - Returns: how many bytes came: all that the buffer holds, or fewer at the end of the content space.
    /// - Throws: `.damaged` when the disk cannot give bytes that should be there: ``drop(_:)`` the chunks and fetch
    ///   them again. `.io` for everything else.
    public func read(
        at contentOffset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(ContentStoreError) -> Int {
        guard contentOffset < chunks.contentSize, !buffer.isEmpty else { return 0 }
        let wanted = Int(min(UInt64(buffer.count), chunks.contentSize - contentOffset))
        let done: Int
        do throws(Errno) {
            done = try Sys.preadAll(
                content.raw, into: UnsafeMutableRawBufferPointer(rebasing: buffer.prefix(wanted)), at: contentOffset)
        } catch {
            // EIO is a bad sector; EUCLEAN and EBADMSG are how xfs and ext4 and btrfs say that a checksum is wrong.
            let lost = error == .ioError || error.rawValue == 117 || error.rawValue == 74
            throw ContentStoreError(
                lost ? .damaged : .io, "cannot read \(wanted) bytes at \(contentOffset) of \(contentPath)",
                cause: error)
        }
        guard done == wanted else {
            isShortened.store(true, ordering: .sequentiallyConsistent)
            try repairTruncation()
            throw ContentStoreError(
                .damaged, "\(contentPath) ends at \(contentOffset + UInt64(done)): it was shortened")
        }
        return done
    }

    /// Stores a chunk and marks it present.
    ///
    /// The caller has checked the digest of `bytes`. Several threads may publish at once, the same chunk too: of a
    /// chunk that is present nothing is written. When it throws (`.noSpace`, `.readOnly`, `.io`), the chunk stays
    /// absent.
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
        while !bits.contains(chunk) {
            let before = losses.load(ordering: .sequentiallyConsistent)
            try ContentStoreError.wrapping("cannot store chunk \(chunk) of \(digest)") { () throws(Errno) in
                try Sys.pwriteAll(content.raw, bytes, at: range.offset)
            }
            mark(chunk, range.count)
            // A write-back may have failed between the two, and its clean-up may have passed this bit by: the bytes
            // may be gone from the cache.
            if losses.load(ordering: .sequentiallyConsistent) == before { return }
            drop(chunk)
        }
    }

    /// Marks a chunk absent, because its bytes cannot be read, so that it is fetched again.
    ///
    /// The bytes stay where they are: they are right or unreadable, and will be written again.
    public func drop(_ chunk: Int) {
        guard chunk >= 0, chunk < bits.count, bits.clear(chunk) else { return }
        account(chunk, -1)
        recordWord(of: chunk)
    }

    /// Bytes that the content takes on the disk.
    public func allocatedBytes() throws(ContentStoreError) -> UInt64 {
        try ContentStoreError.wrapping("cannot look at \(contentPath)") { () throws(Errno) in
            try Sys.fstat(content.raw).allocatedBytes
        }
    }

    private func mark(_ chunk: Int, _ length: UInt64) {
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
        // When this fails, the live area says what it said before. A set bit that is not there means a fetch after a
        // restart; a cleared bit that is still there names bytes that are right or unreadable. Neither is worth
        // failing for.
        try? presence.recordWord(chunk >> 6, of: bits)
    }
}

// MARK: - Durability

extension StoredLayer {
    /// Makes what is present now survive a crash of the machine: fdatasync(2) of the content, then a second,
    /// checksummed copy of the bits. Does nothing when nothing changed since the last time. Waits for the disk: never
    /// on an event loop.
    ///
    /// Streaming calls it when a layer becomes complete (and may at any time), the daemon at shutdown through
    /// ``ContentStore/makeAllDurable()``.
    ///
    /// - Throws: when the disk failed. Chunks whose bytes may then be lost have been dropped.
    public func makeDurable() throws(ContentStoreError) {
        try durabilityLock.withLock { () throws(ContentStoreError) in
            var state = durability.withLock { $0 }
            // The count is taken before the bits: a change in between is in the copy or counted again.
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
            try Sys.fdatasync(content.raw)
        } catch {
            forgetUnsaved(slots)
            throw ContentStoreError(errno: error, "the disk lost content of \(digest) that was to be written")
        }
    }

    private func writeSlot(_ words: [UInt64], _ slots: inout SlotState) -> ContentStoreError? {
        do throws(Errno) {
            try presence.writeSlot(words, &slots)
            return nil
        } catch {
            return ContentStoreError(errno: error, "cannot save which chunks of \(digest) are present")
        }
    }

    /// Drops every chunk that no slot vouches for: the kernel said that some page was lost, not which.
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

    /// After a read met the end of the file too early: no chunk past the end is trusted in any place, and then the
    /// file gets its length back. The other order would turn lost bytes into zeros.
    private func repairTruncation() throws(ContentStoreError) {
        try durabilityLock.withLock { () throws(ContentStoreError) in
            guard isShortened.load(ordering: .sequentiallyConsistent) else { return }
            let what = "cannot repair \(contentPath)"
            let size = try ContentStoreError.wrapping(what) { () throws(Errno) in try Sys.fstat(content.raw).size }
            if size < chunks.contentSize {
                for chunk in Self.chunks(of: chunks, beyond: size) { drop(chunk) }
                var state = durability.withLock { $0 }
                let words = bits.snapshot()
                try syncContent(state.slots)
                try ContentStoreError.wrapping(what) { () throws(Errno) in
                    try presence.retract(words, &state.slots)
                    try Sys.ftruncate(content.raw, size: chunks.contentSize)
                }
                durability.withLock { $0 = state }
            }
            isShortened.store(false, ordering: .sequentiallyConsistent)
        }
    }

    /// Returns the chunks of `table` that do not lie wholly below `size`.
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
