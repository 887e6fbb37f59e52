import Base
import Glibc
import Linux

/// Waits until a server that was just started takes connections.
enum Readiness {
    /// Until a unix stream socket at `path` accepts.
    static func socket(_ path: String, of child: ChildProcess, seconds: UInt64 = 30) async throws(LabError) {
        try await until(child, seconds: seconds, what: path) { connects(toSocket: path) }
    }

    /// Until `port` on 127.0.0.1 accepts.
    static func port(_ port: Int, of child: ChildProcess, seconds: UInt64 = 30) async throws(LabError) {
        try await until(child, seconds: seconds, what: "port \(port)") { connects(toPort: port) }
    }

    private static func until(
        _ child: ChildProcess, seconds: UInt64, what: String, _ ready: @escaping @Sendable () -> Bool
    ) async throws(LabError) {
        let deadline = MonotonicTime.now().advanced(by: seconds * 1_000_000_000)
        while true {
            if ready() { return }
            if let exit = child.ended {
                throw LabError(.failed, "\(child.name) ended (\(exit)) before it was ready\n\(child.logTail())")
            }
            guard MonotonicTime.now() < deadline else {
                throw LabError(.timedOut, "\(child.name) does not accept on \(what)\n\(child.logTail())")
            }
            do {
                try await Task.sleep(for: .milliseconds(10))
            } catch {
                throw LabError(.closing, "given up waiting for \(child.name)", cause: error)
            }
        }
    }

    private static func connects(toSocket path: String) -> Bool {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let room = MemoryLayout.size(ofValue: address.sun_path) - 1
        guard path.utf8.count <= room else { return false }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        return connects(address, domain: AF_UNIX)
    }

    private static func connects(toPort port: Int) -> Bool {
        connects(loopback(port), domain: AF_INET)
    }

    private static func loopback(_ port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(truncatingIfNeeded: port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }

    private static func connects<Address>(_ address: Address, domain: Int32) -> Bool {
        let socket = OwnedDescriptor(taking: Glibc.socket(domain, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0))
        return withUnsafePointer(to: address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket.raw, $0, socklen_t(MemoryLayout<Address>.size)) == 0
            }
        }
    }

    /// A TCP port of 127.0.0.1 that nobody used a moment ago.
    static func freePort() throws(LabError) -> Int {
        let socket = OwnedDescriptor(taking: Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0))
        var address = loopback(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket.raw, $0, length) == 0 && getsockname(socket.raw, $0, &length) == 0
            }
        }
        guard bound else { throw LabError(.cannotStart, "no free port on 127.0.0.1") }
        return Int(in_port_t(bigEndian: address.sin_port))
    }
}
