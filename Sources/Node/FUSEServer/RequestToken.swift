import CFUSE
import Glibc
import SystemPackage

/// An unanswered request of the kernel.
///
/// Each request receives exactly one reply, by construction. Every reply consumes the token. A token that is dropped
/// without a reply answers EIO, so that no process hangs. A reply fails only if the requester or the connection is
/// gone; the token ignores that failure.
struct RequestToken: ~Copyable, @unchecked Sendable {
    // Safe to move between threads: libfuse locks the state that a request shares with its session, and the token has
    // one owner.
    private let request: fuse_req_t

    init(_ request: fuse_req_t) {
        self.request = request
    }

    deinit {
        _ = fuse_reply_err(request, EIO)
    }

    /// The thread ID of the requester in our PID namespace; 0 if the requester is outside that namespace.
    var thread: Int32 { fuse_req_ctx(request)?.pointee.pid ?? 0 }

    consuming func fail(_ error: Errno) {
        _ = fuse_reply_err(request, error.rawValue)
        discard self
    }

    /// Replies with `bytes`, which the kernel copies before this function returns.
    consuming func reply(_ bytes: UnsafeRawBufferPointer) {
        _ = fuse_reply_buf(request, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
        discard self
    }

    /// Replies with the length of an extended attribute's value, or of the list of attribute names.
    consuming func reply(attributeLength: Int) {
        _ = fuse_reply_xattr(request, attributeLength)
        discard self
    }

    consuming func reply(entry: fuse_entry_param) {
        withUnsafePointer(to: entry) { _ = fuse_reply_entry(request, $0) }
        discard self
    }

    consuming func reply(attributes: stat, timeout: Double) {
        withUnsafePointer(to: attributes) { _ = fuse_reply_attr(request, $0, timeout) }
        discard self
    }

    consuming func reply(capacity: statvfs) {
        withUnsafePointer(to: capacity) { _ = fuse_reply_statfs(request, $0) }
        discard self
    }

    /// Replies to an ioctl(2) with the result 0 and `count` bytes of zeros, at most 32.
    consuming func reply(zeros count: Int) {
        withUnsafeTemporaryAllocation(byteCount: 32, alignment: 8) { buffer in
            buffer.initializeMemory(as: UInt8.self, repeating: 0)
            _ = fuse_reply_ioctl(request, 0, buffer.baseAddress, min(count, buffer.count))
        }
        discard self
    }

    consuming func reply(opened file: fuse_file_info) {
        withUnsafePointer(to: file) { _ = fuse_reply_open(request, $0) }
        discard self
    }

    /// Registers `handler` for an interrupt of this request, which means that a signal is pending for the requester.
    /// libfuse calls the handler with `identifier`, on the worker that receives the interrupt.
    ///
    /// If the interrupt came earlier, this function calls the handler at once. In that case the handler must not answer
    /// this request, because libfuse still holds the request's lock.
    ///
    /// The handler receives a number, not an object. Another thread may have answered the request just before the
    /// interrupt, and an object could then be gone.
    borrowing func onInterrupt(_ identifier: UInt64, _ handler: fuse_interrupt_func_t) {
        fuse_req_interrupt_func(request, handler, UnsafeMutableRawPointer(bitPattern: UInt(identifier)))
    }

    /// Writes a directory entry to the start of `buffer`, the unused part of a listing. The entry consists of the name,
    /// the inode number and the file type.
    ///
    /// - Parameters:
    ///   - attributes: the file's attributes. libfuse copies only the inode number and the file type (`st_ino`,
    ///     `st_mode`).
    ///   - next: the offset at which the kernel continues the listing after this entry.
    /// - Returns: the size of the entry in bytes. If the entry is larger than `buffer`, this function writes nothing.
    borrowing func add(
        _ name: UnsafePointer<CChar>, attributes: stat, next: UInt64, to buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        withUnsafePointer(to: attributes) {
            fuse_add_direntry(
                request, buffer.baseAddress?.assumingMemoryBound(to: CChar.self), buffer.count, name, $0,
                off_t(truncatingIfNeeded: next))
        }
    }

    /// Writes a directory entry with all attributes (READDIRPLUS) to the start of `buffer`. Otherwise works like
    /// ``add(_:attributes:next:to:)``.
    borrowing func add(
        _ name: UnsafePointer<CChar>, entry: fuse_entry_param, next: UInt64, to buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        withUnsafePointer(to: entry) {
            fuse_add_direntry_plus(
                request, buffer.baseAddress?.assumingMemoryBound(to: CChar.self), buffer.count, name, $0,
                off_t(truncatingIfNeeded: next))
        }
    }
}
