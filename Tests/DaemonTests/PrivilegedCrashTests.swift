import ContainerdAPI
import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2
import SwiftProtobuf
import Testing

/// Kills the daemon before each change that a call makes to the disk. After a restart, records and directories must
/// agree, and containerd must be able to continue. `Tests/Steps/steps.c` kills the daemon.
@Suite(.serialized, .timeLimit(.minutes(5))) struct PrivilegedCrashTests {
    private typealias API = Containerd_Services_Snapshots_V1_Snapshots
    private typealias Client = API.Client<HTTP2ClientTransport.Posix>

    /// The calls in which the daemon is killed.
    enum Call: String, CaseIterable, Sendable {
        case prepare, prepareOnParent, view, commit, removeAndCleanup
    }

    /// An upper bound on the number of steps of a call.
    private static let most = 200

    @Test("is consistent after a crash at each step", arguments: Call.allCases)
    func isConsistentAfterCrashAtEachStep(_ call: Call) async throws {
        let base = try DaemonProcess()
        let root = base.directory + "/root"
        defer { base.stop() }
        let library = base.directory + "/steps.so"
        try build(library)
        var steps: [String] = []
        for number in 1...Self.most {
            let arm = "\(base.directory)/arm-\(number)"
            let daemon = try DaemonProcess(root: root)
            defer { daemon.stop() }
            try daemon.start(environment: ["LD_PRELOAD": library, "RIVULET_STEPS": arm])
            try #require(daemon.wait { daemon.isListening })
            let isKilled = try await withClient(daemon) { client in
                try await self.setUp(call, number, client)
                try "\(number)".write(toFile: arm, atomically: true, encoding: .utf8)
                return await self.fails { try await self.make(call, number, client) }
            }
            if isKilled {
                try #require(daemon.wait { !daemon.process.isRunning }, "\(call) failed and the daemon lives")
                #expect(daemon.process.terminationReason == .uncaughtSignal)
                steps.append((try? String(contentsOfFile: arm + ".log", encoding: .utf8)) ?? "?")
            }
            daemon.stop()
            umount2(root + "/fuse", Int32(MNT_DETACH))
            try await check(call, number, root: root, after: isKilled ? steps.last ?? "?" : "nothing")
            if !isKilled { break }
        }
        #expect(steps.count >= 3, "killed at \(steps)")
        #expect(steps.count < Self.most)
    }

    // MARK: - Calls

    private func setUp(_ call: Call, _ number: Int, _ client: Client) async throws {
        if number == 1 {
            try await prepare("extract-base", "", client)
            try await commit("base", "extract-base", client)
        }
        switch call {
        case .prepare, .prepareOnParent, .view: break
        case .commit, .removeAndCleanup: try await prepare("key-\(number)", "base", client)
        }
    }

    private func make(_ call: Call, _ number: Int, _ client: Client) async throws {
        let key = "key-\(number)"
        switch call {
        case .prepare: try await prepare(key, "", client)
        case .prepareOnParent: try await prepare(key, "base", client)
        case .view: _ = try await client.view(.with { $0.key = key }, options: Self.options)
        case .commit: try await commit("name-\(number)", key, client)
        case .removeAndCleanup:
            _ = try await client.remove(.with { $0.key = key }, options: Self.options)
            _ = try await client.cleanup(.init(), options: Self.options)
        }
    }

    private func prepare(_ key: String, _ parent: String, _ client: Client) async throws {
        let request = Containerd_Services_Snapshots_V1_PrepareSnapshotRequest.with {
            $0.key = key
            $0.parent = parent
        }
        _ = try await client.prepare(request, options: Self.options)
    }

    private func commit(_ name: String, _ key: String, _ client: Client) async throws {
        let request = Containerd_Services_Snapshots_V1_CommitSnapshotRequest.with {
            $0.name = name
            $0.key = key
        }
        _ = try await client.commit(request, options: Self.options)
    }

    // MARK: - Invariants

    /// Starts a new daemon on the state of the killed one, and checks that state.
    private func check(_ call: Call, _ number: Int, root: String, after step: String) async throws {
        let daemon = try DaemonProcess(root: root)
        defer {
            daemon.stop()
            umount2(root + "/fuse", Int32(MNT_DETACH))
        }
        try daemon.start()
        try #require(daemon.wait { daemon.isListening })
        try await withClient(daemon) { client in
            _ = try await client.cleanup(.init(), options: Self.options)
            // Each record has its directory, and there are no other directories.
            let records = try await self.list(client)
            let directories = try FileManager.default.contentsOfDirectory(atPath: root + "/snapshots")
            #expect(directories.count == records.count, "killed before \(step): \(records) and \(directories)")
            for record in records where record.kind != .committed {
                let mounts = try await client.mounts(.with { $0.key = record.name }, options: Self.options).mounts
                let paths = mounts.flatMap {
                    [$0.source] + $0.options.map { String($0.split(separator: "=").last ?? "") }
                }
                let own = paths.filter { $0.hasPrefix(root + "/snapshots/") }
                #expect(!own.isEmpty)
                for path in own { #expect(FileManager.default.fileExists(atPath: path), "killed before \(step)") }
            }
            // Repeat the call, as after a lost response. Either it succeeds, or the first call was completed.
            let again = await self.error { try await self.make(call, number, client) }
            switch call {
            case .prepare, .prepareOnParent, .view: #expect([nil, .alreadyExists].contains(again?.code))
            case .commit: #expect([nil, .alreadyExists, .notFound].contains(again?.code))
            case .removeAndCleanup: #expect([nil, .notFound].contains(again?.code))
            }
            // containerd's next pull and next container must work.
            try await self.prepare("next-\(number)", "base", client)
            _ = try await client.remove(.with { $0.key = "next-\(number)" }, options: Self.options)
            _ = try await client.cleanup(.init(), options: Self.options)
            let left = try FileManager.default.contentsOfDirectory(atPath: root + "/snapshots")
            #expect(try await self.list(client).count == left.count)
        }
    }

    private func list(_ client: Client) async throws -> [Containerd_Services_Snapshots_V1_Info] {
        try await client.list(.init(), options: Self.options) { response in
            var all: [Containerd_Services_Snapshots_V1_Info] = []
            for try await message in response.messages { all += message.info }
            return all
        }
    }

    // MARK: - Tools

    private static var options: CallOptions {
        var options = CallOptions.defaults
        options.timeout = .seconds(20)
        return options
    }

    private func fails(_ body: () async throws -> Void) async -> Bool {
        await error(body) != nil
    }

    private func error(_ body: () async throws -> Void) async -> RPCError? {
        do {
            try await body()
            return nil
        } catch {
            return error as? RPCError ?? RPCError(code: .unknown, message: "\(error)")
        }
    }

    private func withClient<Result: Sendable>(
        _ daemon: DaemonProcess, _ body: @escaping @Sendable (Client) async throws -> Result
    ) async throws -> Result {
        let transport = try HTTP2ClientTransport.Posix.http2NIOPosix(
            target: .unixDomainSocket(path: daemon.address, authority: "localhost"), transportSecurity: .plaintext)
        return try await withGRPCClient(transport: transport) { try await body(Client(wrapping: $0)) }
    }

    private func build(_ library: String) throws {
        let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Steps/steps.c").path
        let compiler = Process()
        compiler.executableURL = URL(fileURLWithPath: "/usr/bin/gcc")
        compiler.arguments = ["-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"]
        try compiler.run()
        compiler.waitUntilExit()
        try #require(compiler.terminationStatus == 0)
    }
}
