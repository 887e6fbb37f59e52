import ArgumentParser

/// `rivulet image`: images.
struct ImageCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "image", abstract: "Images, from registry to registry.", subcommands: [ImageImport.self])
}
