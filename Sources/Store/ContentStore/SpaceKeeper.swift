import Glibc
import Linux
public import SystemPackage

/// The thread that keeps a store within its limits of space and open files. It looks at the disk each second, and at
/// once when the store refuses a write for lack of space.
public final class SpaceKeeper: Sendable {
    /// The time between two looks at the disk, in nanoseconds.
    private static let interval: UInt64 = 1_000_000_000
    /// The least time between two looks, in microseconds, while there is a shortage and nothing to evict.
    private static let shortestInterval: UInt32 = 100_000

    private let store: ContentStore
    private let thread: NamedThread

    /// Starts the thread, which looks at the disk at once. An eviction may take a while, so the daemon's start does not
    /// wait for it.
    ///
    /// - Parameter observe: receives the state of the space after each look. It runs on the thread and must be quick.
    /// - Throws: `Errno` if the system cannot start another thread.
    public init(
        _ store: ContentStore, observe: @escaping @Sendable (ContentStore.SpaceState) -> Void
    ) throws(Errno) {
        self.store = store
        thread = try NamedThread(name: "rv-space") {
            store.measure()
            observe(store.keepSpace())
            while let refused = store.space.waitForShortage(timeout: Self.interval) {
                let state = store.keepSpace(refused: refused)
                store.closeFiles(waitsForDisk: true)
                observe(state)
                // Without room, every write is refused. The thread must not look at the disk for each of them.
                if refused > 0, state.evictedBytes == 0 { usleep(Self.shortestInterval) }
            }
        }
    }

    /// Ends the thread, and waits for its end. From then on, the store keeps to what it was last allowed to write.
    public func close() {
        store.space.close()
        thread.join()
    }
}
