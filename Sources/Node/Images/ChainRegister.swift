import Base
import ContentStore
import NIOPosix
import NodeDatabase

/// The register of chains: it records the layers of each chain in the state database.
struct ChainRegister: Sendable {
    let records: ChainRecords
    let store: ContentStore
    let workers: NIOThreadPool

    /// Records the chain that consists of `layer` on top of `parent`, and returns the chain's key.
    ///
    /// - Parameters:
    ///   - parent: the chain below; `nil` for the bottom layer.
    ///   - claim: the chain ID that the image's configuration states for the chain.
    /// - Throws: a ``FallbackReason`` if the database fails.
    func record(
        _ layer: RemoteLayer, parent: ChainKey?, claim: Digest
    ) async throws(FallbackReason) -> ChainKey {
        do {
            return try await workers.runIfActive { [records] in
                try records.add(layer, parent: parent, claim: claim)
            }
        } catch {
            throw FallbackReason(.storage, "chain \(claim): \(error)")
        }
    }

    /// Returns true if this node has everything that mounting the chain needs.
    func isUsable(_ chain: ChainKey) async -> Bool {
        let found = try? await workers.runIfActive { [records, store] in
            guard let layers = try records.find(chain)?.layers else { return false }
            return try layers.allSatisfy { try !store.isRefused($0.key) && store.layer($0.key) != nil }
        }
        return found ?? false
    }

    /// Returns the chains without a snapshot, either of the chain itself or of a chain above it. Returns an empty array
    /// if the database fails.
    func unused() async -> [ChainKey] {
        (try? await workers.runIfActive { [records] in try records.unused() }) ?? []
    }

    /// Returns at most `limit` registries from which layers of the recorded chains came. The registries of the chains
    /// that were recorded last come first. Returns an empty array if the database fails.
    func upstreams(limit: Int) async -> [String] {
        (try? await workers.runIfActive { [records] in try records.upstreams(limit: limit) }) ?? []
    }
}
