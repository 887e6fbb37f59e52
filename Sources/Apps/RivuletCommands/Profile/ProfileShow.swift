import ArgumentParser
import Base
import Registry
import Streaming

/// `rivulet profile show`: lists profiles, or the entries of one profile.
struct ProfileShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "List the daemon's profiles, or the entries of one.",
        discussion: """
            Without a chain: chain, repository, number of entries and bytes of file content, the newest profile first. With a \
            chain: its entries in the order of first use. Each has the milliseconds since the first read, the piece's offset and \
            length in bytes, the number of consecutive starts that did not read it, and the file's path. Tables show the first \
            12 digits of a chain, which are enough to name it.

            --output json prints for each profile: chain, repository, entries, bytes; for a single one: chain, repository, \
            bytes, and entries as an array of path, offset, length, milliseconds, misses.

            Examples:
              rivulet profile show
              rivulet profile show --repository registry.example/team/app
              rivulet profile show 83b8a1f0
              rivulet profile show 83b8a1f0 --output json | jq -r '.entries[].path'

            Exit codes: 66 profile not found; the others are in rivulet --help.
            """)

    @Argument(
        help: ArgumentHelp(
            "The chain ID of an image's root file system, or at least its first 8 digits.", valueName: "chain"),
        transform: { try ChainPrefix(parsing: $0) })
    var chain: ChainPrefix?

    @Option(
        help: ArgumentHelp("List only profiles of this repository. Default: all.", valueName: "host/name"),
        transform: { try Repository(argument: $0) })
    var repository: Repository?

    @OptionGroup var admin: AdminOptions

    func validate() throws {
        guard chain == nil || repository == nil else {
            throw ValidationError("give a chain or --repository, not both")
        }
    }

    func run() async throws {
        try await reporting {
            if let chain {
                try await showEntries(of: admin.client.chain(chain))
            } else if let repository {
                try show(await admin.client.profiles(of: repository))
            } else {
                try show(await admin.client.profiles())
            }
        }
    }

    private func show(_ profiles: [ProfileSummary]) throws {
        switch admin.output {
        case .json: try Output.json(profiles)
        case .table:
            Output.table(
                ["CHAIN", "REPOSITORY", "ENTRIES", "BYTES"],
                profiles.map { [$0.chain.short, $0.repository.printable, "\($0.entries)", "\($0.bytes)"] })
        }
    }

    private func showEntries(of chain: Digest) async throws {
        let client = admin.client
        let shown = ShownProfile(chain, try client.contents(of: await client.profile(of: chain), chain))
        switch admin.output {
        case .json: try Output.json(shown)
        case .table:
            Output.table(
                ["MS", "OFFSET", "LENGTH", "MISSES", "PATH"],
                shown.entries.map {
                    ["\($0.milliseconds)", "\($0.offset)", "\($0.length)", "\($0.misses)", $0.path.printable]
                })
        }
    }
}

/// One profile in the form of `--output json`, which `docs/profiles.md` describes.
private struct ShownProfile: Encodable {
    struct Entry: Encodable {
        let path: String
        let offset: UInt64
        let length: UInt64
        let milliseconds: UInt32
        let misses: UInt8
    }

    let chain: Digest
    let repository: String
    let bytes: UInt64
    let entries: [Entry]

    init(_ chain: Digest, _ file: ProfileFile) {
        self.chain = chain
        repository = "\(file.repository)"
        bytes = file.profile.byteCount
        entries = file.profile.entries.map { entry in
            Entry(
                path: String(decoding: entry.path, as: UTF8.self), offset: entry.range.offset,
                length: entry.range.count, milliseconds: entry.milliseconds, misses: entry.unread)
        }
    }
}
