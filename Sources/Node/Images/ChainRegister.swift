import Base
import ContentStore
import NIOPosix
import NodeDatabase

/// The register of chains: it records the layers of each chain in the state database.
struct ChainRegister: Sendable {
    let records: ChainRecords
    let store: ContentStore
    let workers: NIOThreadPool

    /// Records that `chain` consists of `layer` on top of `parent`; `parent` is `nil` for the bottom layer.
    ///
    /// - Throws: a ``FallbackReason`` if the database fails, or if it already records another layer or parent for this
    ///   chain. A chain ID is an unverified claim of the image's author. So a later claim must not change a chain that
    ///   containers may be using.
    func record(_ chain: Digest, parent: Digest?, layer: RemoteLayer) async throws(FallbackReason) {
        let agrees: Bool
        do {
            agrees = try await workers.runIfActive { [records] in
                try records.add(chain, parent: parent, layer: layer)
            }
        } catch {
            throw FallbackReason(.storage, "chain \(chain): \(error)")
        }
        guard agrees else {
            throw FallbackReason(.imageMismatch, "chain \(chain) is known to consist of other layers")
        }
    }

    /// Returns true if this node has everything that mounting the chain needs. Returns false if the database or the
    /// store fails.
    func isUsable(_ chain: Digest) async -> Bool {
        let found = try? await workers.runIfActive { [records, store] in
            guard let (_, layers) = try records.find(chain) else { return false }
            return try layers.allSatisfy { try !store.isRefused($0.digest) && store.layer($0.digest) != nil }
        }
        return found ?? false
    }

    /// Returns at most `limit` registries from which layers of the recorded chains came. The registries of the latest
    /// chains come first. Returns an empty array if the database fails.
    func upstreams(limit: Int) async -> [String] {
        (try? await workers.runIfActive { [records] in try records.upstreams(limit: limit) }) ?? []
    }
}
