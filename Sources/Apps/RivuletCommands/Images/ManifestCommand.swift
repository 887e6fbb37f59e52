import ArgumentParser

/// `rivulet manifest`: manifests, and what refers to them.
struct ManifestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "manifest", abstract: "Manifests, and what refers to them.",
        subcommands: [ManifestListReferrers.self])
}
