import CLinux
import Glibc
public import SystemPackage

/// One end of a connected pair of sockets for packets with descriptors (unix(7), `SOCK_SEQPACKET`).
///
/// A packet arrives whole or not at all, so no reader keeps half of one.
public struct PacketSocket: ~Copyable, Sendable {
    /// The most descriptors in one packet.
    public static let maximumDescriptors = Int(RV_PACKET_DESCRIPTORS)

    private let descriptor: OwnedDescriptor

    /// Takes over an end.
    public init(_ descriptor: consuming OwnedDescriptor) {
        self.descriptor = descriptor
    }

    /// The number that poll(2) and posix_spawn(3) take. Valid for as long as this value lives.
    public var raw: Int32 { descriptor.raw }

    /// Makes a connected pair. Both numbers are the caller's to own: a tuple cannot hold owners.
    public static func pair() throws(Errno) -> (Int32, Int32) {
        var ends: [Int32] = [-1, -1]
        _ = try Sys.call { rv_packet_pair(&ends) }
        return (ends[0], ends[1])
    }

    /// Sends one packet; the descriptors stay the caller's.
    ///
    /// - Parameter waits: wait while the other end does not read; otherwise that is `EAGAIN`.
    public func send(_ bytes: [UInt8], descriptors: [Int32] = [], waits: Bool) throws(Errno) {
        _ = try Sys.call { rv_send_packet(raw, bytes, bytes.count, descriptors, descriptors.count, waits ? 1 : 0) }
    }

    /// Receives one packet.
    ///
    /// - Parameters:
    ///   - buffer: takes the bytes; a larger packet is `EMSGSIZE`.
    ///   - waits: wait for a packet; otherwise `EAGAIN` when there is none.
    /// - Returns: the number of bytes, 0 when the other end is closed, and the descriptors, which the caller owns.
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
