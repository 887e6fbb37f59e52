import Base
import Linux
import SystemPackage

/// The open `present` file of one layer. It records which chunks of the content file hold verified bytes.
///
/// # Why no read ever returns a byte that was not verified
///
/// A bit is trusted if readers act on it. The invariant: *if a bit is trusted, the chunk's range of the content file
/// reads as the bytes whose digest was checked.* Three places hold bits: memory, this file's live area, and its two
/// slots, each with room for one saved copy of the bits (``PresenceFormat``).
///
/// 1. **Memory.** A bit is set after pwrite(2) of the verified bytes has returned, so a reader that sees the bit also
///    reads these bytes. Only a chunk of zeros needs no write, because a hole reads as zeros. The bytes of a chunk
///    whose bit is set never change. A second publication writes nothing, and a dropped chunk can only be written again
///    with bytes of the same digest.
/// 2. **Live area.** After a word of bits has changed in memory, the process copies the word here. A lock orders the
///    copies, so that an older value cannot overwrite a newer one. The live area is trusted only if the session block,
///    the part of this file with a boot ID, names the running boot. Within one boot, the page cache outlives the
///    process, so the content file and this file return what was written to them. If a process dies between writing a
///    chunk and copying the word, the chunk stays unmarked. The node then fetches the chunk again.
/// 3. **Slots.** A slot is good if its checksum is correct. The last good slot is the one with the highest generation.
///    ``StoredLayer/makeDurable()`` *first* takes a snapshot of the bits, then calls fdatasync(2) on the content. Then
///    it writes the snapshot into the *other* slot, with the next generation and a checksum. Last, it calls
///    fdatasync(2) on this file. So a good slot names only chunks whose bytes reached the disk before the slot did. A
///    power failure during the write leaves the last good slot intact, because it lies in other blocks. After a crash
///    of the machine the boot ID differs. Then only the last good slot is trusted.
/// 4. **Opening after a crash of the machine.** The store first writes the trusted bits over the live area. Then it
///    writes the new boot ID into the session block. A process that dies between the two writes leaves the old boot ID.
///    The next opening then repeats both writes.
/// 5. **Bytes that go away.** Somebody may shorten the content file, and eviction removes bytes. The bits of the
///    affected chunks must be cleared in every trusted place: first in memory, then in the live area, then in *both*
///    slots, durably. Only then may the store extend the file or punch a hole. ``retract(_:_:)`` and
///    ``writeBothSlots(_:_:)`` do so. A read that saw a bit set may still be running when the bit is cleared in memory,
///    so eviction waits for the end of such reads before it punches the hole. A publication that began before the
///    eviction could set a bit again, so eviction first waits for its end, and refuses later ones
///    (``StoredLayer/evict(_:)``). Dropping an unreadable chunk needs none of these steps: the chunk's range holds the
///    right bytes or cannot be read.
/// 6. **Another file under the same name.** The header names the content file by inode number and birth time, and the
///    slots' checksum covers the header. If the content file was replaced, or the presence file comes from elsewhere,
///    no bit is trusted.
/// 7. **A failed write-back.** The kernel reports the failure once, at the next fdatasync(2).
///    ``StoredLayer/makeDurable()`` then clears every bit that is not set in the last good slot, because the kernel
///    does not say which pages it lost.
///
/// This design cannot detect content that somebody else, or the disk, changed in place without an error. Nor can it
/// detect a page that a failed write-back lost, if the page is read again before any fdatasync(2) reports the failure.
final class PresenceFile: Sendable {
    let format: PresenceFormat
    private let file: OnDemandFile
    /// The lock for copies to the live area. Each copy is a short pwrite(2) into the page cache. The module makes no
    /// other system call under a `Guarded` lock. This call needs the lock: the live area is correct only if the copies
    /// stay in order.
    ///
    /// The value counts the copies; nobody reads it. A value of type `Void` would have no size. It would share its
    /// address with the next field of `Guarded`, and ThreadSanitizer would report a race.
    private let liveCopies = Guarded(UInt64(0))

    init(format: PresenceFormat, file: OnDemandFile) {
        self.format = format
        self.file = file
    }

    /// Closes the file until it is used again.
    func closeFile() { file.close { _ in } }

    // MARK: Reading

    /// The bits and slots that were read from the file.
    struct Loaded {
        /// The trusted bits.
        var words: [UInt64]
        /// The bits of the last good slot; all clear if there is none.
        var durable: [UInt64]
        var slots: SlotState
        /// True if `words` come from the live area, false if they come from the last good slot.
        var sameBoot: Bool
    }

