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

    /// A layer of a chain.
    struct Layer: Sendable {
        let key: LayerKey
        /// The layer's diff ID; `nil` if the layer is not verified.
        let diffID: Digest?
        /// True if the layer is not what its blob contains. Nothing new may use it.
        let isRefused: Bool
    }

    /// Returns the layers of the chain, bottom first. Blocks on the disk.
    ///
    /// - Throws: a ``FallbackReason`` if the chain is unknown, or if a layer is gone.
    func layers(of chain: ChainKey) throws -> [Layer] {
        guard let found = try records.find(chain) else {
            throw FallbackReason(.mount, "chain \(chain) is not known on this node")
        }
        return try layers(of: found)
    }

    private func layers(of record: ChainRecord) throws -> [Layer] {
        try record.layers.map { layer in
            guard let content = try store.layer(layer.key) else {
                throw FallbackReason(.storage, "the index of layer \(layer.key) is gone from the store")
            }
            return Layer(
                key: layer.key, diffID: content.verifiedDiffID, isRefused: try store.isRefused(layer.key))
        }
    }

    /// Returns the chain ID that follows from the archives of the layers; `nil` if one of them is not verified.
    static func chainID(of layers: [Layer]) -> Digest? {
        var chainID: Digest?
        for layer in layers {
            guard let diffID = layer.diffID else { return nil }
            chainID = ImageConfiguration.chainID(of: diffID, on: chainID)
        }
        return chainID
    }

    /// Returns the chain ID that follows from the archives of the chain's layers; `nil` if one of them is not verified.
    /// Blocks on the disk.
    func trueChainID(of chain: ChainKey) throws -> Digest? { Self.chainID(of: try layers(of: chain)) }

    /// Returns the chain ID of `layer` on top of the chain `parent`; `nil` if one of the layers is not verified, or if
    /// the parent is unknown.
    private func trueChainID(of layer: LayerKey, on parent: ChainKey?) throws -> Digest? {
        // Most layers are not verified when they are prepared, and then the chain need not be read.
        guard let diffID = try store.layer(layer)?.verifiedDiffID else { return nil }
        let top = Layer(key: layer, diffID: diffID, isRefused: false)
        guard let parent else { return Self.chainID(of: [top]) }
        guard let below = try records.find(parent) else { return nil }
        return Self.chainID(of: try layers(of: below) + [top])
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
