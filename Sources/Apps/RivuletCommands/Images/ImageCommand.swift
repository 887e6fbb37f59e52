import ArgumentParser

/// `rivulet image`: copies images.
struct ImageCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "image", abstract: "Copy images between registries.", subcommands: [ImageImport.self])
}
