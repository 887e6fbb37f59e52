import Base
import ContentStore
import NIOPosix
import NodeDatabase
import Registry

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
    /// - Throws: a ``FallbackReason`` if the layers are verified and have another chain ID, or if the database fails.
    func record(
        _ layer: RemoteLayer, parent: ChainKey?, claim: Digest
    ) async throws(FallbackReason) -> ChainKey {
        do {
            return try await workers.runIfActive { [self] in
                if let truth = try trueChainID(of: layer.key, on: parent), truth != claim {
                    throw FallbackReason(
                        .imageMismatch, "the image states the chain ID \(claim), but its layers have \(truth)")
                }
                return try records.add(layer, parent: parent, claim: claim)
            }
        } catch let reason as FallbackReason {
            throw reason
        } catch {
            throw FallbackReason(.storage, "chain \(claim): \(error)")
        }
    }

    /// Returns the chain ID that follows from the archives of the chain's layers; `nil` if the chain is unknown or one
    /// of its layers is not verified. Blocks on the disk.
    func trueChainID(of chain: ChainKey) throws -> Digest? {
        try chainID(of: try records.find(chain)?.layers.map(\.key) ?? [])
    }

    private func trueChainID(of layer: LayerKey, on parent: ChainKey?) throws -> Digest? {
        guard let parent else { return try chainID(of: [layer]) }
        guard let below = try records.find(parent) else { return nil }
        return try chainID(of: below.layers.map(\.key) + [layer])
    }

    private func chainID(of layers: [LayerKey]) throws -> Digest? {
        var chainID: Digest?
        for layer in layers {
            guard let diffID = try store.layer(layer)?.verifiedDiffID else { return nil }
            chainID = ImageConfiguration.chainID(of: diffID, on: chainID)
        }
        return chainID
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
