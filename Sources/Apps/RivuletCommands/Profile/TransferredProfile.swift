import Base
import Registry
import Streaming

/// A profile that was exported or imported, as the answer names it.
struct TransferredProfile: Encodable {
    let file: String
    /// `nil`, and not there in JSON, for a profile that is one for all images of the repository.
    let chain: Digest?
    let repository: String
    /// How many.
    let entries: Int
    /// Of file content that it names.
    let bytes: UInt64

    init(_ file: String, _ contents: ProfileFile) {
        self.file = file
        chain = contents.chain
        repository = "\(contents.repository)"
        entries = contents.profile.entries.count
        bytes = contents.profile.byteCount
    }

    /// Writes what was done.
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
