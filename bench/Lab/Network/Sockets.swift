import Base
import Glibc
import Linux
import SystemPackage

/// Stream sockets between programs on this machine.
enum Sockets {
    /// Connects to the unix socket at `path`.
    static func connect(path: String) throws(Errno) -> OwnedDescriptor {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let room = MemoryLayout.size(ofValue: address.sun_path) - 1
        guard path.utf8.count <= room else { throw .fileNameTooLong }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        return try connect(address, domain: AF_UNIX)
    }

    /// Connects to `port` on 127.0.0.1.
    static func connect(port: Int) throws(Errno) -> OwnedDescriptor {
        try connect(loopback(port), domain: AF_INET)
    }

    /// Returns a TCP port of 127.0.0.1 that was just found free.
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

    private static func loopback(_ port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(truncatingIfNeeded: port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }

    private static func connect<Address>(_ address: Address, domain: Int32) throws(Errno) -> OwnedDescriptor {
        let raw = Glibc.socket(domain, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0)
        guard raw >= 0 else { throw Errno(rawValue: errno) }
        let socket = OwnedDescriptor(taking: raw)
        let result = withUnsafePointer(to: address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(raw, $0, socklen_t(MemoryLayout<Address>.size))
            }
        }
        guard result == 0 else { throw Errno(rawValue: errno) }
        return socket
    }
}
