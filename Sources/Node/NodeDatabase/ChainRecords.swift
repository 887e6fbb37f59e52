public import Base
import GRDB
public import Registry

/// A layer, and a repository that contains the layer's blob.
public struct RemoteLayer: Sendable, Hashable {
    public let digest: Digest
    public let repository: Repository

    public init(digest: Digest, repository: Repository) {
        self.digest = digest
        self.repository = repository
    }
}

/// The layers of each remote chain, a stack of layers whose files are fetched on demand. The state database keeps them
/// so that the daemon can mount chains after a restart without the network.
///
/// A chain is a layer on top of a parent chain, so a chain of n layers takes n rows. A row's number is the chain's
/// *slot*, the upper part of the FUSE node IDs of the chain's files. A chain keeps its slot until its record is
/// deleted. The slot is never given to another chain (`AUTOINCREMENT`), because the kernel may remember nodes of a
/// deleted chain.
public struct ChainRecords: Sendable {
    /// The largest slot (the number of a chain). Slots are the upper 24 bits of a node ID, and slot 0 belongs to the
    /// mount itself.
    static let maximumSlot: Int64 = 1 << 24 - 1
    /// The most layers of one chain. containerd allows no more than 128 in practice.
    static let maximumDepth = 1024

    private let state: StateDatabase

    /// Creates an accessor for the records in `state`.
    public init(_ state: StateDatabase) {
        self.state = state
    }

    /// Records that `chain` consists of `layer` on top of `parent`, unless the chain already has a record. `parent` is
    /// `nil` for the bottom layer.
    ///
    /// - Returns: true if the record, old or new, has this layer and this parent. The repository may differ, because a
    ///   blob is the same wherever it comes from.
    public func add(_ chain: Digest, parent: Digest?, layer: RemoteLayer) throws(NodeDatabaseError) -> Bool {
        try state.write("recording chain \(chain)") { database in
            if let row = try Row.fetchOne(
                database, sql: "SELECT parent, layer FROM chains WHERE id = ?", arguments: [chain.hex])
            {
                return row["parent"] as String? == parent?.hex && row["layer"] as String == layer.digest.hex
            }
            try database.execute(
                sql: "INSERT INTO chains (id, parent, layer, host, repository) VALUES (?, ?, ?, ?, ?)",
                arguments: [
                    chain.hex, parent?.hex, layer.digest.hex, layer.repository.host, layer.repository.name,
                ])
            return true
        }
    }

    /// Returns the slot (the record's number) and the layers of `chain`, bottom first; `nil` if the chain, or a chain
    /// below it, has no record.
    public func find(_ chain: Digest) throws(NodeDatabaseError) -> (slot: UInt32, layers: [RemoteLayer])? {
        try state.read("looking up chain \(chain)") { database in
            var layers: [RemoteLayer] = []
            var slot: UInt32?
            var next: String? = chain.hex
            while let id = next {
                guard layers.count < Self.maximumDepth,
                    let row = try Row.fetchOne(
                        database, sql: "SELECT slot, parent, layer, host, repository FROM chains WHERE id = ?",
                        arguments: [id]),
                    let digest = Digest(hex: (row["layer"] as String).utf8)
                else { return nil }
                if slot == nil {
                    let number: Int64 = row["slot"]
                    guard number > 0, number <= Self.maximumSlot else { return nil }
                    slot = UInt32(number)
                }
                layers.append(
                    RemoteLayer(digest: digest, repository: Repository(host: row["host"], name: row["repository"])))
                next = row["parent"]
            }
            return slot.map { ($0, layers.reversed()) }
        }
    }

    /// Returns the hosts of at most `limit` registries that the chains' layers came from. The registries of the latest
    /// chains come first.
    public func upstreams(limit: Int) throws(NodeDatabaseError) -> [String] {
        try state.read("listing registries") { database in
            try String.fetchAll(
                database, sql: "SELECT host FROM chains GROUP BY host ORDER BY max(slot) DESC LIMIT ?",
                arguments: [limit])
        }
    }

    /// Deletes the record of `chain`.
    ///
    /// - Returns: the chain's top layer, if no other chain uses that layer; `nil` otherwise.
    public func remove(_ chain: Digest) throws(NodeDatabaseError) -> Digest? {
        try state.write("forgetting chain \(chain)") { database in
            let layer = try String.fetchOne(
                database, sql: "DELETE FROM chains WHERE id = ? RETURNING layer", arguments: [chain.hex])
            guard let layer else { return nil }
            let others = try Int.fetchOne(
                database, sql: "SELECT count(*) FROM chains WHERE layer = ?", arguments: [layer])
            return others == 0 ? Digest(hex: layer.utf8) : nil
        }
    }
}
