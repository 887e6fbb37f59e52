import CLinux
import Glibc
public import SystemPackage

extension Sys {
    /// Opens a file (open(2)). `permissions`, reduced by the umask, apply to a file that this call creates.
    public static func open(
        _ path: some PathName, _ flags: OpenFlags, permissions: UInt32 = 0o600, at directory: Int32 = currentDirectory
    ) throws(Errno) -> OwnedDescriptor {
        OwnedDescriptor(
            taking: try call(path) { rv_openat(directory, $0, flags.rawValue | O_CLOEXEC, permissions) })
    }

    /// Reads from the current position (read(2)). Returns the number of bytes read; 0 at the end of the file.
    public static func read(_ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
        guard !buffer.isEmpty else { return 0 }
        return try call { Glibc.read(descriptor, buffer.baseAddress, buffer.count) }
    }

    /// Writes at the current position (write(2)). Returns the number of bytes written, possibly fewer than given.
    public static func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) throws(Errno) -> Int {
        guard !bytes.isEmpty else { return 0 }
        return try call { Glibc.write(descriptor, bytes.baseAddress, bytes.count) }
    }

    /// Repeats write(2) until every byte is written.
    public static func writeAll(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) throws(Errno) {
        var rest = bytes
        while !rest.isEmpty {
            rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(try write(descriptor, rest)))
        }
    }

    /// Reads at `offset` (pread(2)). Returns the number of bytes read. This number is smaller than the buffer only at
    /// the end of the file or after a signal.
    public static func pread(
        _ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(Errno) -> Int {
        guard !buffer.isEmpty else { return 0 }
        guard let position = Int(exactly: offset) else { throw .invalidArgument }
        return try call { Glibc.pread(descriptor, buffer.baseAddress, buffer.count, position) }
    }

    /// Repeats pread(2) until `buffer` is full or the file ends. Returns the number of bytes read.
    public static func preadAll(
        _ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(Errno) -> Int {
        var done = 0
        while done < buffer.count {
            let count = try pread(
                descriptor, into: UnsafeMutableRawBufferPointer(rebasing: buffer.dropFirst(done)),
                at: offset &+ UInt64(done))
            if count == 0 { break }
            done += count
        }
        return done
    }

    /// Writes at `offset` (pwrite(2)). Returns the number of bytes written, possibly fewer than given.
    public static func pwrite(
        _ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, at offset: UInt64
    ) throws(Errno) -> Int {
        guard !bytes.isEmpty else { return 0 }
        guard let position = Int(exactly: offset) else { throw .invalidArgument }
        return try call { Glibc.pwrite(descriptor, bytes.baseAddress, bytes.count, position) }
    }

    /// Repeats pwrite(2) until every byte is written.
    public static func pwriteAll(
        _ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, at offset: UInt64
    ) throws(Errno) {
        var done = 0
        while done < bytes.count {
            done += try pwrite(
                descriptor, UnsafeRawBufferPointer(rebasing: bytes.dropFirst(done)), at: offset &+ UInt64(done))
        }
    }

    /// Waits until the file's bytes, and the metadata to read them back, are on the disk (fdatasync(2)).
    public static func fdatasync(_ descriptor: Int32) throws(Errno) {
        _ = try call { Glibc.fdatasync(descriptor) }
    }

    /// Waits until the file's bytes and all its metadata are on the disk (fsync(2)). For a directory, waits for its
    /// entries.
    public static func fsync(_ descriptor: Int32) throws(Errno) {
        _ = try call { Glibc.fsync(descriptor) }
    }

    /// Waits until all earlier changes to the entries of the directory `path` are on the disk (fsync(2)).
    public static func syncDirectory(_ path: some PathName) throws(Errno) {
        let directory = try open(path, [.readOnly, .directory])
        try fsync(directory.raw)
    }

    /// Sets the size of a file in bytes (ftruncate(2)). An extended file ends in a hole, which reads as zeros and takes
    /// no disk space.
    public static func ftruncate(_ descriptor: Int32, size: UInt64) throws(Errno) {
        guard let size = Int(exactly: size) else { throw .invalidArgument }
        _ = try call { Glibc.ftruncate(descriptor, size) }
    }

    /// Turns `count` bytes at `offset` into a hole (fallocate(2) with `FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE`).
    /// The bytes then read as zeros, and the file system frees the blocks that lie entirely in the range.
    public static func punchHole(_ descriptor: Int32, at offset: UInt64, count: UInt64) throws(Errno) {
        guard let offset = Int(exactly: offset), let count = Int(exactly: count) else { throw .invalidArgument }
        _ = try call { rv_punch_hole(descriptor, offset, count) }
    }

    /// Tries to lock an open file (flock(2)) without waiting. Returns true if this call locked the file. The kernel
    /// releases the lock when `descriptor` and all its duplicates are closed, also the duplicates in child processes.
    ///
    /// - Parameter exclusive: true for an exclusive lock, false for a shared lock.
    public static func tryLock(_ descriptor: Int32, exclusive: Bool = true) throws(Errno) -> Bool {
        do {
            _ = try call { rv_flock(descriptor, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) }
            return true
        } catch .wouldBlock {
            return false
        }
    }

    /// Releases a lock from ``tryLock(_:exclusive:)`` (`LOCK_UN`), even if duplicates of `descriptor` are still open.
    /// For example, a forked child that has not yet called exec has such a duplicate.
    public static func unlock(_ descriptor: Int32) throws(Errno) {
        _ = try call { rv_flock(descriptor, LOCK_UN) }
    }

    /// Creates an anonymous file in memory (memfd_create(2)). `name` appears only in /proc.
    public static func memoryFile(_ name: some PathName) throws(Errno) -> OwnedDescriptor {
        OwnedDescriptor(taking: try call(name) { rv_memfd_create($0) })
    }

    /// Reads a whole file, even a file of unknown size (as in /proc). Throws `EFBIG` if the file has more than `limit`
    /// bytes.
    public static func readFile(
        _ path: some PathName, limit: Int, at directory: Int32 = currentDirectory
    ) throws(Errno) -> [UInt8] {
        let file = try open(path, .readOnly, at: directory)
        let size = try fstat(file.raw).size
        guard size <= UInt64(max(0, limit)) else { throw .fileTooLarge }
        // One byte more than the size: an unchanged file needs one call for its bytes and one to see its end.
        var bytes = [UInt8](repeating: 0, count: max(4096, Int(size) + 1))
        var count = 0
        while true {
            if count == bytes.count { bytes.append(contentsOf: repeatElement(0, count: bytes.count)) }
            let more = try bytes.withUnsafeMutableBytesTyped { (buffer) throws(Errno) in
                try read(file.raw, into: UnsafeMutableRawBufferPointer(rebasing: buffer.dropFirst(count)))
            }
            if more == 0 { break }
            count += more
            guard count <= limit else { throw .fileTooLarge }
        }
        bytes.removeLast(bytes.count - count)
        return bytes
    }

    /// Creates or overwrites `path` with `bytes`. The write is neither atomic nor durable, so use it for files that
    /// have no readers yet.
    public static func writeFile(
        _ path: some PathName, _ bytes: [UInt8], permissions: UInt32 = 0o600, at directory: Int32 = currentDirectory
    ) throws(Errno) {
        let file = try open(path, [.writeOnly, .create, .truncate], permissions: permissions, at: directory)
        try bytes.withUnsafeBytesTyped { (buffer) throws(Errno) in try writeAll(file.raw, buffer) }
    }
}

extension [UInt8] {
    /// Calls `withUnsafeBytes` with typed throws.
    func withUnsafeBytesTyped<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try withUnsafeBytes { bytes -> Swift.Result<Result, Failure> in
            do throws(Failure) { return .success(try body(bytes)) } catch { return .failure(error) }
        }.get()
    }

    /// Calls `withUnsafeMutableBytes` with typed throws.
    mutating func withUnsafeMutableBytesTyped<Result, Failure: Error>(
        _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try withUnsafeMutableBytes { bytes -> Swift.Result<Result, Failure> in
            do throws(Failure) { return .success(try body(bytes)) } catch { return .failure(error) }
        }.get()
    }
}

extension Sys {
    /// Reads exactly `count` bytes from `offset`, or throws `ENODATA` if the file has fewer.
    public static func pread(_ descriptor: Int32, count: Int, at offset: UInt64) throws(Errno) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: max(0, count))
        let done = try bytes.withUnsafeMutableBytesTyped { (buffer) throws(Errno) in
            try preadAll(descriptor, into: buffer, at: offset)
        }
        guard done == bytes.count else { throw .noData }
        return bytes
    }

    /// Repeats pwrite(2) until all of `bytes` is written.
    public static func pwriteAll(_ descriptor: Int32, _ bytes: [UInt8], at offset: UInt64) throws(Errno) {
        try bytes.withUnsafeBytesTyped { (buffer) throws(Errno) in try pwriteAll(descriptor, buffer, at: offset) }
    }
}