    /// Reads the file. Trusts the live bits if the session block names `boot`, otherwise the bits of the last good
    /// slot.
    ///
    /// - Parameter boot: the ID of the running boot.
    func load(boot: String) throws(Errno) -> Loaded {
        var slots = SlotState()
        var durable = [UInt64](repeating: 0, count: format.bitsLength / 8)
        for slot in 0..<2 {
            guard let (generation, words) = format.parseSlot(try bytes(at: format.slotOffset(slot), format.slotLength)),
                generation > slots.generation
            else { continue }
            slots = SlotState(generation: generation, good: slot)
            durable = words
        }
        let session = try bytes(at: format.sessionOffset, PresenceFormat.sessionLength)
        guard session == Array(boot.utf8) else {
            return Loaded(words: durable, durable: durable, slots: slots, sameBoot: false)
        }
        let live = PresenceFormat.words(try bytes(at: format.liveOffset, format.bitsLength))
        return Loaded(words: live, durable: durable, slots: slots, sameBoot: true)
    }

    /// Returns the bits of the last good slot according to `slots`. Returns an empty array if there is no good slot, or
    /// if the slot is unreadable.
    func durableWords(_ slots: SlotState) -> [UInt64] {
        guard let good = slots.good, let slot = try? bytes(at: format.slotOffset(good), format.slotLength),
            let (generation, words) = format.parseSlot(slot), generation == slots.generation
        else { return [] }
        return words
    }

    private func bytes(at offset: Int, _ count: Int) throws(Errno) -> [UInt8] {
        try file.use { (file) throws(Errno) in try Sys.pread(file, count: count, at: UInt64(offset)) }
    }

    // MARK: Writing

    /// Makes the live area trusted for the rest of `boot`. First writes `words` to the live area, and then `boot` to
    /// the session block.
    func beginSession(boot: String, words: [UInt64]) throws(Errno) {
        try writeLive(words)
        try file.use { (file) throws(Errno) in
            try Sys.pwriteAll(file, Array(boot.utf8), at: UInt64(format.sessionOffset))
        }
    }

    /// Copies the word at `index` of `bits` to the live area.
    func recordWord(_ index: Int, of bits: AtomicBits) throws(Errno) {
        try file.use { (file) throws(Errno) in
            try liveCopies.withLock { (copies) throws(Errno) in
                copies &+= 1
                var word = bits.word(index).littleEndian
                try withUnsafeBytes(of: &word) { (bytes) throws(Errno) in
                    try Sys.pwriteAll(file, bytes, at: UInt64(format.liveOffset + index * 8))
                }
            }
        }
    }

    private func writeLive(_ words: [UInt64]) throws(Errno) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(words.count * 8)
        for word in words { bytes.appendLittleEndian(word) }
        try file.use { (file) throws(Errno) in
            try liveCopies.withLock { (copies) throws(Errno) in
                copies &+= 1
                try Sys.pwriteAll(file, bytes, at: UInt64(format.liveOffset))
            }
        }
    }

    /// Writes `words` with the next generation into the slot that is not the last good slot, and waits for the disk. If
    /// this function throws, the last good slot is untouched.
    func writeSlot(_ words: [UInt64], _ slots: inout SlotState) throws(Errno) {
        let slot = slots.good == 0 ? 1 : 0
        let generation = slots.generation + 1
        try file.use { (file) throws(Errno) in
            try Sys.pwriteAll(
                file, format.slot(generation: generation, words: words), at: UInt64(format.slotOffset(slot)))
            // The same descriptor gets the report of a failed write.
            try Sys.fdatasync(file)
        }
        slots = SlotState(generation: generation, good: slot)
    }

    /// Writes `words` to the live area and both slots, so that no cleared bit can reappear. Throws if any of the writes
    /// fails.
    func retract(_ words: [UInt64], _ slots: inout SlotState) throws(Errno) {
        try writeLive(words)
        try writeBothSlots(words, &slots)
    }

    /// Writes `words` to both slots, so that no cleared bit can reappear after a crash of the machine.
    func writeBothSlots(_ words: [UInt64], _ slots: inout SlotState) throws(Errno) {
        try writeSlot(words, &slots)
        try writeSlot(words, &slots)
    }
}

/// The state of the two slots of a presence file. Each slot has room for one saved copy of the presence bits.
struct SlotState: Sendable {
    /// The generation of the last good slot; 0 if there is none.
    var generation: UInt64 = 0
    /// The index of the last good slot, 0 or 1; `nil` if there is none.
    var good: Int?
}
