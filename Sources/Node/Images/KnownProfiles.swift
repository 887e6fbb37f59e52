import Base
import Logging
import NIOPosix
import NodeDatabase
import Registry
import Streaming

/// A finder of the recorded profile that fits an image best.
struct KnownProfiles: Sendable {
    /// The number of bytes of file content to prefetch before all layers are open.
    ///
    /// Compressed, this content takes about 2 MiB in most layers. The link carries little more before all layers are
    /// open, and some of the files may turn out to be hidden by another layer.
    private static let beginningBytes: UInt64 = 5 << 20

    let records: ProfileRecords
    let workers: NIOThreadPool
    /// True if profiles are replayed. Otherwise no profile is found.
    let isEnabled: Bool
    let logger: Logger

    /// Returns true if any image of `repository` has a profile.
    func exist(of repository: Repository) async -> Bool {
        guard isEnabled else { return false }
        return (try? await workers.runIfActive { [records] in try records.hasAny(of: repository) }) ?? false
    }

    /// Returns the first entries of the profile of the image with this chain, or else of another image of `repository`.
    ///
    /// Returns `nil` if there is no profile. `chain` is `nil` if the image's chain ID is unknown.
    func beginning(of chain: Digest?, _ repository: Repository) async -> Profile? {
        guard isEnabled else { return nil }
        return try? await workers.runIfActive { [records] in
            try records.find(chain, repository)?.profile.beginning(bytes: Self.beginningBytes)
        }
    }

    /// Returns the profile of a mounted chain, or else of another image of `repository`; `nil` if there is none.
    ///
    /// Blocks on the database.
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
