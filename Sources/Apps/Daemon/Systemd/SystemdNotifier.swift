import Glibc
public import Logging

/// A notifier that reports the service's state to systemd (sd_notify(3)), in datagrams to the socket in
/// `$NOTIFY_SOCKET`.
///
/// Outside systemd there is no such socket, and the methods do nothing.
public struct SystemdNotifier: Sendable {
    private let path: String?
    private let logger: Logger

    /// Creates a notifier. `path` is the value of `$NOTIFY_SOCKET`; `nil` if it is not set. A leading `@` means the
    /// abstract namespace.
    public init(path: String?, logger: Logger) {
        self.path = path.flatMap { $0.isEmpty ? nil : $0 }
        self.logger = logger
    }

    /// Reports that the service accepts requests.
    public func ready(status: String) {
        send("READY=1\nSTATUS=\(status)")
    }

    /// Reports that the service has begun to stop.
    public func stopping() {
        send("STOPPING=1\nSTATUS=stopping")
    }

    private func send(_ message: String) {
        guard let path else { return }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var name = Array(path.utf8)
        let capacity = MemoryLayout.size(ofValue: address.sun_path)
        guard name.count < capacity else {
            logger.warning("NOTIFY_SOCKET is too long for a socket path", metadata: ["path": "\(path)"])
            return
        }
        if name.first == UInt8(ascii: "@") { name[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else {
            logger.warning("failed to notify systemd", metadata: ["errno": "\(errno)"])
            return
        }
        defer { close(descriptor) }
        // The length covers only the family and the name, because an abstract name must not have trailing zeros.
        let length = socklen_t(MemoryLayout<sa_family_t>.size + name.count)
        let bytes = Array(message.utf8)
        let sent = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { socketAddress in
                sendto(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL), socketAddress, length)
            }
        }
        if sent < 0 {
            let code = errno
            logger.warning("failed to notify systemd", metadata: ["errno": "\(code)", "path": "\(path)"])
        }
    }
}
