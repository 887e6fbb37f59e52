import Base
import CFUSE
import Glibc
import LazyFileSystem
import Linux

/// A libfuse session over one file descriptor of /dev/fuse. All workers of a server share the session.
///
/// Releasing the last reference to this object destroys libfuse's session. Workers and completions of parked reads hold
/// references while they use a request token, so no token is used after libfuse's session is gone.
final class Session: @unchecked Sendable {
    /// The result of the INIT exchange.
    struct Handshake: Sendable {
        var zeroMessageOpen = false
        var zeroMessageOpendir = false
    }

    // Safe: the libfuse session functions used here lock internally; everything else is immutable or has its own lock.
    private let handle: OpaquePointer
    /// The memory that libfuse passes to our functions as user data. It holds a pointer to this object. The object
    /// itself cannot be the user data, because libfuse needs an address before the object exists.
    private let cell: UnsafeMutablePointer<Unmanaged<Session>?>

    let fileSystem: LazyFileSystem
    let statistics: FUSEStatistics
    let log: RateLimitedLog
    let buffers: BufferPool
    let parked = Guarded(ParkedReads<ParkedRead>())
    /// The result of the INIT exchange; `nil` until the exchange has ended.
    let handshake = Guarded<Handshake?>(nil)

    /// Creates a session that owns `device`, the file descriptor of /dev/fuse with which the file system was mounted.
    init(
        device: consuming OwnedDescriptor, fileSystem: LazyFileSystem, statistics: FUSEStatistics, options: FUSEOptions
    ) throws(FUSEError) {
        let cell = UnsafeMutablePointer<Unmanaged<Session>?>.allocate(capacity: 1)
        cell.initialize(to: nil)
        guard let handle = Self.makeHandle(userData: cell) else {
            cell.deallocate()
            throw FUSEError(.handshakeFailed, "libfuse failed to create a session")
        }
        // libfuse accepts this form of mount point for a descriptor that is already mounted.
        guard fuse_session_mount(handle, "/dev/fd/\(device.raw)") == 0 else {
            fuse_session_destroy(handle)
            cell.deallocate()
            throw FUSEError(.handshakeFailed, "libfuse refused the mounted descriptor")
        }
        _ = device.release()
        self.handle = handle
        self.cell = cell
        self.fileSystem = fileSystem
        self.statistics = statistics
        log = RateLimitedLog(options.log)
        buffers = BufferPool(size: FUSEOptions.maximumRead, kept: options.threads + 4)
        cell.pointee = Unmanaged.passUnretained(self)
    }

    deinit {
        // Closes the descriptor, too.
        fuse_session_destroy(handle)
        cell.deallocate()
    }

    private static func makeHandle(userData: UnsafeMutableRawPointer) -> OpaquePointer? {
        var operations = operations()
        guard let name = strdup("rivulet") else { return nil }
        defer { free(name) }
        var arguments: [UnsafeMutablePointer<CChar>?] = [name, nil]
        return arguments.withUnsafeMutableBufferPointer { arguments in
            var list = fuse_args(argc: 1, argv: arguments.baseAddress, allocated: 0)
            return fuse_session_new(&list, &operations, MemoryLayout<fuse_lowlevel_ops>.size, userData)
        }
    }

    /// Returns the session of a request. A worker or a completion keeps the session alive while the request is open.
    static func of(_ request: fuse_req_t) -> Session? {
        fuse_req_userdata(request).flatMap { of(userData: $0) }
    }

    static func of(userData: UnsafeMutableRawPointer) -> Session? {
        userData.assumingMemoryBound(to: Unmanaged<Session>?.self).pointee?.takeUnretainedValue()
    }

    /// Reads and answers requests until the connection ends.
    ///
    /// All threads share one descriptor of /dev/fuse. If each thread had a cloned descriptor, closing a clone would
    /// drop the unanswered requests that a thread has read from it.
    func serve() {
        var buffer = fuse_buf()
        defer { free(buffer.mem) }
        while fuse_session_exited(handle) == 0 {
            let count = fuse_session_receive_buf(handle, &buffer)
            if count == -EINTR || count == -EAGAIN { continue }
            // 0 means unmounted. A negative number means that the connection was aborted or the descriptor is
            // unreadable.
            guard count > 0 else { break }
            fuse_session_process_buf(handle, &buffer)
        }
        fuse_session_exit(handle)
    }

    /// Tells the kernel to drop the cached entries that `change` has outdated. Do not call this while handling a
    /// request: the kernel may wait for the request and so deadlock.
    func invalidate(_ change: LazyFileSystem.Change) {
        if !change.appeared {
            change.name.withUnsafeBytes { name in
                _ = fuse_lowlevel_notify_inval_entry(
                    handle, change.directory.rawValue, name.bindMemory(to: CChar.self).baseAddress, name.count)
            }
        }
        // This drops the cached listing and the link count.
        _ = fuse_lowlevel_notify_inval_inode(handle, change.directory.rawValue, 0, 0)
    }
}
