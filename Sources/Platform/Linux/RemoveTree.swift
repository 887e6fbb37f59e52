import CLinux
import Glibc
public import SystemPackage

/// Removes `path` and everything below it. A missing `path` is not an error.
///
/// The function removes symbolic links but never follows them. At a mount point inside the tree, the function throws
/// `EBUSY` and leaves the rest of the tree in place. A bind mount of the same file system is a mount point, too.
///
/// Names may contain any bytes, and the tree may have any depth. The function moves a directory deeper than 32 levels
/// to the top of the tree, and empties it there. This bounds the use of stack and of file descriptors.
public func removeTree(_ path: String) throws(Errno) {
    var parts = path.split(separator: "/", omittingEmptySubsequences: true)
    guard let name = parts.popLast(), name != ".", name != ".." else { throw .invalidArgument }
    let prefix = path.utf8.first == UInt8(ascii: "/") ? "/" : "./"
    let parent: OwnedDescriptor
    do {
        parent = try Sys.open(prefix + parts.joined(separator: "/"), [.readOnly, .directory])
    } catch .noSuchFileOrDirectory {
        return
    }
    var remover = TreeRemover()
    try remover.remove(Array(name.utf8), in: parent.raw)
}

/// The removal of one tree.
struct TreeRemover {
    /// The deepest level whose directories are emptied in place. The top directory is level 1. The remover first moves
    /// a deeper directory into the top directory.
    static let deepest = 32

    private var moved: UInt64 = 0

    /// Removes the entry `name` of the directory open at `parent`.
    mutating func remove(_ name: [UInt8], in parent: Int32) throws(Errno) {
        do {
            guard try Sys.lstat(name, at: parent).kind == .directory else {
                try Sys.unlink(name, at: parent)
                return
            }
        } catch .noSuchFileOrDirectory {
            return
        }
        let top = try open(name, in: parent)
        try empty(top.raw, top: top.raw, depth: 1)
        try Sys.removeDirectory(name, at: parent)
    }

    private mutating func empty(_ directory: Int32, top: Int32, depth: Int) throws(Errno) {
        var reader = DirectoryReader()
        // An entry may be moved into the top directory, behind the current position of the listing. So repeat the
        // listing until a whole pass finds nothing.
        var found = true
        while found {
            found = false
            _ = try Sys.call { lseek(directory, 0, SEEK_SET) }
            while true {
                let batch = try reader.next(directory)
                if batch.isEmpty { break }
                for entry in batch where !entry.isSelfOrParent {
                    found = true
                    try removeChild(entry, of: directory, top: top, depth: depth)
                }
            }
        }
    }

    private mutating func removeChild(
        _ entry: DirectoryEntry, of directory: Int32, top: Int32, depth: Int
    ) throws(Errno) {
        if entry.kind != .directory {
            do {
                try Sys.unlink(entry.name, at: directory)
                return
            } catch .isDirectory {
                // The file system does not report types in listings.
            } catch .noSuchFileOrDirectory {
                return
            }
        }
        let child: OwnedDescriptor
        do {
            child = try open(entry.name, in: directory)
        } catch .noSuchFileOrDirectory {
            return
        }
        guard depth < Self.deepest else {
            try moveUp(entry.name, from: directory, to: top)
            return
        }
        try empty(child.raw, top: top, depth: depth + 1)
        try Sys.removeDirectory(entry.name, at: directory)
    }

    private mutating func moveUp(_ name: [UInt8], from directory: Int32, to top: Int32) throws(Errno) {
        while true {
            moved += 1
            do {
                try Sys.rename(name, to: ".deep-\(moved)", replacing: false, at: directory, targetAt: top)
                return
            } catch .fileExists {
                continue
            }
        }
    }

    /// Opens the directory `name` in the directory open at `parent`. Throws `EBUSY` if `name` is a mount point.
    private func open(_ name: [UInt8], in parent: Int32) throws(Errno) -> OwnedDescriptor {
        do {
            return OwnedDescriptor(taking: try Sys.call(name) { rv_open_child_directory(parent, $0) })
        } catch .improperLink {
            throw .resourceBusy
        } catch .noFunction {
            // Linux before 5.6 has no openat2.
        } catch .notPermitted {
            // The seccomp filter does not allow openat2.
        }
        let child = try Sys.open(name, [.readOnly, .directory, .noFollow], at: parent)
        guard try mountIdentifier(of: child.raw) == mountIdentifier(of: parent) else { throw .resourceBusy }
        return child
    }

    /// Returns the mount ID of a descriptor, from /proc/self/fdinfo (Linux 3.15).
    private func mountIdentifier(of descriptor: Int32) throws(Errno) -> Substring {
        let text = String(decoding: try Sys.readFile("/proc/self/fdinfo/\(descriptor)", limit: 4096), as: UTF8.self)
        for line in text.split(separator: "\n") where line.hasPrefix("mnt_id:") {
            return line.dropFirst(7)
        }
        throw .resourceBusy
    }
}
