import Base
import Linux

/// Waits until a started server accepts connections.
enum Readiness {
    /// Waits until the unix stream socket at `path` accepts connections.
    static func socket(_ path: String, of child: ChildProcess, seconds: UInt64 = 30) async throws(LabError) {
        try await until(child, seconds: seconds, what: path) { (try? Sockets.connect(path: path).raw) != nil }
    }

    /// Waits until `port` on 127.0.0.1 accepts connections.
    static func port(_ port: Int, of child: ChildProcess, seconds: UInt64 = 30) async throws(LabError) {
        try await until(child, seconds: seconds, what: "port \(port)") { (try? Sockets.connect(port: port).raw) != nil }
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
}
