import Base
import Glibc
import Linux
import SystemPackage

/// An analyzer process and the client's end of the socket to it.
struct AnalyzerLink: ~Copyable {
    private let socket: PacketSocket
    private let process: ConfinedProcess

    /// Starts `program` as an analyzer, and moves the analyzer into the control group `group` if possible. The kernel
    /// kills the analyzer when the calling thread ends.
    init(program: String, group: ControlGroup?) throws(Errno) {
        let ends = try PacketSocket.pair()
        let own = PacketSocket(OwnedDescriptor(taking: ends.0))
        let child = PacketSocket(OwnedDescriptor(taking: ends.1))
        let started = try ConfinedProcess(program: program, role: Analyzer.role, socket: child)
        // Without the group, the analyzer's own limits still hold.
        try? group?.add(started.pid)
        socket = own
        process = started
    }

    /// The socket's file descriptor, for poll(2).
    var raw: Int32 { socket.raw }
    var processorTime: UInt64 { process.processorTime ?? 0 }
    var pid: Int32 { process.pid }

    /// Sends a command. If the socket is full, waits for up to `timeout` nanoseconds until the analyzer reads.
    ///
    /// - Parameter file: a file descriptor to send along; `nil` to send none.
    func send(_ command: AnalyzerCommand, with file: Int32? = nil, timeout: UInt64) throws(Errno) {
        let bytes = command.encoded
        let deadline = MonotonicTime.now().advanced(by: timeout)
        while true {
            do throws(Errno) {
                return try socket.send(bytes, descriptors: file.map { [$0] } ?? [], waits: false)
            } catch {
                guard error == .resourceTemporarilyUnavailable, MonotonicTime.now() < deadline else { throw error }
                var waiting = pollfd(fd: socket.raw, events: Int16(POLLOUT), revents: 0)
                _ = poll(&waiting, 1, 20)
            }
        }
    }

    /// Receives one packet into `buffer` without waiting. Closes any file descriptors that the packet carries.
    ///
    /// - Returns: the packet's length; 0 if the analyzer has closed its end; `nil` if there is no packet now.
    func receive(into buffer: inout [UInt8]) throws(Errno) -> Int? {
        let outcome: Result<Int?, Errno> = buffer.withUnsafeMutableBytes { buffer in
            do throws(Errno) {
                let (count, descriptors) = try socket.receive(into: buffer, waits: false)
                for number in descriptors { _ = OwnedDescriptor(taking: number) }
                return .success(count)
            } catch {
                return error == .resourceTemporarilyUnavailable ? .success(nil) : .failure(error)
            }
        }
        return try outcome.get()
    }

    /// Kills the process if it still runs. Returns its exit code or the signal that ended it.
    consuming func end() -> ConfinedProcess.End { process.end() }
}
