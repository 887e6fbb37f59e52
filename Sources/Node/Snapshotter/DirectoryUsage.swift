import Base
import Glibc
import Linux
import NodeDatabase
import SystemPackage

/// The disk usage of a directory, measured within limits.
///
/// The directory may be the root file system of a running container. The tree below it may change during the walk, and
/// may be deep, wide or hostile. So the walk has limits on time, memory and open files. If the walk reaches a limit,
/// the result is too low and ``isComplete`` is false.
struct DirectoryUsage {
    struct Limits: Sendable {
        var entries = 10_000_000
        var nanoseconds: UInt64 = 10_000_000_000
        /// The deepest level of directories that the walk reads. The measured directory is level 1. At each level, the
        /// walk has at most one directory open.
        var depth = 128
        /// The maximum number of files with several hard links that the walk counts. The walk remembers each such file,
        /// to count it only once.
        var hardLinks = 1_000_000
    }

    /// The usage counted so far.
    private(set) var usage = SnapshotUsage(size: 0, inodes: 0)
    /// True if the walk counted everything; false if it reached a limit or could not read a directory.
    private(set) var isComplete = true

    private let limits: Limits
    private let deadline: MonotonicTime
    private var entries = 0
    private var device: UInt64 = 0
    private var seen: Set<UInt64> = []

    /// Measures the directory `path` and everything below it. Throws only if `path` itself cannot be opened.
    static func measure(_ path: String, limits: Limits = Limits()) throws(Errno) -> DirectoryUsage {
        var measurement = DirectoryUsage(limits: limits)
        let directory = try Sys.open(path, [.readOnly, .directory, .noFollow])
        let status = try Sys.fstat(directory.raw)
        measurement.device = status.device
        measurement.count(status)
        measurement.walk(directory.release(), depth: 1)
        return measurement
    }

    /// Returns true if `path` is a directory.
    static func isDirectory(_ path: String) throws(Errno) -> Bool {
        guard try Sys.exists(path) else { return false }
        return try Sys.lstat(path).kind == .directory
    }

    private init(limits: Limits) {
        self.limits = limits
        deadline = MonotonicTime.now().advanced(by: limits.nanoseconds)
    }

    private mutating func count(_ status: FileStatus) {
        usage.size = usage.size.addingReportingOverflow(Int64(clamping: status.allocatedBytes)).partialValue
        usage.inodes += 1
    }

    /// Counts everything below the directory that the descriptor `raw` refers to, and takes ownership of `raw`.
    private mutating func walk(_ raw: Int32, depth: Int) {
        guard let stream = fdopendir(raw) else {
            isComplete = false
            Glibc.close(raw)
            return
        }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            entries += 1
            if entries >= limits.entries || (entries & 0xFF == 0 && MonotonicTime.now() >= deadline) {
                isComplete = false
                return
            }
            var name = entry.pointee.d_name
            let child = withUnsafeBytes(of: &name) { bytes -> [UInt8] in Array(bytes.prefix { $0 != 0 }) }
            if child == [0x2E] || child == [0x2E, 0x2E] { continue }
            visit(child, in: dirfd(stream), depth: depth)
        }
    }

    private mutating func visit(_ name: [UInt8], in directory: Int32, depth: Int) {
        // Entries that were deleted meanwhile do not count, nor do other file systems that are mounted here.
        guard let status = try? Sys.lstat(name, at: directory), status.device == device else { return }
        if status.kind == .directory {
            count(status)
            guard depth < limits.depth,
                let child = try? Sys.open(name, [.readOnly, .directory, .noFollow], at: directory)
            else {
                isComplete = false
                return
            }
            walk(child.release(), depth: depth + 1)
        } else if status.linkCount <= 1 {
            count(status)
        } else if !seen.contains(status.inode) {
            guard seen.count < limits.hardLinks else {
                isComplete = false
                return
            }
            seen.insert(status.inode)
            count(status)
        }
    }
}
