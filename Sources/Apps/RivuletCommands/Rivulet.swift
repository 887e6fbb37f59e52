public import ArgumentParser

/// Parses the process's command line, runs the subcommand that it names, and exits.
public func runRivulet() async {
    await Rivulet.main()
}

/// The command line for operators and pipelines. Each subcommand has its own file.
public struct Rivulet: AsyncParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "rivulet",
        abstract: "Make images streamable and manage profiles of their starts.",
        discussion: """
            Registry hosts, trust and credentials are configured as for containerd and docker: hosts.toml below \
            /etc/containerd/certs.d, credentials in docker's config.json.

            Exit codes: 0 success, 1 failure, 64 wrong command line, 66 image, profile or file not found, 69 daemon or \
            registry unreachable, 77 credentials refused by the registry.

            Examples:
              rivulet artifact-streaming create --image registry.example/team/app:1.2
              rivulet manifest list-referrers registry.example/team/app:1.2
              rivulet profile export --repository registry.example/team/app -o app.profile
            """,
        version: ProductVersion.current,
        subcommands: [
            ArtifactStreamingCommand.self, ImageCommand.self, ManifestCommand.self, ProfileCommand.self,
            ServeConversion.self,
        ])

    /// Creates the command without arguments, as `ParsableCommand` requires.
    public init() {}
}
