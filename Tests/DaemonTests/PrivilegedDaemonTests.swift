import Daemon
import Foundation
import Testing

/// The daemon as a process: its errors and exit codes, and its notifications to systemd.
@Suite(.serialized) struct PrivilegedDaemonTests {
    private func isListening(_ daemon: DaemonProcess) -> Bool {
        FileManager.default.fileExists(atPath: daemon.address)
    }

    @Test("starts, mounts and leaves nothing behind") func startsMountsAndLeavesNothingBehind() throws {
        let daemon = try DaemonProcess()
        defer { daemon.stop() }
        try daemon.start()
        try #require(daemon.wait { isListening(daemon) })
        let mounts = try String(contentsOfFile: "/proc/self/mounts", encoding: .utf8)
        #expect(mounts.contains(daemon.mountPoint))
        daemon.process.terminate()
        let (code, text) = try daemon.finish()
        #expect(code == 0, "\(text)")
        #expect(try !String(contentsOfFile: "/proc/self/mounts", encoding: .utf8).contains(daemon.mountPoint))
        #expect(!isListening(daemon))
    }

    @Test("refuses a second instance") func refusesSecondInstance() throws {
        let first = try DaemonProcess()
        defer { first.stop() }
        try first.start()
        try #require(first.wait { isListening(first) })
        let second = try DaemonProcess(root: first.directory + "/root")
        defer { second.stop() }
        try second.start()
        let (code, text) = try second.finish()
        #expect(code == StartupError.Code.alreadyRunning.rawValue)
        #expect(text.contains(first.directory + "/root"), "\(text)")
    }

    @Test("refuses a socket in use") func refusesSocketInUse() throws {
        let first = try DaemonProcess()
        defer { first.stop() }
        try first.start()
        try #require(first.wait { isListening(first) })
        let second = try DaemonProcess()
        defer { second.stop() }
        let configuration = "root = \"\(second.directory)/root\"\naddress = \"\(first.address)\"\n"
        try configuration.write(toFile: second.directory + "/config.toml", atomically: false, encoding: .utf8)
        try second.start()
        let (code, text) = try second.finish()
        #expect(code == StartupError.Code.alreadyRunning.rawValue)
        #expect(text.contains(first.address), "\(text)")
    }

    @Test("rejects a configuration with an unknown key") func rejectsConfigurationWithUnknownKey() throws {
        let daemon = try DaemonProcess(extra: "rot = 1")
        defer { daemon.stop() }
        try daemon.start()
        let (code, text) = try daemon.finish()
        #expect(code == StartupError.Code.configuration.rawValue)
        #expect(text.contains("config.toml:3: unknown option rot"), "\(text)")
    }

    @Test("refuses to run without root") func refusesToRunWithoutRoot() throws {
        let daemon = try DaemonProcess()
        defer { daemon.stop() }
        // Copy the program to a readable place, because other users may have no access to the build directory.
        let copy = "/tmp/rivuletd-\(UUID().uuidString.prefix(8))"
        try FileManager.default.copyItem(atPath: try DaemonProcess.executable, toPath: copy)
        defer { try? FileManager.default.removeItem(atPath: copy) }
        chmod(copy, 0o755)
        chmod(daemon.directory, 0o755)
        chmod(daemon.directory + "/config.toml", 0o644)
        // The shell's script ignores the arguments after `--`.
        try daemon.start([
            "/usr/bin/setpriv", "--reuid=65534", "--clear-groups", "sh", "-c",
            "exec \(copy) --config \(daemon.directory)/config.toml", "--",
        ])
        let (code, text) = try daemon.finish()
        #expect(code == StartupError.Code.notPermitted.rawValue)
        #expect(text.contains("root"), "\(text)")
    }

    @Test("refuses a directory on an overlay") func refusesDirectoryOnOverlay() throws {
        let daemon = try DaemonProcess()
        let base = daemon.directory
        defer { daemon.stop() }
        for name in ["lower", "upper", "work", "merged"] {
            try FileManager.default.createDirectory(atPath: "\(base)/\(name)", withIntermediateDirectories: false)
        }
        let options = "lowerdir=\(base)/lower,upperdir=\(base)/upper,workdir=\(base)/work"
        try #require(mount("overlay", "\(base)/merged", "overlay", 0, options) == 0, "errno \(errno)")
        defer { umount2("\(base)/merged", Int32(MNT_DETACH)) }
        let configuration = "root = \"\(base)/merged/root\"\naddress = \"\(base)/rivulet.sock\"\n"
        try configuration.write(toFile: base + "/config.toml", atomically: false, encoding: .utf8)
        try daemon.start()
        let (code, text) = try daemon.finish()
        #expect(code == StartupError.Code.unusableDirectory.rawValue)
        #expect(text.contains("overlay"), "\(text)")
    }

    @Test("notifies systemd when it is ready") func notifiesSystemdWhenItIsReady() throws {
        let daemon = try DaemonProcess()
        defer { daemon.stop() }
        let path = daemon.directory + "/notify"
        let receiver = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        try #require(receiver >= 0)
        defer { close(receiver) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(receiver, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(bound == 0)
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(receiver, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        try daemon.start(environment: ["NOTIFY_SOCKET": path])
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = recv(receiver, &buffer, buffer.count, 0)
        try #require(count > 0, "nothing within ten seconds")
        #expect(String(decoding: buffer[..<count], as: UTF8.self).hasPrefix("READY=1\n"))
        #expect(isListening(daemon))
    }

    @Test("accepts a socket from systemd") func acceptsSocketFromSystemd() throws {
        let daemon = try DaemonProcess()
        defer { daemon.stop() }
        // systemd-socket-activate starts the daemon with the socket at the first connection.
        try daemon.start(["/usr/bin/systemd-socket-activate", "--listen=\(daemon.address)"])
        try #require(daemon.wait { isListening(daemon) })
        let client = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(client) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: daemon.address.utf8) }
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(client, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(connected == 0)
        // An HTTP/2 server greets a client with its settings, so this shows that the daemon serves the inherited
        // socket.
        let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + [0, 0, 0, 4, 0, 0, 0, 0, 0]
        #expect(send(client, preface, preface.count, 0) == preface.count)
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var answer = [UInt8](repeating: 0, count: 9)
        #expect(recv(client, &answer, answer.count, 0) == answer.count)
        #expect(answer[3] == 4, "not a SETTINGS frame: \(answer)")
    }

    @Test("systemd accepts the units") func systemdAcceptsUnits() throws {
        let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("systemd").path
        let directory = "/tmp/rivulet-units-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let service = try String(contentsOfFile: sources + "/rivuletd.service", encoding: .utf8)
        // systemd-analyze requires that the command exists, and the installed path may not exist here.
        try service.replacingOccurrences(of: "/usr/bin/rivuletd", with: try DaemonProcess.executable)
            .write(toFile: directory + "/rivuletd.service", atomically: false, encoding: .utf8)
        try FileManager.default.copyItem(
            atPath: sources + "/rivuletd.socket", toPath: directory + "/rivuletd.socket")
        let verify = Process()
        let output = Pipe()
        verify.executableURL = URL(fileURLWithPath: "/usr/bin/systemd-analyze")
        verify.arguments = ["verify", directory + "/rivuletd.service", directory + "/rivuletd.socket"]
        verify.standardError = output
        try verify.run()
        let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        verify.waitUntilExit()
        #expect(verify.terminationStatus == 0, "\(text)")
        #expect(text.isEmpty, "\(text)")
    }
}
