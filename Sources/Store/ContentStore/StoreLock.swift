import Base
import Glibc
import Linux
import SystemPackage

/// The lock of one process on a store: flock(2) on `<root>/lock`. The kernel releases it when the process ends.
///
/// Every object that can write to the store holds a reference to the lock. So nobody can open the store again, in this
/// or another process, before the last of these objects is gone.
final class StoreLock: Sendable {
    private let file: OwnedDescriptor

    init(root: String) throws(ContentStoreError) {
        let path = root + "/lock"
        let file = try ContentStoreError.wrapping("cannot open the lock file \(path)") { () throws(Errno) in
            try Sys.open(path, [.readWrite, .create, .noFollow])
        }
        let free = try ContentStoreError.wrapping("cannot lock \(path)") { () throws(Errno) in
            try Sys.tryLock(file.raw)
        }
        guard free else {
            let holder = String(decoding: (try? Sys.readFile(path, limit: 64)) ?? [], as: UTF8.self)
            let number = holder.split(whereSeparator: \.isNewline).first.flatMap { Int32($0) }
            throw ContentStoreError(
                .locked,
                "\(root) is in use by another instance"
                    + (number.map { " (process \($0))" } ?? "") + ": stop it, or give this one another directory")
        }
        // The process number only serves the message above. Ignore errors, because a full disk must not prevent a
        // start.
        _ = try? Sys.ftruncate(file.raw, size: 0)
        _ = try? Sys.pwriteAll(file.raw, Array("\(getpid())\n".utf8), at: 0)
        self.file = file
    }

    deinit {
        // Closing is not enough: a child process that another thread is starting also holds the open file until it
        // calls exec.
        try? Sys.unlock(file.raw)
    }
}
