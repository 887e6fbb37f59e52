public import ArgumentParser
import Base
import Glibc
import Logging
import Metrics
import Snapshotter

/// Parses the process's command line, runs the daemon until a signal stops it, and exits.
public func runDaemon() async {
    await DaemonCommand.main()
}

/// The command line of the daemon.
public struct DaemonCommand: AsyncParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "rivuletd",
        abstract: "Run Rivulet's snapshotter daemon.",
        discussion: """
            Containers start before their image has been downloaded. containerd connects over a unix socket, as to a \
            proxy plugin of type "snapshot". The daemon runs as root in the foreground and logs JSON to standard error; \
            systemd starts it from rivuletd.service.

            Exit codes: 64 wrong command line, 69 no FUSE, 70 internal error, 73 unusable directory, 75 already running, \
            77 not root, 78 bad configuration.
            """,
        version: DaemonVersion.current)

    /// The path of the configuration file that is used without `--config`.
    static let defaultConfiguration = "/etc/rivulet/config.toml"

    @Option(
        help: ArgumentHelp(
            "The configuration file.",
            discussion: "Default: \(Self.defaultConfiguration) if it exists, else built-in defaults.",
            valueName: "file"))
    var config: String?

    @Flag(help: "Check the configuration and exit.")
    var check = false

    /// Creates the command without arguments, as `ParsableCommand` requires.
    public init() {}

    public func run() async throws {
        do throws(StartupError) {
            let configuration = try configuration()
            if check {
                print("configuration valid")
                return
            }
            let level = configuration.logLevel
            LoggingSystem.bootstrap { JSONLogHandler(label: $0, level: level) }
            let page = MetricsPage(definitions: SnapshotterMetrics.definitions)
            MetricsSystem.bootstrap(page)
            try await Daemon(configuration: configuration, page: page).run()
        } catch {
            var line = "rivuletd: \(error)\n"
            line.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
            throw ExitCode(error.code.rawValue)
        }
    }

    private func configuration() throws(StartupError) -> DaemonConfiguration {
        do throws(ConfigurationError) {
            if let config { return try DaemonConfiguration(path: config) }
            guard access(Self.defaultConfiguration, F_OK) == 0 else { return DaemonConfiguration() }
            return try DaemonConfiguration(path: Self.defaultConfiguration)
        } catch {
            throw StartupError(.configuration, error.description)
        }
    }
}

/// The version of the daemon. `--version` prints it, and requests to registries carry it.
public enum DaemonVersion {
    public static let current = "0.1.0"
}
