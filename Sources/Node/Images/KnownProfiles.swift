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
    /// In most images, this content takes about 2 MiB compressed. The network can carry little more than that while the
    /// layers are being opened. A larger amount would also be wasteful, because another layer may replace some of the
    /// files.
    private static let beginningBytes: UInt64 = 5 << 20

    let records: ProfileRecords
    let workers: NIOThreadPool
    /// True if profiles are used for prefetching. Otherwise this type finds none.
    let isEnabled: Bool
    let logger: Logger

    /// Returns true if any image of `repository` has a profile.
    func exist(of repository: Repository) async -> Bool {
        guard isEnabled else { return false }
        return (try? await workers.runIfActive { [records] in try records.hasAny(of: repository) }) ?? false
    }

    /// Returns the first entries of an image's profile, just enough to cover ``beginningBytes`` of file content.
    ///
    /// If the image has no profile, uses the profile of another image of `repository`. Returns `nil` if there is no
    /// such profile either, or if the database fails.
    ///
    /// - Parameter chain: the image's chain ID; `nil` if it is unknown.
    func beginning(of chain: Digest?, _ repository: Repository) async -> Profile? {
        guard isEnabled else { return nil }
        return try? await workers.runIfActive { [records] in
            try records.find(chain, repository)?.profile.beginning(bytes: Self.beginningBytes)
        }
    }

    /// Returns the profile of a mounted chain. If there is none, returns the profile of another image of `repository`;
    /// `nil` if there is none either.
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
