import Base
import Linux
import SystemPackage

/// The `present` file of one layer, open: which chunks of the content file hold verified bytes.
///
/// # Why no read ever returns a byte that was not verified
///
/// The rule to keep: *a bit that is trusted means that the chunk's range of the content file reads as the bytes whose
/// digest was checked.* Three places hold bits: memory, the live area and the two slots.
///
/// 1. **Memory.** A bit is set after pwrite(2) of the verified bytes has returned, so every later pread(2) sees them.
///    Bytes of a chunk whose bit is set are never changed: a second publication writes nothing, and a dropped chunk can
///    only be written again with the bytes of the same digest.
/// 2. **Live area.** Each word is copied here after it changed in memory, in one order (under a lock, so that an older
///    value cannot overwrite a newer one). It is trusted only when the session block names the boot that is running.
///    Within one boot the page cache survives the process: what both files were told, they answer. A process killed
///    between the two writes leaves a chunk that is there and not marked, which is fetched again.
/// 3. **Slots.** ``StoredLayer/makeDurable()`` takes a snapshot of the bits *first*, then calls fdatasync(2) on the
///    content, then writes the snapshot into the slot that is *not* the last good one, with the next generation and a
///    checksum, then calls fdatasync(2) on this file. So a slot that checks out names only chunks whose bytes were on
///    the disk before it was. Power lost during the write leaves the other slot, which lies in other blocks. After a
///    crash of the machine the boot id differs, and the good slot of the highest generation is all that is trusted.
/// 4. **Opening after a crash of the machine** first writes the trusted bits over the live area and then the new boot
///    id. Dying between the two leaves the old boot id, and the next opening does the same again.
/// 5. **Bytes that go away** (a content file that somebody shortened; later, eviction) must leave every trusted place
///    before the range is reused: memory, then the live area, then *both* slots, durably, and only then may the file
///    be extended or a hole be punched. ``retract(_:_:)`` is that step. Eviction also waits, after the first, for the
///    reads that saw the bit. Dropping a chunk that cannot be read needs none of this: its range holds the right
///    bytes or none.
/// 6. **Another file under the same name.** The header names the content file by inode and time of birth, and the
///    slots' checksum covers the header: when the content file was replaced, or the presence file comes from elsewhere,
///    nothing is trusted.
/// 7. **A write-back that fails** is told by the next fdatasync(2), once. ``StoredLayer/makeDurable()`` then clears
///    every bit that no slot vouches for, because the kernel does not say which pages it lost.
///
/// What it cannot see: content changed in place by somebody else, or by the medium without an error; and a page that a
/// failed write-back lost, read again before any fdatasync told of it.
final class PresenceFile: Sendable {
    let format: PresenceFormat
    private let file: OwnedDescriptor
    /// Held while a word is copied to the live area, which is a short pwrite into the page cache: the one system call
    /// that we make under a lock, because the order of the copies is what makes them true.
    ///
    /// Counts the copies, because the address of an empty value would be that of the lock's next field, where
    /// ThreadSanitizer sees a race.
    private let liveCopies = Guarded(UInt64(0))

    init(format: PresenceFormat, file: consuming OwnedDescriptor) {
        self.format = format
        self.file = file
    }

    // MARK: Reading

    /// The content of the file.
    struct Loaded {
        /// The bits that may be trusted.
        var words: [UInt64]
        /// The bits of the last good slot.
        var durable: [UInt64]
        var slots: SlotState
        /// Set when `words` are the live bits.
        var sameBoot: Bool
    }

    /// Reads the file, and takes the live bits when they are of the running boot, else those of the last good slot.
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

    /// The bits of the last good slot; none when there is none or it cannot be read.
    func durableWords(_ slots: SlotState) -> [UInt64] {
        guard let good = slots.good, let slot = try? bytes(at: format.slotOffset(good), format.slotLength),
            let (generation, words) = format.parseSlot(slot), generation == slots.generation
        else { return [] }
        return words
    }

    private func bytes(at offset: Int, _ count: Int) throws(Errno) -> [UInt8] {
        try Sys.pread(file.raw, count: count, at: UInt64(offset))
    }

    // MARK: Writing

    /// Starts a session of `boot` whose live bits are `words`: the bits first, the boot id last.
    func beginSession(boot: String, words: [UInt64]) throws(Errno) {
        try writeLive(words)
        try Sys.pwriteAll(file.raw, Array(boot.utf8), at: UInt64(format.sessionOffset))
    }

    /// Copies one word of `bits` to the live area.
    func recordWord(_ index: Int, of bits: AtomicBits) throws(Errno) {
        try liveCopies.withLock { (copies) throws(Errno) in
            copies &+= 1
            var word = bits.word(index).littleEndian
            try withUnsafeBytes(of: &word) { (bytes) throws(Errno) in
                try Sys.pwriteAll(file.raw, bytes, at: UInt64(format.liveOffset + index * 8))
            }
        }
    }

    private func writeLive(_ words: [UInt64]) throws(Errno) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(words.count * 8)
        for word in words { bytes.appendLittleEndian(word) }
        try liveCopies.withLock { (copies) throws(Errno) in
            copies &+= 1
            try Sys.pwriteAll(file.raw, bytes, at: UInt64(format.liveOffset))
        }
    }

    /// Writes `words` as the next generation into the slot that is not the last good one, and waits for the disk.
    /// When it throws, the last good slot is untouched.
    func writeSlot(_ words: [UInt64], _ slots: inout SlotState) throws(Errno) {
        let slot = slots.good == 0 ? 1 : 0
        let generation = slots.generation + 1
        try Sys.pwriteAll(
            file.raw, format.slot(generation: generation, words: words), at: UInt64(format.slotOffset(slot)))
        try Sys.fdatasync(file.raw)
        slots = SlotState(generation: generation, good: slot)
    }

    /// Makes `words` the bits of every place on disk, so that no other bit can come back. Throws when that is not
    /// certain.
    func retract(_ words: [UInt64], _ slots: inout SlotState) throws(Errno) {
        try writeLive(words)
        try writeSlot(words, &slots)
        try writeSlot(words, &slots)
    }
}

/// The state of the two slots.
struct SlotState: Sendable {
    /// The generation of the last good slot; 0 when there is none.
    var generation: UInt64 = 0
    var good: Int?
}
