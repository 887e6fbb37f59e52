import ArgumentParser
import Logging
import Registry

/// The options of every subcommand that uses a registry: hosts and credentials.
struct RegistryOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Colon-separated directories of containerd's hosts.toml files.", valueName: "directories"))
    var hosts = "/etc/containerd/certs.d:/etc/docker/certs.d"

    @Option(
        help: ArgumentHelp(
            "The directory of docker's config.json.", discussion: "Default: $DOCKER_CONFIG, or ~/.docker.",
            valueName: "directory"))
    var dockerConfig: String?

    /// Runs `body` with a registry client, and shuts the client down afterwards.
    func withClient(_ body: (RegistryClient) async throws -> Void) async throws {
        let logger = Logger(label: "rivulet") { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = .error
            return handler
        }
        let client = RegistryClient(
            RegistryConfiguration(
                hostDirectories: RegistryConfiguration.hostDirectories(configPath: hosts),
                credentials: DockerConfigCredentials(path: dockerConfig.map { $0 + "/config.json" }),
                userAgent: "rivulet/\(ProductVersion.current)"), logger: logger)
        do {
            try await body(client)
            await client.shutdown()
        } catch {
            await client.shutdown()
            throw error
        }
    }
}

extension Repository {
    /// Parses a command-line argument of the form `HOST/NAME`, or one of Docker's short forms such as `python`.
    ///
    /// Throws an error if the argument has a tag or digest. The argument selects profiles, and a profile does not
    /// record the tag or digest of its image.
    init(argument text: String) throws {
        let last = text.split(separator: "/", omittingEmptySubsequences: false).last ?? ""
        guard !text.contains("@"), !last.contains(":") else {
            throw ValidationError("a repository must be HOST/NAME, without a tag or digest")
        }
        do throws(RegistryError) {
            self = try ImageReference(parsing: text).repository
        } catch {
            throw ValidationError("\(error)")
        }
    }
}
