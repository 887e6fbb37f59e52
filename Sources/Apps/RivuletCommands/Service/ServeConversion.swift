import ArgumentParser
import Artifacts
import Base
import Conversion
import Glibc
import HTTPAPI
import Logging
import NIOPosix
import Registry
import ServiceLifecycle
import UnixSignals

/// `rivulet serve-conversion`: the conversion service of one registry.
struct ServeConversion: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve-conversion",
        abstract: "Runs the conversion service of a registry: an HTTP API, and conversion of what is pushed.",
        discussion: """
            Nothing is converted by itself at first. A repository is switched on with rivulet artifact-streaming update; \
            from then on images that are pushed to it are converted. The registry tells of them by notifications to \
            /v1/notifications (distribution's, Harbor's or Azure Container Registry's format); what it does not tell of is \
            found by looking at the tags now and then. When an image is deleted and the registry tells of it, its artifact \
            is deleted too.

            What is done is in the registry: any number of services may run behind one. /v1/openapi.json describes the API.

            Example:
              rivulet serve-conversion --registry registry.example --state /var/lib/rivulet-conversion/state.db
            """)

    @Option(help: ArgumentHelp("The registry, as it stands in references.", valueName: "host"))
    var registry: String

    @Option(help: ArgumentHelp("The database of operations and repositories.", valueName: "file"))
    var state = "/var/lib/rivulet-conversion/state.db"

    @Option(
        help: ArgumentHelp(
            "Where to listen; without --token-file only on the loopback device.", valueName: "address:port"))
    var listen = "127.0.0.1:7090"

    @Option(
        help: ArgumentHelp(
            "A file with a token that requests have to show.", discussion: "As Authorization: Bearer TOKEN.",
            valueName: "file"))
    var tokenFile: String?

    @Option(help: ArgumentHelp("How often tags are looked at, in seconds.", valueName: "seconds"))
    var poll = 300

    @Option(help: ArgumentHelp("Sign artifacts with this Ed25519 key.", valueName: "file"))
    var signKey: String?

    @Flag(
        help: ArgumentHelp(
            "Make startup packs of what nodes report that containers read first.",
            discussion: "Nodes do that with [conversion] service in their configuration."))
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
            throw ValidationError("--listen is ADDRESS:PORT, such as 127.0.0.1:7090")
        }
        guard tokenFile != nil || ["127.0.0.1", "::1", "localhost"].contains(address.host) else {
            throw ValidationError("anybody could have images converted at \(listen): give a --token-file")
        }
        guard (1...86400).contains(poll) else { throw ValidationError("--poll is 1 to 86400 seconds") }
    }

    func run() async throws {
        let signals = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        try await reporting {
            signal(SIGPIPE, SIG_IGN)
            let logger = Logger(label: "rivulet") { StreamLogHandler.standardError(label: $0) }
            let token = try tokenFile.map { file throws -> String in
                let token = String(decoding: try CommandFile.read(file, limit: 4096), as: UTF8.self).trimmed
                guard !token.isEmpty else { throw CommandFailure(.failed, "\(file) has no token in it") }
                return token
            }
            var settings = ConversionService.Options(registry: registry)
            settings.pollInterval = .seconds(poll)
            settings.acceptsProfiles = acceptProfiles
            settings.signer = try signKey.map { file in
                try ArtifactSigner(pem: String(decoding: try CommandFile.read(file, limit: 1 << 20), as: UTF8.self))
            }
            let store = try ConversionStore(path: state)
            try await options.withClient { [settings] client in
                let cores = max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
                // One more than decode: the database is asked meanwhile.
                let workers = NIOThreadPool(numberOfThreads: cores + 1)
                workers.start()
                let service = ConversionService(
                    settings, registry: client, store: store, workers: workers, cores: cores, logger: logger)
                do {
                    try await serve(service, token, signals, logger)
                    try await workers.shutdownGracefully()
                } catch {
                    try? await workers.shutdownGracefully()
                    throw error
                }
            }
        }
    }

    private func serve(
        _ service: ConversionService, _ token: String?, _ signals: UnixSignalsSequence, _ logger: Logger
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
