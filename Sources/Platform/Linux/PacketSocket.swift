import CLinux
import Glibc
public import SystemPackage

/// One end of a connected pair of sockets (unix(7), `SOCK_SEQPACKET`). A packet consists of bytes and, optionally, file
/// descriptors.
///
/// A packet arrives completely or not at all, so a reader never has to assemble a packet from parts.
public struct PacketSocket: ~Copyable, Sendable {
    /// The maximum number of descriptors in one packet.
    public static let maximumDescriptors = Int(RV_PACKET_DESCRIPTORS)

    private let descriptor: OwnedDescriptor

    /// Takes ownership of `descriptor`, one end of a pair.
    public init(_ descriptor: consuming OwnedDescriptor) {
        self.descriptor = descriptor
    }

    /// The descriptor's number for poll(2) and posix_spawn(3), valid while this value lives.
    public var raw: Int32 { descriptor.raw }

    /// Creates a connected pair of sockets. Returns bare descriptor numbers, because a tuple cannot hold noncopyable
    /// owners. The caller must close both descriptors.
    public static func pair() throws(Errno) -> (Int32, Int32) {
        var ends: [Int32] = [-1, -1]
        _ = try Sys.call { rv_packet_pair(&ends) }
        return (ends[0], ends[1])
    }

    /// Sends one packet. The caller still owns the descriptors.
    ///
    /// - Parameter waits: true to wait until the other end has room; false to throw `EAGAIN` instead.
    public func send(_ bytes: [UInt8], descriptors: [Int32] = [], waits: Bool) throws(Errno) {
        _ = try Sys.call { rv_send_packet(raw, bytes, bytes.count, descriptors, descriptors.count, waits ? 1 : 0) }
    }

    /// Receives one packet.
    ///
    /// - Parameters:
    ///   - buffer: the memory for the bytes of the packet. A packet that does not fit is lost, and this function throws
    ///     `EMSGSIZE`.
    ///   - waits: true to wait for a packet; false to throw `EAGAIN` if there is none.
    /// - Returns: the number of bytes (0 if the other end is closed), and the descriptors, which the caller then owns.
    public func receive(
        into buffer: UnsafeMutableRawBufferPointer, waits: Bool
    ) throws(Errno) -> (count: Int, descriptors: [Int32]) {
        var numbers = [Int32](repeating: -1, count: Self.maximumDescriptors)
        var found = 0
        let count = try Sys.call {
            rv_receive_packet(raw, buffer.baseAddress, buffer.count, &numbers, &found, waits ? 1 : 0)
        }
        return (count, Array(numbers.prefix(found)))
    }
}
