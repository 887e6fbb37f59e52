import CLinux
import Glibc
public import SystemPackage

extension Sys {
    /// open(2). `permissions` are those of a file that this call creates (the umask applies).
    public static func open(
        _ path: some PathName, _ flags: OpenFlags, permissions: UInt32 = 0o600, at directory: Int32 = currentDirectory
    ) throws(Errno) -> OwnedDescriptor {
        OwnedDescriptor(
            taking: try call(path) { rv_openat(directory, $0, flags.rawValue | O_CLOEXEC, permissions) })
    }

    /// read(2): how many bytes came; 0 at the end of the file.
    public static func read(_ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
        guard !buffer.isEmpty else { return 0 }
        return try call { Glibc.read(descriptor, buffer.baseAddress, buffer.count) }
    }

    /// write(2): how many bytes were taken, which may be fewer than given.
    public static func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) throws(Errno) -> Int {
        guard !bytes.isEmpty else { return 0 }
        return try call { Glibc.write(descriptor, bytes.baseAddress, bytes.count) }
    }

    /// write(2), repeated until every byte is taken.
    public static func writeAll(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) throws(Errno) {
        var rest = bytes
        while !rest.isEmpty {
            rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(try write(descriptor, rest)))
        }
    }

    /// pread(2): how many bytes came; fewer than asked for only at the end of the file (or after a signal).
    public static func pread(
        _ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64
    ) throws(Errno) -> Int {
        guard !buffer.isEmpty else { return 0 }
        guard let position = Int(exactly: offset) else { throw .invalidArgument }
        return try call { Glibc.pread(descriptor, buffer.baseAddress, buffer.count, position) }
    }

    /// pread(2), repeated until `buffer` is full or the file ends: how many bytes came.
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

    /// pwrite(2): how many bytes were taken, which may be fewer than given.
    public static func pwrite(
        _ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, at offset: UInt64
    ) throws(Errno) -> Int {
        guard !bytes.isEmpty else { return 0 }
        guard let position = Int(exactly: offset) else { throw .invalidArgument }
        return try call { Glibc.pwrite(descriptor, bytes.baseAddress, bytes.count, position) }
    }

    /// pwrite(2), repeated until every byte is taken.
    public static func pwriteAll(
        _ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, at offset: UInt64
    ) throws(Errno) {
        var done = 0
        while done < bytes.count {
            done += try pwrite(
                descriptor, UnsafeRawBufferPointer(rebasing: bytes.dropFirst(done)), at: offset &+ UInt64(done))
        }
    }

    /// fdatasync(2): the bytes, and what is needed to read them back, are on the disk.
    public static func fdatasync(_ descriptor: Int32) throws(Errno) {
        _ = try call { Glibc.fdatasync(descriptor) }
    }

    /// fsync(2): bytes and all metadata are on the disk. Of a directory: its entries are.
    public static func fsync(_ descriptor: Int32) throws(Errno) {
        _ = try call { Glibc.fsync(descriptor) }
    }

    /// fsync(2) of the directory `path`: what was created, renamed or removed in it is on the disk.
    public static func syncDirectory(_ path: some PathName) throws(Errno) {
        let directory = try open(path, [.readOnly, .directory])
        try fsync(directory.raw)
    }

    /// ftruncate(2): the file is `size` bytes long; what is new reads as zeros and takes no space.
    public static func ftruncate(_ descriptor: Int32, size: UInt64) throws(Errno) {
        guard let size = Int(exactly: size) else { throw .invalidArgument }
        _ = try call { Glibc.ftruncate(descriptor, size) }
    }

    /// fallocate(2) with `FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE`: the range reads as zeros and its whole blocks
    /// take no space any more.
    public static func punchHole(_ descriptor: Int32, at offset: UInt64, count: UInt64) throws(Errno) {
        guard let offset = Int(exactly: offset), let count = Int(exactly: count) else { throw .invalidArgument }
        _ = try call { rv_punch_hole(descriptor, offset, count) }
    }

    /// flock(2) without waiting: whether the lock was free. It goes with the last descriptor of this open file.
    public static func tryLock(_ descriptor: Int32, exclusive: Bool = true) throws(Errno) -> Bool {
        do {
            _ = try call { rv_flock(descriptor, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) }
            return true
        } catch .wouldBlock {
            return false
        }
    }

    /// flock(2)'s `LOCK_UN`: gives the lock back although a child that is about to exec may still have the descriptor.
    public static func unlock(_ descriptor: Int32) throws(Errno) {
        _ = try call { rv_flock(descriptor, LOCK_UN) }
    }

    /// memfd_create(2): an anonymous file in memory. `name` is only shown in /proc.
    public static func memoryFile(_ name: some PathName) throws(Errno) -> OwnedDescriptor {
        OwnedDescriptor(taking: try call(name) { rv_memfd_create($0) })
    }

    /// The whole of a file, which may be one whose size is not known before it is read (as in /proc).
    /// More than `limit` bytes are `EFBIG`.
    public static func readFile(
        _ path: some PathName, limit: Int, at directory: Int32 = currentDirectory
    ) throws(Errno) -> [UInt8] {
        let file = try open(path, .readOnly, at: directory)
        let size = try fstat(file.raw).size
        guard size <= UInt64(max(0, limit)) else { throw .fileTooLarge }
        // One byte more than the size: a file that ends where it says is read whole in one call and one that ends it.
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

    /// Creates or overwrites `path` with `bytes`. Neither atomic nor durable: for files that nobody reads yet.
    public static func writeFile(
        _ path: some PathName, _ bytes: [UInt8], permissions: UInt32 = 0o600, at directory: Int32 = currentDirectory
    ) throws(Errno) {
        let file = try open(path, [.writeOnly, .create, .truncate], permissions: permissions, at: directory)
        try bytes.withUnsafeBytesTyped { (buffer) throws(Errno) in try writeAll(file.raw, buffer) }
    }
}

extension [UInt8] {
    /// `withUnsafeBytes`, keeping the type of what `body` throws.
    func withUnsafeBytesTyped<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try withUnsafeBytes { bytes -> Swift.Result<Result, Failure> in
            do throws(Failure) { return .success(try body(bytes)) } catch { return .failure(error) }
        }.get()
    }

    /// `withUnsafeMutableBytes`, keeping the type of what `body` throws.
    mutating func withUnsafeMutableBytesTyped<Result, Failure: Error>(
        _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try withUnsafeMutableBytes { bytes -> Swift.Result<Result, Failure> in
            do throws(Failure) { return .success(try body(bytes)) } catch { return .failure(error) }
        }.get()
    }
}

extension Sys {
    /// Exactly `count` bytes from `offset` on; fewer in the file is `ENODATA`.
    public static func pread(_ descriptor: Int32, count: Int, at offset: UInt64) throws(Errno) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: max(0, count))
        let done = try bytes.withUnsafeMutableBytesTyped { (buffer) throws(Errno) in
            try preadAll(descriptor, into: buffer, at: offset)
        }
        guard done == bytes.count else { throw .noData }
        return bytes
    }

    /// pwrite(2) of all of `bytes`.
    public static func pwriteAll(_ descriptor: Int32, _ bytes: [UInt8], at offset: UInt64) throws(Errno) {
        try bytes.withUnsafeBytesTyped { (buffer) throws(Errno) in try pwriteAll(descriptor, buffer, at: offset) }
    }
}
