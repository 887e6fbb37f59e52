import Glibc
public import SystemPackage

/// A read-only, private mapping of a regular file. The release of the last reference unmaps the file.
///
/// Map only files that nobody truncates while they are mapped. Access to a page past the end of a shortened file raises
/// SIGBUS. Rivulet installs its own mapped files by rename and never writes them again.
public final class MappedFile: @unchecked Sendable {
    // Safe to share: the mapping is read-only, never moves, and lives exactly as long as this object.
    /// The bytes of the file, valid while this object lives. Keep a reference to this object while you use the bytes.
    public let bytes: UnsafeRawBufferPointer

    /// Maps the file at `path`. Throws `EINVAL` if the file is not regular, `ELOOP` if `path` is a symbolic link.
    public convenience init(path: some PathName, at directory: Int32 = Sys.currentDirectory) throws(Errno) {
        // O_NONBLOCK: opening a FIFO by mistake must not wait for its other end.
        let file = try Sys.open(path, [.readOnly, .noFollow, .nonBlocking], at: directory)
        try self.init(descriptor: file.raw)
    }

    /// Maps the file that `descriptor` refers to. Throws `EINVAL` if the file is not regular. The caller may close the
    /// descriptor afterwards.
    public convenience init(descriptor: Int32) throws(Errno) {
        let status = try Sys.fstat(descriptor)
        guard status.kind == .regular else { throw .invalidArgument }
        try self.init(descriptor: descriptor, size: status.size)
    }

    /// Maps the first `size` bytes of the regular file that `descriptor` refers to. The caller may close the descriptor
    /// afterwards. The only system call of this initializer is mmap(2), so a confined process can use it.
    public init(descriptor: Int32, size: UInt64) throws(Errno) {
        guard let size = Int(exactly: size) else { throw .fileTooLarge }
        guard size > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0)
        let code = errno
        // MAP_FAILED is a cast macro that Swift does not import: all bits set.
        guard let address, address != UnsafeMutableRawPointer(bitPattern: -1) else { throw Errno(rawValue: code) }
        bytes = UnsafeRawBufferPointer(start: address, count: size)
    }

    deinit {
        if let address = bytes.baseAddress {
            munmap(UnsafeMutableRawPointer(mutating: address), bytes.count)
        }
    }
}
