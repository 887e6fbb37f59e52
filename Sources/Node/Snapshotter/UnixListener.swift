import Base
import Glibc
import Linux
import NodeDatabase
import SystemPackage

/// A listening unix socket at a path. The mode of the socket is 0600, so only the daemon's user, root, can connect.
///
/// gRPC's own bind would unlink the path even if a live server uses the socket. This class first locks the file
/// `<path>.lock`, and then removes the old socket only if no server answers there.
final class UnixListener: Sendable {
    /// The maximum length of the path in bytes. `sun_path` holds 108 bytes, including a final NUL.
    private static let longestPath = 107

    private let path: String
    private let lock: FileLock
    private let device: UInt64
    private let inode: UInt64
    // The listening descriptor, which `takeDescriptor` hands out once.
    private let descriptor: Guarded<Int32?>

    /// Binds the socket and listens. From then on, clients can connect, and wait until a server accepts their
    /// connections.
    init(path: String) throws(SnapshotterError) {
        let doing = "listening on \(path)"
        let bytes = Array(path.utf8)
        guard bytes.first == UInt8(ascii: "/"), bytes.count <= Self.longestPath, !bytes.contains(0) else {
            throw SnapshotterError(
                .invalidArgument, "\(doing): the path must be absolute and of at most \(Self.longestPath) bytes")
        }
        do {
            let directory = path[..<(path.lastIndex(of: "/") ?? path.startIndex)]
            if !directory.isEmpty { try Sys.makeDirectories(String(directory), permissions: 0o700) }
            lock = try FileLock(path: path + ".lock")
            try Self.removeStale(path)
            let socket = try Self.bound(path)
            try Sys.chmod(path, 0o600)
            let status = try Sys.lstat(path)
            device = status.device
            inode = status.inode
            guard listen(socket.raw, 1024) == 0 else { throw Errno(rawValue: errno) }
            descriptor = Guarded(socket.release())
        } catch {
            throw SnapshotterError.wrapping(error, doing)
        }
        self.path = path
    }

    deinit {
        if let left = takeDescriptor() { Glibc.close(left) }
    }

    /// Returns the file descriptor of the listening socket, which the caller then owns; `nil` after the first call.
    func takeDescriptor() -> Int32? {
        descriptor.withLock { descriptor in
            defer { descriptor = nil }
            return descriptor
        }
    }

    /// Unlinks the socket's path, unless another file is there by now.
    func unlinkPath() {
        guard let status = try? Sys.lstat(path), status.device == device, status.inode == inode else { return }
        try? Sys.unlink(path)
    }

    private static func removeStale(_ path: String) throws {
        guard try Sys.exists(path) else { return }
        guard try Sys.lstat(path).kind == .socket else {
            throw SnapshotterError(.inUse, "\(path) exists and is not a socket")
        }
        let probe = try newSocket()
        guard try withAddress(path, { connect(probe.raw, $0, $1) }) != 0 else {
            throw SnapshotterError(.inUse, "\(path) is served by another program")
        }
        try Sys.unlink(path)
    }

    private static func newSocket() throws(Errno) -> OwnedDescriptor {
        let raw = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard raw >= 0 else { throw Errno(rawValue: errno) }
        return OwnedDescriptor(taking: raw)
    }

    private static func bound(_ path: String) throws -> OwnedDescriptor {
        let socket = try newSocket()
        // Linux creates the file with the mode of the socket's inode minus the umask, so never with more than 0600.
        guard fchmod(socket.raw, 0o600) == 0 else { throw Errno(rawValue: errno) }
        let (result, code) = try withAddress(path) { address, length -> (Int32, Int32) in
            let result = bind(socket.raw, address, length)
            return (result, result == 0 ? 0 : errno)
        }
        guard result == 0 else { throw Errno(rawValue: code) }
        return socket
    }

    private static func withAddress<Result>(
        _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) throws -> Result {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }

    /// Returns true if `descriptor` is a listening unix stream socket, as systemd passes it.
    static func isListener(_ descriptor: Int32) -> Bool {
        func option(_ name: Int32) -> Int32? {
            var value: Int32 = -1
            var length = socklen_t(MemoryLayout<Int32>.size)
            return getsockopt(descriptor, SOL_SOCKET, name, &value, &length) == 0 ? value : nil
        }
        return option(SO_DOMAIN) == AF_UNIX && option(SO_TYPE) == Int32(SOCK_STREAM.rawValue)
            && option(SO_ACCEPTCONN) == 1
    }
}
