import Base
import Registry
import Streaming

/// An exported, imported or recorded profile, as a command prints it.
struct TransferredProfile: Encodable {
    let file: String
    /// The chain ID of the profile's image; `nil`, and absent in JSON, if the profile applies to all images of the
    /// repository.
    let chain: Digest?
    let repository: String
    /// The number of entries.
    let entries: Int
    /// The total size of the entries' file ranges, in bytes.
    let bytes: UInt64

    init(_ file: String, _ contents: ProfileFile) {
        self.file = file
        chain = contents.chain
        repository = "\(contents.repository)"
        entries = contents.profile.entries.count
        bytes = contents.profile.byteCount
    }

    /// Prints the profiles in `format`.
    static func report(_ profiles: [TransferredProfile], _ format: OutputFormat) throws {
        switch format {
        case .json: try Output.json(profiles)
        case .table:
            Output.table(
                ["FILE", "CHAIN", "REPOSITORY", "ENTRIES", "BYTES"],
                profiles.map {
                    [
                        $0.file.printable, $0.chain?.short ?? "-", $0.repository.printable, "\($0.entries)",
                        "\($0.bytes)",
                    ]
                })
        }
    }
}
