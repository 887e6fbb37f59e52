import Base
import Logging
import NIOPosix
import NodeDatabase
import Registry
import Streaming

/// Finds the recorded profile that fits an image.
struct KnownProfiles: Sendable {
    /// The file content that is prefetched before all layers are open, in bytes: some 2 MiB of most layers. The link
    /// carries little more meanwhile, and another layer may cover some of it.
    private static let beginningBytes: UInt64 = 5 << 20

    let records: ProfileRecords
    let workers: NIOThreadPool
    /// False if profiles are not replayed: then none is found.
    let isEnabled: Bool
    let logger: Logger

    /// Returns true if any image of `repository` has a profile.
    func exist(of repository: Repository) async -> Bool {
        guard isEnabled else { return false }
        return (try? await workers.runIfActive { [records] in try records.hasAny(of: repository) }) ?? false
    }

    /// Returns the first entries of the profile of the image with this chain, or of another image of `repository`.
    func beginning(of chain: Digest?, _ repository: Repository) async -> Profile? {
        guard isEnabled else { return nil }
        return try? await workers.runIfActive { [records] in
            try records.find(chain, repository)?.profile.beginning(bytes: Self.beginningBytes)
        }
    }

    /// Returns the profile of a mounted chain, or of another image of `repository`. Blocks on the database.
    func find(_ chain: Digest, _ repository: Repository) -> KeptProfile? {
        guard isEnabled else { return nil }
        do {
            return try records.find(chain, repository)
        } catch {
            logger.warning("failed to read profiles", metadata: ["error": "\(error)"])
            return nil
        }
    }
}
