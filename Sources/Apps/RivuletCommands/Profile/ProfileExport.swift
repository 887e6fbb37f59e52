import ArgumentParser
import Base
import Registry

/// `rivulet profile export`: a profile as a file.
struct ProfileExport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Writes a profile as a file that another node can import.",
        discussion: """
            The file goes to standard output, or with -o into a file; then the answer says what was written, with \
            --output json as an array of one: file, chain, repository, entries, bytes.

            Examples:
              rivulet profile export 83b8a1f0 -o app.profile
              rivulet profile export --repository registry.example/team/app -o app.profile
              rivulet profile export 83b8a1f0 | ssh node2 rivulet profile import -

            Exit codes: 66 there is no such profile; the others as rivulet --help says.
            """)

    @Argument(
        help: ArgumentHelp(
            "The chain ID of an image's root file system, or its first digits, 8 at least.", valueName: "chain"),
        transform: { try ChainPrefix(parsing: $0) })
    var chain: ChainPrefix?

    @Option(
        help: ArgumentHelp("Instead of a chain: the newest profile of this repository.", valueName: "host/name"),
        transform: { try Repository(argument: $0) })
    var repository: Repository?

    @Option(
        name: [.customShort("o"), .customLong("file")],
        help: ArgumentHelp("Where to; - is standard output.", valueName: "file"))
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

    /// Never `nil`: ``validate()`` sees to that.
    private func wanted(_ client: AdminSocket) async throws -> Digest? {
        if let chain { return try await client.chain(chain) }
        guard let repository else { return nil }
        return try await client.profiles(of: repository).first?.chain
    }
}
