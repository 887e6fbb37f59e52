import Base
import Glibc
import Linux
import SystemPackage

/// The claim of one process on a store: flock(2) on `<root>/lock`, which the kernel drops with the process.
///
/// Everything that may still write into the store holds a reference, so that no second instance can start beside it.
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
        // Only so that the message above can name us: a full disk is no reason not to start.
        _ = try? Sys.ftruncate(file.raw, size: 0)
        _ = try? Sys.pwriteAll(file.raw, Array("\(getpid())\n".utf8), at: 0)
        self.file = file
    }

    deinit {
        // Closing is not enough: a child that some other thread is about to exec has the open file too.
        try? Sys.unlock(file.raw)
    }
}
