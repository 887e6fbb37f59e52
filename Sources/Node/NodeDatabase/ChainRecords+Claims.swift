public import Base
public import ContentStore
import GRDB
import Registry

/// A remote snapshot, and the chain ID under which containerd knows it.
public struct ChainClaim: Sendable, Hashable {
    /// The key of the snapshot.
    public let snapshot: String
    public let chain: ChainKey
    public let chainID: Digest
}

/// The chain IDs that images and snapshots state for chains. Their authors chose them, so they may be wrong.
extension ChainRecords {
    /// The maximum number of chain IDs of one layer that are looked at.
    private static let maximumStatements = 4096

    /// Returns true if some image states that `layer` has this diff ID: the stated ID of a chain with the layer on top
    /// follows from the diff ID and the stated ID of the chain below.
    public func isStated(_ diffID: Digest, of layer: LayerKey) throws(NodeDatabaseError) -> Bool {
        try state.read("looking up what images state of \(layer)") { database in
            let rows = try Row.fetchCursor(
                database,
                sql: """
                    WITH stated (chain, id) AS (
                        SELECT key, claim FROM chains
                        UNION SELECT chain, claim FROM snapshot WHERE chain IS NOT NULL AND claim IS NOT NULL
                    )
                    SELECT top.id AS top, c.parent AS parent, below.id AS below
                    FROM chains c JOIN stated top ON top.chain = c.key
                    LEFT JOIN stated below ON below.chain = c.parent
                    WHERE c.layer = ? LIMIT \(Self.maximumStatements)
                    """, arguments: [layer.description])
            while let row = try rows.next() {
                guard let top = Digest(row["top"] as String) else { continue }
                let parent: String? = row["parent"]
                let below = (row["below"] as String?).flatMap { Digest($0) }
                guard parent == nil || below != nil else { continue }
                if top == ImageConfiguration.chainID(of: diffID, on: below) { return true }
            }
            return false
        }
    }

    /// Returns the remote snapshots of all chains that contain `layer`, with the chain IDs under which containerd knows
    /// them.
    public func claims(onChainsWith layer: LayerKey) throws(NodeDatabaseError) -> [ChainClaim] {
        try state.read("looking up the snapshots of \(layer)") { database in
            try Row.fetchAll(
                database,
                sql: """
                    WITH RECURSIVE above (key) AS (
                        SELECT key FROM chains WHERE layer = ?
                        UNION
                        SELECT c.key FROM chains c JOIN above ON c.parent = above.key
                    )
                    SELECT key, chain, claim FROM snapshot
                    WHERE chain IN (SELECT key FROM above) AND claim IS NOT NULL
                    """, arguments: [layer.description]
            ).compactMap { row in
                guard let chain = Digest(row["chain"] as String), let chainID = Digest(row["claim"] as String) else {
                    return nil
                }
                return ChainClaim(snapshot: row["key"], chain: ChainKey(id: chain), chainID: chainID)
            }
        }
    }
}
