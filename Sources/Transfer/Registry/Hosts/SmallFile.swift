import Glibc

/// Functions that read configuration files with a limit on their size, and that detect changes of files.
enum SmallFile {
    /// The identity of one version of a file.
    struct Stamp: Hashable {
        var inode: UInt64
        var size: Int64
        /// The modification time, in nanoseconds since 1970.
        var modified: Int64
        var isDirectory: Bool
    }

    enum Failure: Error, Equatable {
        case missing
        case tooLarge
        case unreadable(errno: Int32)
    }

    /// Returns the stamp of a path, or `nil` if the path does not exist or is not accessible.
    static func stamp(_ path: String) -> Stamp? {
        var found = stat()
        guard stat(path, &found) == 0 else { return nil }
        let modified = Int64(found.st_mtim.tv_sec) &* 1_000_000_000 &+ Int64(found.st_mtim.tv_nsec)
        return Stamp(
            inode: UInt64(found.st_ino), size: Int64(found.st_size), modified: modified,
            isDirectory: found.st_mode & S_IFMT == S_IFDIR)
    }

    /// Reads a file.
    ///
    /// - Throws: `missing`, `unreadable`, or `tooLarge` if the file has more than `limit` bytes.
    static func read(_ path: String, limit: Int) throws(Failure) -> [UInt8] {
        // Open without blocking, in case the path is a FIFO.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            let error = errno
            throw error == ENOENT || error == ENOTDIR ? .missing : .unreadable(errno: error)
        }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let (count, error) = buffer.withUnsafeMutableBytes { space in
                let count = Glibc.read(descriptor, space.baseAddress, space.count)
                return (count, errno)
            }
            if count == 0 { return bytes }
            if count < 0 {
                if error == EINTR { continue }
                throw .unreadable(errno: error)
            }
            guard bytes.count + count <= limit else { throw .tooLarge }
            bytes.append(contentsOf: buffer.prefix(count))
        }
    }

    /// Returns the sorted names in a directory: at most 4096 names, and none if the directory is unreadable.
    static func names(in directory: String) -> [String] {
        guard let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream), names.count < 4096 {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            names.append(name)
        }
        return names.sorted()
    }
}
