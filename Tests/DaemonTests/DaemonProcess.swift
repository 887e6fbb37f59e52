import Foundation
import TestSupport

/// A `rivuletd` process that a test starts in its own directory. ``stop()`` removes both.
final class DaemonProcess {
    let directory: String
    let process = Process()
    private let output = Pipe()

    var address: String { directory + "/rivulet.sock" }
    var mountPoint: String { directory + "/root/fuse" }

    /// The path of the daemon that was built with this test. It is beside the test's own executable.
    static var executable: String {
        get throws {
            let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
            return URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent("rivuletd").path
        }
    }

    /// Writes a configuration into a new directory. Starts nothing.
    init(root: String? = nil, extra: String = "") throws {
        directory = "/tmp/rivulet-daemon-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
        let configuration = """
            root = "\(root ?? directory + "/root")"
            address = "\(directory)/rivulet.sock"
            \(extra)
            [admin]
            address = "\(directory)/admin.sock"
            """
        try configuration.write(toFile: directory + "/config.toml", atomically: false, encoding: .utf8)
    }

    /// Starts the daemon, or `command` followed by the daemon's command line.
    func start(_ command: [String] = [], environment: [String: String] = [:]) throws {
        let line = command + [try Self.executable, "--config", directory + "/config.toml"]
        process.executableURL = URL(fileURLWithPath: line[0])
        process.arguments = Array(line.dropFirst())
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { _, new in new }
        process.standardError = output
        process.standardOutput = FileHandle.nullDevice
        try process.run()
    }

    /// Waits until `condition` holds. Returns false if the daemon exits first, or after a generous time limit.
    func wait(until condition: () -> Bool) -> Bool {
        var holds = false
        return blockUntil {
            holds = condition()
            return holds || !process.isRunning
        } && (holds || condition())
    }

    /// True if the daemon accepts connections at ``address``. The socket's file appears a moment earlier.
    var isListening: Bool {
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: address.utf8.prefix($0.count - 1)) }
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        return withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
    }

    /// Waits until the daemon exits, and returns its exit code and output.
    func finish() throws -> (code: Int32, text: String) {
        let data = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: data, as: UTF8.self))
    }

    /// Stops the daemon, unmounts its mounts, and deletes its directory.
    func stop() {
        if process.isRunning {
            process.terminate()
            if !wait(until: { !process.isRunning }) { kill(process.processIdentifier, SIGKILL) }
            process.waitUntilExit()
        }
        umount2(mountPoint, Int32(MNT_DETACH))
        try? FileManager.default.removeItem(atPath: directory)
    }
}
