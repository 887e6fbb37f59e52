public import Base
import SystemPackage

/// A failure of the node's cache.
public typealias ContentStoreError = Failure<ContentStoreErrorCode>

/// The kinds of ``ContentStoreError``.
public enum ContentStoreErrorCode: Hashable, Sendable {
    /// Another process uses the same directory.
    case locked
    /// The directory lies on a file system that cannot hold the store.
    case unsuitableFileSystem
    /// The disk or the quota is full. The new data is absent; nothing else changed.
    case noSpace
    /// The disk is mounted read-only, or the kernel made it read-only after an error.
    case readOnly
    /// The disk failed, or the kernel rejected a call.
    case io
    /// The disk cannot return the bytes of a present chunk. Drop the chunk and fetch it again.
    case damaged
    /// The caller's index belongs to another blob or wrongly marks a chunk as zeros, or the store cannot read back the
    /// caller's index or merged tree.
    case badIndex
    /// An argument is invalid: the layer has no chunk with the given number, the given bytes do not have the chunk's
    /// length, or the given boot identifier does not have 36 characters.
    case outOfRange
    /// The chunk is being evicted and cannot be stored now. This says nothing about the disk.
    case busy
    /// The layer is open and cannot be removed now.
    case inUse
}

extension ContentStoreError {
    /// Creates an error from a failed system call. Full and read-only disks have codes of their own; any other `errno`
    /// becomes `.io`.
    ///
    /// The label `errno` is needed because `Errno` and `Code` have members with the same names.
    init(errno: Errno, _ message: String) {
        let code: Code =
            switch errno {
            case .noSpace, .diskQuotaExceeded: .noSpace
            case .readOnlyFileSystem: .readOnly
            default: .io
            }
        self.init(code, message, cause: errno)
    }

    /// Runs `body`. Turns its `Errno` into an error whose `message` names the failed operation.
    @inline(__always)
    static func wrapping<Result: ~Copyable>(
        _ message: @autoclosure () -> String, _ body: () throws(Errno) -> Result
    ) throws(ContentStoreError) -> Result {
        do throws(Errno) {
            return try body()
        } catch {
            throw ContentStoreError(errno: error, message())
        }
    }
}
