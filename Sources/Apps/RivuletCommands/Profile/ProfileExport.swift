import ArgumentParser
import Base
import Registry

/// `rivulet profile export`: writes a profile to a file.
struct ProfileExport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write a profile to a file for another node.",
        discussion: """
            The profile goes to standard output, or with -o to a file. With -o the command prints a result; with --output json \
            an array of one: file, chain, repository, entries, bytes.

            Examples:
              rivulet profile export 83b8a1f0 -o app.profile
              rivulet profile export --repository registry.example/team/app -o app.profile
              rivulet profile export 83b8a1f0 | ssh node2 rivulet profile import -

            Exit codes: 66 profile not found; the others are in rivulet --help.
            """)

    @Argument(
        help: ArgumentHelp(
            "The chain ID of an image's root file system, or at least its first 8 digits.", valueName: "chain"),
        transform: { try ChainPrefix(parsing: $0) })
    var chain: ChainPrefix?

    @Option(
        help: ArgumentHelp("The newest profile of this repository, instead of a chain.", valueName: "host/name"),
        transform: { try Repository(argument: $0) })
    var repository: Repository?

    @Option(
        name: [.customShort("o"), .customLong("file")],
        help: ArgumentHelp("The output file; - is standard output.", valueName: "file"))
    var file = CommandFile.standard

    @OptionGroup var admin: AdminOptions

    func validate() throws {
        guard (chain == nil) != (repository == nil) else {
            throw ValidationError("give a chain or --repository: rivulet profile show lists them")
        }
    }

    func run() async throws {
        try await reporting {
            let client = admin.client
            guard let chain = try await wanted(client) else { return }
            let bytes = try await client.profile(of: chain)
            guard file != CommandFile.standard else { return try CommandFile.write(file, bytes) }
            let contents = try client.contents(of: bytes, chain)
            try CommandFile.write(file, bytes)
            try TransferredProfile.report([TransferredProfile(file, contents)], admin.output)
        }
    }

    /// Returns the chain whose profile to export. The result is never `nil`, because ``validate()`` requires a chain or
    /// a repository.
    private func wanted(_ client: AdminSocket) async throws -> Digest? {
        if let chain { return try await client.chain(chain) }
        guard let repository else { return nil }
        return try await client.profiles(of: repository).first?.chain
    }
}
