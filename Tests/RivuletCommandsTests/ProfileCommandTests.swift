import Base
import Daemon
import Foundation
import Glibc
import Linux
import Logging
import NIOCore
import NIOPosix
import NodeDatabase
import Registry
import Streaming
import TestSupport
import Testing

/// Tests of `rivulet profile` against a real admin server with its own database.
@Suite(.timeLimit(.minutes(1))) struct ProfileCommandTests {
    static let app = Repository(host: "registry.example", name: "team/app")
    static let debian = Repository(host: "docker.io", name: "library/debian")
    /// Three chain IDs. The first two begin with the same twelve digits.
    static let (first, second, third) = (
        String(repeating: "ab", count: 32), "abababababab" + String(repeating: "0", count: 52),
        String(repeating: "3", count: 64)
    )

    static func file(_ chain: String?, _ repository: Repository = app, path: String = "usr/bin/env") throws -> [UInt8] {
        try ProfileFile(
            repository: repository, chain: chain.flatMap { Digest(hex: $0.utf8) },
            profile: Profile(entries: [
                .init(path: Array(path.utf8), range: ByteRange(offset: 0, end: 10), milliseconds: 1),
                .init(
                    path: Array("etc/passwd".utf8), range: ByteRange(offset: 4096, end: 4101), milliseconds: 27,
                    unread: 1),
            ])
        ).encoded()
    }

    /// Runs `body` with an admin server, and gives it the server's socket and records and a temporary directory.
    static func withServer(
        _ body: @Sendable (_ socket: String, _ records: ProfileRecords, _ directory: String) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { directory in
            let state = try StateDatabase(root: directory)
            let records = ProfileRecords(state)
            let socket = directory + "/admin.sock"
            let server = AdminServer(
                path: socket, routes: AdminRoutes(page: MetricsPage(), profiles: records) { true },
                logger: Logger.silent)
            let run = Task { try await server.run() }
            let outcome: Result<Void, any Error>
            do {
                try await Self.waitUntilItListens(socket)
                try await body(socket, records, directory)
                outcome = .success(())
            } catch {
                outcome = .failure(error)
            }
            run.cancel()
            _ = try? await run.value
            try state.close()
            try outcome.get()
        }
    }

    /// Waits until the server accepts connections.
    static func waitUntilItListens(_ socket: String) async throws {
        let listens = await eventually {
            let channel = try? await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
                .connect(unixDomainSocketPath: socket).get()
            try? await channel?.close(mode: .all).get()
            return channel != nil
        }
        try #require(listens, "nobody listens on \(socket)")
    }

    /// Sends `request`, but reads the response only after the server has filled the socket's buffer.
    static func readSlowly(_ request: String, _ socket: String) async throws -> [UInt8] {
        let descriptor = OwnedDescriptor(taking: Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0))
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: socket.utf8.prefix(100)) }
        let isConnected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor.raw, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
        try #require(isConnected)
        try Array(request.utf8).withUnsafeBytes { try Sys.writeAll(descriptor.raw, $0) }
        var waiting: Int32 = 0
        // A unix socket buffers about 200 KiB before its writer has to wait.
        #expect(await eventually { ioctl(descriptor.raw, UInt(FIONREAD), &waiting) == 0 && waiting > 65536 })
        let raw = descriptor.raw
        defer { withExtendedLifetime(descriptor) {} }
        // This must not block the cooperative pool, because the server needs it to write.
        return try await NIOThreadPool.singleton.runIfActive {
            var (bytes, buffer) = ([UInt8](), [UInt8](repeating: 0, count: 64 << 10))
            while true {
                let count = try buffer.withUnsafeMutableBytes { try Sys.read(raw, into: $0) }
                guard count > 0 else { return bytes }
                bytes += buffer[..<count]
            }
        }
    }

    struct Listed: Decodable, Equatable {
        let chain: String
        let repository: String
        let entries: Int
        let bytes: UInt64
    }

    struct Transferred: Decodable, Equatable {
        let file: String
        let chain: String?
        let repository: String
        let entries: Int
        let bytes: UInt64
    }

    struct Shown: Decodable, Equatable {
        struct Entry: Decodable, Equatable {
            let path: String
            let offset: UInt64
            let length: UInt64
            let milliseconds: UInt32
            let misses: UInt8
        }

        let chain: String
        let repository: String
        let bytes: UInt64
        let entries: [Entry]
    }

    /// A slow client that asks to close the connection receives the complete response.
    @Test("sends a large response completely before closing") func sendsLargeResponseCompletelyBeforeClosing()
        async throws
    {
        try await Self.withServer { socket, records, _ in
            let entries = (0..<30_000).map { number in
                Profile.Entry(
                    path: Array("usr/share/\(number)".utf8), range: ByteRange(offset: 0, end: 10), milliseconds: 1)
            }
            let file = try ProfileFile(
                repository: Self.app, chain: Digest(hex: Self.third.utf8), profile: Profile(entries: entries)
            ).encoded()
            try records.keep(file: file)
            let request = "GET /profiles/\(Self.third) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            let received = try await Self.readSlowly(request, socket)
            #expect(file.count > 500_000)
            #expect(Array(received.suffix(file.count)) == file, "\(received.count) of \(file.count) and a head")
        }
    }

    @Test("lists profiles newest first") func listsProfilesNewestFirst() async throws {
        try await Self.withServer { socket, records, _ in
            let show = ["profile", "show", "--socket", socket]
            let none = try await RivuletProcess.run(show + ["--output", "json"])
            #expect(none.code == 0)
            #expect(try none.decoded([Listed].self).isEmpty)
            try records.keep(file: Self.file(Self.first))
            try records.keep(file: Self.file(Self.third, Self.debian))
            let json = try await RivuletProcess.run(show + ["--output", "json"])
            #expect(json.code == 0 && json.errors == "")
            let listed = try json.decoded([Listed].self)
            #expect(
                listed == [
                    Listed(
                        chain: "sha256:" + Self.third, repository: "docker.io/library/debian", entries: 2, bytes: 15),
                    Listed(
                        chain: "sha256:" + Self.first, repository: "registry.example/team/app", entries: 2, bytes: 15),
                ])
            let table = try await RivuletProcess.run(show)
            #expect(
                table.cells == [
                    ["CHAIN", "REPOSITORY", "ENTRIES", "BYTES"],
                    ["333333333333", "docker.io/library/debian", "2", "15"],
                    ["abababababab", "registry.example/team/app", "2", "15"],
                ])
            let short = try await RivuletProcess.run(show + ["--output", "json", "--repository", "debian"])
            #expect(try short.decoded([Listed].self) == [listed[0]], "docker's short form")
            let unknown = try await RivuletProcess.run(show + ["--repository", "registry.example/none"])
            #expect(unknown.code == 66 && unknown.output == [])
            #expect(unknown.errors.contains("registry.example/none"))
        }
    }

    @Test(
        "shows the entries of a profile",
        arguments: [third, "sha256:" + third, String(third.prefix(8)), "sha256:" + third.prefix(20)])
    func showsEntriesOfProfile(_ chain: String) async throws {
        try await Self.withServer { socket, records, _ in
            try records.keep(file: Self.file(Self.first))
            try records.keep(file: Self.file(Self.third, Self.debian))
            let show = ["profile", "show", chain, "--socket", socket]
            let json = try await RivuletProcess.run(show + ["--output", "json"])
            #expect(json.code == 0 && json.errors == "")
            #expect(
                try json.decoded(Shown.self)
                    == Shown(
                        chain: "sha256:" + Self.third, repository: "docker.io/library/debian", bytes: 15,
                        entries: [
                            .init(path: "usr/bin/env", offset: 0, length: 10, milliseconds: 1, misses: 0),
                            .init(path: "etc/passwd", offset: 4096, length: 5, milliseconds: 27, misses: 1),
                        ]))
            let table = try await RivuletProcess.run(show)
            #expect(
                table.cells == [
                    ["MS", "OFFSET", "LENGTH", "MISSES", "PATH"], ["1", "0", "10", "0", "usr/bin/env"],
                    ["27", "4096", "5", "1", "etc/passwd"],
                ])
        }
    }

    @Test("a hostile path does not control the terminal") func hostilePathDoesNotControlTerminal() async throws {
        try await Self.withServer { socket, records, _ in
            try records.keep(file: Self.file(Self.first, path: "a\u{1B}[2J\nb"))
            let table = try await RivuletProcess.run(["profile", "show", Self.first, "--socket", socket])
            #expect(table.code == 0)
            #expect(table.cells.count == 3 && !table.text.contains("\u{1B}"))
            let json = try await RivuletProcess.run([
                "profile", "show", Self.first, "--socket", socket, "--output", "json",
            ])
            #expect(try json.decoded(Shown.self).entries[0].path == "a\u{1B}[2J\nb")
        }
    }

    @Test(
        "names a chain without a profile", arguments: [String(repeating: "4", count: 64), "44444444"],
        ["show", "export"])
    func namesChainWithoutProfile(_ chain: String, _ command: String) async throws {
        try await Self.withServer { socket, records, _ in
            try records.keep(file: Self.file(Self.first))
            let run = try await RivuletProcess.run(["profile", command, chain, "--socket", socket])
            #expect(run.code == 66 && run.output == [])
            #expect(run.errors.contains(chain) && run.errors.contains("rivulet profile show"))
        }
    }

    @Test("rejects an ambiguous prefix") func rejectsAmbiguousPrefix() async throws {
        try await Self.withServer { socket, records, _ in
            try records.keep(file: Self.file(Self.first))
            try records.keep(file: Self.file(Self.second))
            let both = try await RivuletProcess.run(["profile", "export", "abababab", "--socket", socket])
            #expect(both.code == 1 && both.output == [])
            #expect(both.errors.contains(Self.first) && both.errors.contains(Self.second))
            let one = try await RivuletProcess.run(["profile", "export", "ABABABABABAB0", "--socket", socket])
            #expect(one.code == 0)
            #expect(try one.output == Self.file(Self.second))
        }
    }

    @Test("imports an exported profile on another node") func importsExportedProfileOnAnotherNode() async throws {
        let (older, newer) = (try Self.file(Self.first), try Self.file(Self.third))
        try await Self.withServer { source, records, directory in
            try records.keep(file: older)
            try records.keep(file: newer)
            let export = ["profile", "export", "--socket", source]
            let piped = try await RivuletProcess.run(export + [Self.first])
            #expect(piped.code == 0 && piped.errors == "" && piped.output == older)
            let path = directory + "/newest"
            let written = try await RivuletProcess.run(
                export + ["--repository", "registry.example/team/app", "-o", path, "--output", "json"])
            #expect(written.code == 0 && written.errors == "")
            #expect(
                try written.decoded([Transferred].self) == [
                    Transferred(
                        file: path, chain: "sha256:" + Self.third, repository: "registry.example/team/app",
                        entries: 2, bytes: 15)
                ])
            #expect(try Sys.readFile(path, limit: 1 << 20) == newer)

            try await Self.withServer { target, records, _ in
                let imported = try await RivuletProcess.run(
                    ["profile", "import", path, "-", "--socket", target, "--output", "json"], input: piped.output)
                #expect(imported.code == 0 && imported.errors == "")
                #expect(try imported.decoded([Transferred].self).map(\.file) == [path, "-"])
                #expect(try records.all().map(\.chain.hex) == [Self.first, Self.third])
                #expect(try records.file(of: #require(Digest(hex: Self.first.utf8))) == older)
                #expect(try records.file(of: #require(Digest(hex: Self.third.utf8))) == newer)
                let again = try await RivuletProcess.run(["profile", "import", path, "--socket", target])
                #expect(
                    again.cells == [
                        ["FILE", "CHAIN", "REPOSITORY", "ENTRIES", "BYTES"],
                        [path, "333333333333", "registry.example/team/app", "2", "15"],
                    ])
            }
        }
    }

    @Test("a profile of a whole repository has no chain") func profileOfWholeRepositoryHasNoChain() async throws {
        try await Self.withServer { socket, records, _ in
            let import_ = try await RivuletProcess.run(
                ["profile", "import", "-", "--socket", socket, "--output", "json"], input: try Self.file(nil))
            #expect(import_.code == 0)
            #expect(try import_.decoded([Transferred].self).map(\.chain) == [nil])
            #expect(try records.all().count == 1)
        }
    }

    @Test(
        "imports nothing if one file is not a profile",
        arguments: ["", "{}", #"{"rivuletProfile":2,"repository":"x","entries":[]}"#])
    func importsNothingIfOneFileIsNotProfile(_ text: String) async throws {
        try await Self.withServer { socket, records, directory in
            let (good, bad) = (directory + "/good", directory + "/bad")
            try Sys.writeFile(good, try Self.file(Self.first))
            try Sys.writeFile(bad, Array(text.utf8))
            let run = try await RivuletProcess.run(["profile", "import", good, bad, "--socket", socket])
            #expect(run.code == 1 && run.output == [])
            #expect(run.errors.hasPrefix("rivulet: ") && run.errors.contains(bad))
            #expect(run.errors.split(separator: "\n").count == 1)
            #expect(try records.all().isEmpty)
        }
    }

    @Test("names an inaccessible file") func namesInaccessibleFile() async throws {
        try await Self.withServer { socket, records, directory in
            let missing = directory + "/missing/file"
            let read = try await RivuletProcess.run(["profile", "import", missing, "--socket", socket])
            #expect(read.code == 66 && read.errors.contains(missing))
            try records.keep(file: Self.file(Self.first))
            let written = try await RivuletProcess.run([
                "profile", "export", Self.first, "-o", missing, "--socket", socket,
            ])
            #expect(written.code == 1 && written.errors.contains(missing))
        }
    }

    @Test(
        "reports a missing daemon at once",
        arguments: [["show"], ["show", third], ["export", third], ["import", "-"]])
    func reportsMissingDaemonAtOnce(_ command: [String]) async throws {
        try await withTemporaryDirectory { directory in
            let socket = directory + "/admin.sock"
            let run = try await RivuletProcess.run(
                ["profile"] + command + ["--socket", socket], input: try Self.file(Self.first))
            #expect(run.code == 69 && run.output == [])
            #expect(run.errors.hasPrefix("rivulet: "))
            #expect(run.errors.contains("cannot reach the daemon at \(socket): No such file or directory"))
            #expect(run.errors.contains("systemctl status rivuletd"))
            #expect(run.elapsed < .seconds(5))
        }
    }

    @Test(
        "a wrong command line exits with 64",
        arguments: [
            ["show", "abc"], ["show", String(repeating: "g", count: 64)], ["show", third + "3"],
            ["show", third, "--repository", "debian"], ["show", "--repository", "debian:12"],
            ["show", "--repository", "debian@sha256:" + third], ["show", "--output", "yaml"], ["show", "--socket", ""],
            ["show", "--socket", String(repeating: "x", count: 108)], ["export"],
            ["export", third, "--repository", "debian"], ["import"], ["import", "-", "-"], ["unknown"],
        ])
    func wrongCommandLineExitsWith64(_ arguments: [String]) async throws {
        let run = try await RivuletProcess.run(["profile"] + arguments)
        #expect(run.code == 64 && run.output == [])
        #expect(!run.errors.isEmpty)
    }

    @Test("help has examples", arguments: ["show", "export", "import"]) func helpHasExamples(_ command: String)
        async throws
    {
        let run = try await RivuletProcess.run(["profile", command, "--help"])
        #expect(run.code == 0 && run.errors == "")
        #expect(run.text.contains("rivulet profile \(command) ") && run.text.contains("Exit codes"))
        // Both values exist twice, because the command does not link the daemon's module.
        let address = try #require(DaemonConfiguration().adminAddress)
        // Lines are wrapped to the width of a terminal.
        #expect(run.text.split(whereSeparator: \.isWhitespace).joined(separator: " ").contains("default: \(address)"))
        #expect(try await RivuletProcess.run(["--version"]).text == DaemonVersion.current + "\n")
    }
}
