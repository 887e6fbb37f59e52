import Base
import CFUSE
import Glibc
import LazyFileSystem
import SystemPackage

/// The answers to requests for names, attributes and capacity.
extension Session {
    /// The time in seconds for which the kernel may cache answers. It is practically unlimited, because the trees of
    /// layers never change. Only the mount's root and its directory `content` change, and then ``invalidate(_:)`` drops
    /// the outdated answers.
    static let forever = 4_294_967_296.0

    func lookup(_ token: consuming RequestToken, in parent: fuse_ino_t, name: UnsafePointer<CChar>) {
        statistics.lookups.add()
        let bytes = UnsafeRawBufferPointer(start: name, count: strlen(name))
        do {
            switch try fileSystem.lookup(NodeID(rawValue: parent), bytes) {
            case .found(let status):
                token.reply(entry: Self.entry(status))
            case .absent(forever: true):
                // Node 0 with a time to live: the kernel caches that the name does not exist.
                var entry = fuse_entry_param()
                entry.entry_timeout = Self.forever
                token.reply(entry: entry)
            case .absent(forever: false):
                token.fail(.noSuchFileOrDirectory)
            }
        } catch {
            fail(token, error)
        }
    }

    func getattr(_ token: consuming RequestToken, _ node: fuse_ino_t) {
        statistics.attributes.add()
        do {
            let status = try fileSystem.status(NodeID(rawValue: node))
            token.reply(attributes: Self.attributes(status), timeout: Self.forever)
        } catch {
            fail(token, error)
        }
    }

    func readlink(_ token: consuming RequestToken, _ node: fuse_ino_t) {
        statistics.links.add()
        let buffer = buffers.take()
        do {
            let target = buffer.prefix(4096)
            let count = try fileSystem.readLink(NodeID(rawValue: node), into: target)
            token.reply(UnsafeRawBufferPointer(rebasing: target[..<count]))
        } catch {
            fail(token, error)
        }
    }

    /// Answers requests for inode flags with zeros, because no file of an image has flags. Tools such as lsattr(1)
    /// expect an answer, because other file systems below an overlay give one.
    func ioctl(_ token: consuming RequestToken, command: UInt32, outputSize: Int) {
        // FS_IOC_GETFLAGS with a long and with an int, and FS_IOC_FSGETXATTR (linux/fs.h).
        guard [0x8008_6601, 0x8004_6601, 0x801C_581F].contains(command) else {
            return token.fail(.inappropriateIOCTLForDevice)
        }
        token.reply(zeros: outputSize)
    }

    func statfs(_ token: consuming RequestToken) {
        let capacity = fileSystem.capacity()
        var result = statvfs()
        result.f_bsize = UInt(capacity.blockSize)
        result.f_frsize = UInt(capacity.blockSize)
        result.f_blocks = fsblkcnt_t(capacity.blocks)
        result.f_bfree = fsblkcnt_t(capacity.freeBlocks)
        result.f_bavail = fsblkcnt_t(capacity.availableBlocks)
        result.f_files = fsfilcnt_t(capacity.files)
        result.f_ffree = fsfilcnt_t(capacity.freeFiles)
        result.f_favail = fsfilcnt_t(capacity.freeFiles)
        result.f_namemax = 255
        token.reply(capacity: result)
    }

    func open(_ token: consuming RequestToken, _ file: fuse_file_info) {
        // After one ENOSYS the kernel opens files without asking and keeps its page cache.
        guard handshake.withLock({ $0?.zeroMessageOpen }) != true else { return token.fail(.noFunction) }
        var file = file
        file.keep_cache = 1
        token.reply(opened: file)
    }

    func opendir(_ token: consuming RequestToken, _ file: fuse_file_info) {
        guard handshake.withLock({ $0?.zeroMessageOpendir }) != true else { return token.fail(.noFunction) }
        var file = file
        file.keep_cache = 1
        file.cache_readdir = 1
        token.reply(opened: file)
    }

    /// Answers with the errno of `error`. I/O errors are also logged and counted.
    func fail(_ token: consuming RequestToken, _ error: LazyFileSystemError) {
        if error.errno == .ioError {
            statistics.failures.add()
            log.report("answered a request with an I/O error: \(error)")
        }
        token.fail(error.errno)
    }

    static func entry(_ status: NodeStatus) -> fuse_entry_param {
        var entry = fuse_entry_param()
        entry.ino = status.id.rawValue
        entry.generation = UInt64(status.generation)
        entry.attr = attributes(status)
        entry.attr_timeout = forever
        entry.entry_timeout = forever
        return entry
    }

    static func attributes(_ status: NodeStatus) -> stat {
        var result = stat()
        result.st_ino = ino_t(status.id.rawValue)
        result.st_mode = status.mode
        result.st_nlink = nlink_t(status.linkCount)
        result.st_uid = status.uid
        result.st_gid = status.gid
        // makedev(3) is a macro.
        let major = UInt64(status.deviceMajor)
        let minor = UInt64(status.deviceMinor)
        result.st_rdev = dev_t(
            (major & 0xfff) << 8 | (major & ~0xfff) << 32 | (minor & 0xff) | (minor & ~0xff) << 12)
        result.st_size = off_t(truncatingIfNeeded: status.size)
        result.st_blksize = 4096
        result.st_blocks = blkcnt_t(truncatingIfNeeded: status.size.addingReportingOverflow(511).partialValue / 512)
        // A layer records only modification times.
        result.st_mtim = timespec(
            tv_sec: Int(status.modifiedSeconds), tv_nsec: Int(status.modifiedNanoseconds))
        result.st_ctim = result.st_mtim
        result.st_atim = result.st_mtim
        return result
    }
}
