public import Base
import ContainerdAPI
import Linux

extension Pod {
    /// Probes the pod's application every 5 ms until it is ready. Returns the time of the first success.
    /// - Throws: `pod` with the container's output if the container exits too early; `timedOut`.
    public func waitUntilReady(_ probe: ReadyProbe, seconds: UInt64 = 300) async throws(LabError) -> MonotonicTime {
        let deadline = MonotonicTime.now().advanced(by: seconds * 1_000_000_000)
        var log = ContainerLog(path: logPath)
        var round = 0
        while MonotonicTime.now() < deadline {
            switch probe {
            case .line(let line): if log.newLines().contains(line) { return .now() }
            case .tcp(let port): if (try? Sockets.connect(port: port).raw) != nil { return .now() }
            case .http(let port, let path): if await Self.answers(path, port: port) { return .now() }
            case .exit: break
            }
            round += 1
            if probe == .exit || round % 100 == 0 {
                let status = try await status()
                let now = MonotonicTime.now()
                if status.state == .containerExited {
                    if probe == .exit, status.exitCode == 0 { return now }
                    // The container may have written its last output between the two probes.
                    if case .line(let line) = probe, log.newLines().contains(line) { return now }
                    throw LabError(
                        .pod,
                        "the container exited with \(status.exitCode) before it was ready (\(probe))\n"
                            + Files.tail(logPath, lines: 20))
                }
            }
            do {
                try await Task.sleep(for: .milliseconds(5))
            } catch {
                throw LabError(.closing, "given up waiting for \(probe)", cause: error)
            }
        }
        throw LabError(.timedOut, "not ready (\(probe)) within \(seconds) s\n\(Files.tail(logPath, lines: 20))")
    }

    /// Returns true if a GET request gets status 200. The time limit is generous, because the response itself may have
    /// to be fetched.
    private static func answers(_ path: String, port: Int) async -> Bool {
        await blocking {
            guard var connection = try? PlainHTTP(port: port, timeout: 10_000_000_000) else { return false }
            try? connection.send(PlainHTTP.request(path, headers: ["Connection: close"]))
            return (try? connection.head().status) == 200
        }
    }
}
