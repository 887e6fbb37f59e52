public import Base
import SystemPackage

/// A failure of the node's cache.
public typealias ContentStoreError = Failure<ContentStoreErrorCode>

/// The kinds of ``ContentStoreError``.
public enum ContentStoreErrorCode: Hashable, Sendable {
    /// Another process works on the same directory.
    case locked
    /// The directory lies on a file system that the store cannot work on.
    case unsuitableFileSystem
    /// The disk or the quota is full. What was to be written is absent, nothing else changed.
    case noSpace
    /// The disk is mounted read-only, or turned itself read-only after an error.
    case readOnly
    /// The disk failed, or the kernel refused a call.
    case io
    /// Content that should be there cannot be read: drop the chunk and fetch it again.
    case damaged
    /// An index that does not belong to the blob, or that cannot be read back.
    case badIndex
    /// A chunk number, offset or length that the layer does not have.
    case outOfRange
    /// The layer is open: it cannot be removed now.
    case inUse
}

extension ContentStoreError {
    /// The failure of a system call, put into the class that callers act on.
    ///
    /// Labelled, because `Errno` has members of the same names as `Code`.
    init(errno: Errno, _ message: String) {
        let code: Code =
            switch errno {
            case .noSpace, .diskQuotaExceeded: .noSpace
            case .readOnlyFileSystem: .readOnly
            default: .io
            }
        self.init(code, message, cause: errno)
    }

    /// Runs `body`, turning an `Errno` into an error that says what was being done.
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
