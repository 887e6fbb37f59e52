import ArgumentParser

/// `rivulet manifest`: inspects manifests and their referrers.
struct ManifestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "manifest", abstract: "Inspect manifests and their referrers.",
        subcommands: [ManifestListReferrers.self])
}
