import ArgumentParser

/// The command line for operators and pipelines: one file a subcommand.
@main
struct Rivulet: AsyncParsableCommand {
    /// What `--version` prints and requests to registries carry: the daemon's.
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
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
}
