import Linux

/// An exclusive lock on a file, held for the object's lifetime.
final class StateLock: Sendable {
    private let descriptor: OwnedDescriptor

    /// Throws ``NodeDatabaseError/Code/inUse`` if another process holds the lock.
    init(path: String) throws {
        let descriptor = try Sys.open(path, [.readWrite, .create, .noFollow], permissions: 0o600)
        guard try Sys.tryLock(descriptor.raw) else {
            throw NodeDatabaseError(.inUse, "\(path) is locked: another instance is running")
        }
        self.descriptor = descriptor
    }
}
