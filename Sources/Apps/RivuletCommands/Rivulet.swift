public import ArgumentParser

/// Parses the process's command line, runs the subcommand that it names, and exits.
public func runRivulet() async {
    await Rivulet.main()
}

/// The command line for operators and pipelines: one file a subcommand.
public struct Rivulet: AsyncParsableCommand {
    /// The version that `--version` prints and that requests to registries carry. It equals the daemon's.
    static let version = "0.1.0"

    public static let configuration = CommandConfiguration(
        commandName: "rivulet",
        abstract: "Makes images streamable, and looks after what the node's daemon knows of them.",
        discussion: """
            Registries are found, trusted and logged in to as containerd and docker do it: hosts.toml below \
            /etc/containerd/certs.d, credentials in docker's config.json.

            Exit codes: 0 done, 1 failed, 64 wrong command line, 66 there is no such image, profile or file, \
            69 the daemon or the registry cannot be reached, 77 the registry does not let us in.

            Examples:
              rivulet artifact-streaming create --image registry.example/team/app:1.2
              rivulet manifest list-referrers registry.example/team/app:1.2
              rivulet profile export --repository registry.example/team/app -o app.profile
            """,
        version: version,
        subcommands: [
            ArtifactStreamingCommand.self, ImageCommand.self, ManifestCommand.self, ProfileCommand.self,
            ServeConversion.self,
        ])

    /// Required by `ParsableCommand`.
    public init() {}
}
