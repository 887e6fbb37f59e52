import Base
import Synchronization

/// The account of the bytes that the store may still write.
///
/// Writers take bytes before they write. ``SpaceKeeper`` measures the store and the disk, and sets the limit. The
/// account counts whole blocks, and rather too many than too few. So the store stays a little below the limit.
final class CacheSpace: Sendable {
    /// The size in bytes of the blocks in which the account counts. The file system's blocks are usually of this size.
    /// With larger ones, a measurement finds what the account lacks.
    static let block: UInt64 = 4096

    private struct Shortage {
        /// The bytes that writers were refused since the last look.
        var bytes: UInt64 = 0
        var isClosed = false
    }

    /// The bytes that writers have taken since the store was opened.
    private let taken = Atomic<UInt64>(0)
    /// The value that ``taken`` must not exceed.
    private let limit = Atomic<UInt64>(.max)
    /// The bytes that were freed since the store was opened.
    private let freed = Atomic<UInt64>(0)
    private let shortage = Guarded(Shortage())

    /// The changes since the store was opened, at one moment.
    struct Mark: Sendable {
        let taken: UInt64
        let freed: UInt64
    }

    /// Takes the blocks for a write of `count` bytes. Returns false if the limit does not allow the write. The caller
    /// must then not write.
    func take(_ count: UInt64) -> Bool {
        let bytes = Self.blocks(count)
        var before = taken.load(ordering: .relaxed)
        while true {
            // Bytes that are refused must never be in the account: a measurement would count them.
            let (total, overflow) = before.addingReportingOverflow(bytes)
            guard !overflow, total <= limit.load(ordering: .relaxed) else {
                shortage.withLockSignalling { $0.bytes = max($0.bytes, bytes) }
                return false
            }
            let result = taken.compareExchange(expected: before, desired: total, ordering: .relaxed)
            if result.exchanged { return true }
            before = result.original
        }
    }

    /// Gives back the bytes that were taken for a write that has failed.
    func giveBack(_ count: UInt64) {
        taken.wrappingSubtract(Self.blocks(count), ordering: .relaxed)
    }

    /// Returns the size of the blocks that a write of `count` bytes may touch.
    private static func blocks(_ count: UInt64) -> UInt64 {
        // An unaligned write touches one more block.
        (min(count, 1 << 53) + 2 * block - 1) / block * block
    }

    /// Records that `count` bytes were freed.
    func free(_ count: UInt64) {
        freed.wrappingAdd(count, ordering: .relaxed)
    }

    /// Returns the current changes. Take the mark before a measurement: bytes that are written during the measurement
    /// then count twice rather than not at all.
    func mark() -> Mark {
        Mark(taken: taken.load(ordering: .relaxed), freed: freed.load(ordering: .relaxed))
    }

    /// Returns the bytes in use now, if they were `measured` at `mark`.
    func used(_ measured: UInt64, at mark: Mark) -> UInt64 {
        let now = self.mark()
        let grown = measured + (now.taken >= mark.taken ? now.taken - mark.taken : 0)
        return grown - min(grown, now.freed - mark.freed)
    }

    /// Allows writers to take `headroom` bytes, counted from `mark`.
    func allow(_ headroom: UInt64, from mark: Mark) {
        limit.store(mark.taken.plus(headroom), ordering: .relaxed)
    }

    /// Waits until a writer is refused, at most `timeout` nanoseconds. Returns the size of the largest write that was
    /// refused since the last call, in bytes; `nil` after ``close()``.
    func waitForShortage(timeout: UInt64) -> UInt64? {
        let waited = shortage.waitUntil(timeout: timeout) { shortage -> (bytes: UInt64, isClosed: Bool)? in
            guard shortage.bytes > 0 || shortage.isClosed else { return nil }
            defer { shortage.bytes = 0 }
            return (shortage.bytes, shortage.isClosed)
        }
        guard let waited else { return 0 }
        return waited.isClosed ? nil : waited.bytes
    }

    /// Ends the current and all later waits for a shortage.
    func close() {
        shortage.withLockBroadcasting { $0.isClosed = true }
    }
}
