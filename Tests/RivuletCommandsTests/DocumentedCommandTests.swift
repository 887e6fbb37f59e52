import ArgumentParser
import Base
import Daemon
import Foundation
import HTTPAPI
import Linux
import Registry
import RivuletCommands
import Streaming
import Testing

/// Checks that every command line in README.md, docs and the help texts works as written.
@Suite(.timeLimit(.minutes(2))) struct DocumentedCommandTests {
    private static let commands = DocumentedCommand.fenced + CommandTree.examples

    @Test("the documents and help texts have command lines")
    func commandsAreFound() {
        #expect(DocumentedCommand.fenced.count >= 15)
        #expect(CommandTree.examples.count >= 15)
        for document in ["README.md", "docs/conversion.md", "docs/profiles.md", "docs/streaming-artifact.md"] {
            #expect(DocumentedCommand.fenced.contains { $0.source.hasPrefix(document) }, "\(document)")
        }
    }

    @Test("a documented command line parses", arguments: commands)
    func parses(_ command: DocumentedCommand) throws {
        if command.program == "rivulet" {
            _ = try Rivulet.parseAsRoot(command.arguments)
        } else {
            _ = try DaemonCommand.parseAsRoot(command.arguments)
        }
    }

    /// Runs the command against empty stubs of registry, service and daemon. Leaves out `serve-conversion`, which runs
    /// until a signal ends it.
    @Test("a documented command line reaches its server", arguments: commands.filter { isRunnable($0) })
    func runs(_ command: DocumentedCommand) async throws {
        try await withTemporaryDirectory { directory in
            try Self.writeFiles(in: directory)
            let run = try await StubServer.with(.tcp("127.0.0.1", 0), answer: Self.answer) { _, port in
                try Self.configureHosts(in: directory, port)
                return try await StubServer.with(.unix(directory + "/admin.sock"), answer: Self.answer) { _, _ in
                    try await RivuletProcess.run(
                        Self.arguments(of: command, directory),
                        input: try Self.profile(),
                        environment: ["RIVULET_SERVICE": "http://127.0.0.1:\(port)", "HOME": directory],
                        directory: directory)
                }
            }
            // The exit codes mean success, not found, and containerd unreachable.
            #expect([0, 66, 69].contains(run.code), "exit code \(run.code): \(run.errors)")
            #expect(!run.errors.contains("argument definition") && !run.errors.contains("Usage"), "\(run.errors)")
            if run.code == 69 { #expect(run.errors.contains("containerd")) }
        }
    }

    @Test("a command that a sentence names has the subcommands and options that it shows")
    func inlineCommands() throws {
        var count = 0
        for (name, text) in DocumentedCommand.documents {
            // Line breaks in a paragraph may split a command.
            let flat = text.replacingOccurrences(of: "\n", with: " ")
            for span in flat.split(separator: "`", omittingEmptySubsequences: false) where span.hasPrefix("rivulet ") {
                let words = span.split(separator: " ").dropFirst().map(String.init)
                guard let first = words.first, first != "…" else { continue }
                let (command, depth) = CommandTree.find(words)
                #expect(depth > 0 || first.hasPrefix("-"), "\(name): \(span)")
                let help = Rivulet.helpMessage(for: command, includeHidden: true)
                for option in words where option.hasPrefix("--") && option != "--" {
                    #expect(help.contains(option), "\(name): \(span): no \(option)")
                }
                count += 1
            }
        }
        #expect(count >= 5)
    }

    // MARK: - Stubs

    private static func isRunnable(_ command: DocumentedCommand) -> Bool {
        command.program == "rivulet" && command.arguments.first != "serve-conversion"
    }

    /// Returns `command`'s words, with the options for the stubs after the subcommand's name.
    private static func arguments(of command: DocumentedCommand, _ directory: String) -> [String] {
        let (type, depth) = CommandTree.find(command.arguments)
        let help = Rivulet.helpMessage(for: type)
        let options = [
            ("--hosts", "hosts"), ("--docker-config", "none"), ("--socket", "admin.sock"), ("--containerd", "none"),
        ].filter { help.contains($0.0 + " ") }.flatMap { [$0.0, "\(directory)/\($0.1)"] }
        return command.arguments.prefix(depth) + options + command.arguments.dropFirst(depth)
    }

    private static func answer(_ request: HTTPRequest) -> HTTPAnswer {
        switch (request.method, request.path.last) {
        case ("GET", "profiles"): HTTPAnswer(200, type: "application/json", body: Array("[]".utf8))
        case ("PUT", "profiles"): .text(201, "kept")
        default: .text(404, "nothing here")
        }
    }

    private static func profile() throws -> [UInt8] {
        try ProfileFile(
            repository: Repository(host: "registry.example", name: "team/app"), chain: nil,
            profile: Profile(entries: [
                .init(path: Array("usr/bin/env".utf8), range: ByteRange(offset: 0, end: 10), milliseconds: 1)
            ])
        ).encoded()
    }

    /// Writes the files named in the documented command lines.
    private static func writeFiles(in directory: String) throws {
        for name in ["app.profile", "web.profile"] { try Sys.writeFile("\(directory)/\(name)", try profile()) }
        // PKCS #8 of an Ed25519 key of zeros (RFC 8410, section 7).
        let key = Data(
            [0x30, 0x2E, 2, 1, 0, 0x30, 5, 6, 3, 0x2B, 0x65, 0x70, 4, 0x22, 4, 0x20] + Array(repeating: 0, count: 32))
        let pem = "-----BEGIN PRIVATE KEY-----\n\(key.base64EncodedString())\n-----END PRIVATE KEY-----\n"
        try Sys.writeFile("\(directory)/sign.pem", Array(pem.utf8))
    }

    private static func configureHosts(in directory: String, _ port: Int) throws {
        for host in ["registry.example", "docker.io"] {
            let path = "\(directory)/hosts/\(host)"
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            let text = """
                server = "http://127.0.0.1:\(port)"
                [host."http://127.0.0.1:\(port)"]
                  capabilities = ["pull", "resolve", "push"]
                """
            try Sys.writeFile(path + "/hosts.toml", Array(text.utf8))
        }
    }
}
