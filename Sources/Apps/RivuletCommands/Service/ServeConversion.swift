import ArgumentParser
import Artifacts
import Base
import Conversion
import Glibc
import HTTPAPI
import Linux
import Logging
import NIOPosix
import Registry
import ServiceLifecycle
import SystemPackage
import UnixSignals

/// `rivulet serve-conversion`: runs the conversion service of one registry, which creates streaming artifacts for
/// pushed images.
struct ServeConversion: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve-conversion",
        abstract: "Run the conversion service of a registry.",
        discussion: """
            The service has an HTTP API and converts pushed images. Initially it converts nothing: rivulet artifact-streaming \
            update enables a repository, and from then on images pushed to it are converted. The registry announces them by \
            notifications to /v1/notifications (in the format of distribution, Harbor or Azure Container Registry). The service \
            also polls the tags, for pushes without a notification. When an image is deleted with a notification, its artifact is \
            deleted, too.

            All results are in the registry, so any number of services may run for one. /v1/openapi.json describes the API.

            Example:
              rivulet serve-conversion --registry registry.example --state /var/lib/rivulet-conversion/state.db
            """)

    @Option(help: ArgumentHelp("The registry's host, as in image references.", valueName: "host"))
    var registry: String

    @Option(help: ArgumentHelp("The database of operations and repositories.", valueName: "file"))
    var state = "/var/lib/rivulet-conversion/state.db"

    @Option(
        help: ArgumentHelp(
            "The listening address; without --token-file only on loopback.", valueName: "address:port"))
    var listen = "127.0.0.1:7090"

    @Option(
        help: ArgumentHelp(
            "A file with the bearer token that requests must carry.", discussion: "Default: no token.",
            valueName: "file"))
    var tokenFile: String?

    @Option(help: ArgumentHelp("The interval between polls of the tags, in seconds.", valueName: "seconds"))
    var poll = 300

    @Option(help: ArgumentHelp("Sign artifacts with this Ed25519 key. Default: no signatures.", valueName: "file"))
    var signKey: String?

    @Flag(
        help: ArgumentHelp(
            "Build startup packs from the nodes' reports of first reads.",
            discussion: "Nodes report with [conversion] service in their configuration."))
    var acceptProfiles = false

    @OptionGroup var options: RegistryOptions

    private var address: (host: String, port: Int)? {
        guard let colon = listen.lastIndex(of: ":"), let port = Int(listen[listen.index(after: colon)...]),
            (0...65535).contains(port)
        else { return nil }
        let host = listen[..<colon]
        return (host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : String(host), port)
    }

    func validate() throws {
        guard let address, !address.host.isEmpty else {
            throw ValidationError("--listen must be ADDRESS:PORT, such as 127.0.0.1:7090")
        }
        guard tokenFile != nil || ["127.0.0.1", "::1", "localhost"].contains(address.host) else {
            throw ValidationError("anybody could start conversions at \(listen): set --token-file")
        }
        guard (1...86400).contains(poll) else { throw ValidationError("--poll must be 1 to 86400 seconds") }
    }

    func run() async throws {
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        try await reporting {
            signal(SIGPIPE, SIG_IGN)
            let logger = Logger(label: "rivulet") { StreamLogHandler.standardError(label: $0) }
            let token = try tokenFile.map { file throws -> String in
                let token = String(decoding: try CommandFile.read(file, limit: 4096), as: UTF8.self).trimmed
                guard !token.isEmpty else { throw CommandFailure(.failed, "\(file) contains no token") }
                return token
            }
            var settings = ConversionOptions(registry: registry)
            settings.pollInterval = .seconds(poll)
            settings.acceptsProfiles = acceptProfiles
            settings.signer = try signKey.map { file in
                try ArtifactSigner(pem: String(decoding: try CommandFile.read(file, limit: 1 << 20), as: UTF8.self))
            }
            if let slash = state.lastIndex(of: "/"), slash > state.startIndex {
                let directory = String(state[..<slash])
                do throws(Errno) {
                    try Sys.makeDirectories(directory, permissions: 0o700)
                } catch {
                    throw CommandFailure(.failed, "cannot create \(directory) for --state", cause: error)
                }
            }
            let store = try ConversionStore(path: state)
            try await options.withClient { [settings] client in
                let cores = max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
                // Use one more thread than there are cores. Decoding may occupy a thread on every core, and the service
                // must still be able to query the database.
                let workers = NIOThreadPool(numberOfThreads: cores + 1)
                workers.start()
                let service = ConversionService(
                    settings, registry: client, store: store, workers: workers, cores: cores, logger: logger)
                do {
                    try await serve(service, token: token, until: signals, logger: logger)
                    try await workers.shutdownGracefully()
                } catch {
                    try? await workers.shutdownGracefully()
                    throw error
                }
            }
        }
    }

    private func serve(
        _ service: ConversionService, token: String?, until signals: UnixSignalsSequence, logger: Logger
    ) async throws {
        guard let address else { return }
        let routes = ConversionRoutes(service, token: token)
        let listener = HTTPListener(
            .tcp(address.host, address.port), maximumBody: ConversionRoutes.maximumBody, logger: logger,
            started: { port in
                Output.note("listening on \(address.host):\(port ?? address.port)\n")
            }
        ) { await routes.answer($0) }
        var group = ServiceGroupConfiguration(
            services: [.init(service: service), .init(service: listener)], gracefulShutdownSignals: [], logger: logger)
        group.maximumGracefulShutdownDuration = .seconds(20)
        let parts = ServiceGroup(configuration: group)
        let stopper = Task {
            for await _ in signals { await parts.triggerGracefulShutdown() }
        }
        defer { stopper.cancel() }
        try await parts.run()
    }
}
