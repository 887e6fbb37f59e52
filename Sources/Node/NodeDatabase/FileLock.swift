import Base
import Linux

/// An exclusive lock on a file, held for the object's lifetime.
public final class FileLock: Sendable {
    private let descriptor: OwnedDescriptor

    /// Creates the file at `path` if necessary, and locks it.
    ///
    /// - Throws: ``NodeDatabaseError`` with code `inUse` if another process holds the lock; `Errno` if a system call
    ///   fails.
    public init(path: String) throws {
        let descriptor = try Sys.open(path, [.readWrite, .create, .noFollow], permissions: 0o600)
        guard try Sys.tryLock(descriptor.raw) else {
            throw NodeDatabaseError(.inUse, "\(path) is locked: another instance is running")
        }
        self.descriptor = descriptor
    }
}
