import Base
import CFUSE
import SystemPackage

extension Session {
    /// Returns the functions that libfuse calls for requests.
    ///
    /// Requests without a function here need none. libfuse answers access, lseek and flush with ENOSYS, and the kernel
    /// then stops sending them. The kernel itself checks access, because of the mount option `default_permissions`.
    /// libfuse answers release with success. The mount is read-only, so the kernel rejects changes with the error EROFS
    /// before it sends them. Forget needs no reply and no accounting, because node IDs are computed.
    static func operations() -> fuse_lowlevel_ops {
        var operations = fuse_lowlevel_ops()
        operations.`init` = { data, connection in
            guard let data, let connection else { return }
            Session.of(userData: data)?.negotiate(&connection.pointee)
        }
        operations.lookup = { request, parent, name in
            guard let request, let name else { return }
            let token = RequestToken(request)
            Session.of(request)?.lookup(token, in: parent, name: name)
        }
        operations.getattr = { request, node, _ in
            guard let request else { return }
            let token = RequestToken(request)
            Session.of(request)?.getattr(token, node)
        }
        operations.readlink = { request, node in
            guard let request else { return }
            let token = RequestToken(request)
            Session.of(request)?.readlink(token, node)
        }
        operations.open = { request, _, file in
            guard let request, let file else { return }
            let token = RequestToken(request)
            Session.of(request)?.open(token, file.pointee)
        }
        operations.opendir = { request, _, file in
            guard let request, let file else { return }
            let token = RequestToken(request)
            Session.of(request)?.opendir(token, file.pointee)
        }
        operations.read = { request, node, size, offset, _ in
            guard let request else { return }
            let token = RequestToken(request)
            Session.of(request)?.read(token, of: node, size: size, offset: offset)
        }
        operations.readdir = { request, node, size, offset, _ in
            guard let request else { return }
            let token = RequestToken(request)
            Session.of(request)?.readdir(token, of: node, size: size, offset: offset)
        }
        operations.readdirplus = { request, node, size, offset, _ in
            guard let request else { return }
            let token = RequestToken(request)
            Session.of(request)?.readdirplus(token, of: node, size: size, offset: offset)
        }
        operations.getxattr = { request, node, name, size in
            guard let request, let name else { return }
            let token = RequestToken(request)
            Session.of(request)?.getxattr(token, of: node, name: name, size: size)
        }
        operations.listxattr = { request, node, size in
            guard let request else { return }
            let token = RequestToken(request)
            Session.of(request)?.listxattr(token, of: node, size: size)
        }
        operations.ioctl = { request, _, command, _, _, _, _, _, outputSize in
            guard let request else { return }
            let token = RequestToken(request)
            Session.of(request)?.ioctl(token, command: command, outputSize: outputSize)
        }
        operations.statfs = { request, _ in
            guard let request else { return }
            let token = RequestToken(request)
            Session.of(request)?.statfs(token)
        }
        return operations
    }

    private func negotiate(_ connection: inout fuse_conn_info) {
        KernelCapabilities.negotiate(&connection)
        let result = Handshake(
            zeroMessageOpen: KernelCapabilities.hasZeroMessageOpen(connection),
            zeroMessageOpendir: KernelCapabilities.hasZeroMessageOpendir(connection))
        handshake.withLockBroadcasting { $0 = result }
    }
}
