import ArgumentParser
import Base
import Registry
import Streaming

/// `rivulet profile show`: which profiles there are, or what is in one of them.
struct ProfileShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Lists the profiles that the daemon keeps, or the entries of one of them.",
        discussion: """
            Without a chain: chain, repository, number of entries and bytes of file content, the newest profile first. \
            With one: its entries in the order of first use, each with the milliseconds from the first read of all, \
            where the piece begins in the file and how long it is in bytes, in how many starts in a row it was not read, \
            and the file's path. A table shows the first 12 digits of a chain, which are enough to name it.

            --output json gives, of each profile: chain, repository, entries, bytes; of one: chain, repository, bytes, \
            and as entries an array of path, offset, length, milliseconds, misses.

            Examples:
              rivulet profile show
              rivulet profile show --repository registry.example/team/app
              rivulet profile show 83b8a1f0
              rivulet profile show 83b8a1f0 --output json | jq -r '.entries[].path'

            Exit codes: 66 there is no such profile; the others as rivulet --help says.
            """)

    @Argument(
        help: ArgumentHelp(
            "The chain ID of an image's root file system, or its first digits, 8 at least.", valueName: "chain"),
        transform: { try ChainPrefix(parsing: $0) })
    var chain: ChainPrefix?

    @Option(
        help: ArgumentHelp("List the profiles of this repository only.", valueName: "host/name"),
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

/// One profile as `--output json` gives it: `docs/profiles.md`.
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
