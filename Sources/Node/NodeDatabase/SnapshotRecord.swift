public import Base
public import ContentStore

/// The record of one snapshot.
public struct SnapshotRecord: Sendable, Equatable {
    /// The kinds of snapshots, with containerd's names. The database stores the raw values.
    public enum Kind: Int64, Sendable {
        case view = 1
        case active = 2
        case committed = 3
    }

    /// The snapshot's number, which Rivulet assigns. It names the snapshot's directory, is never reused, and stays the
    /// same on commit.
    public var id: Int64
    /// The snapshot's name in containerd's requests, which may be any text. Rivulet chooses the names of remote
    /// snapshots. containerd chooses all other names.
    public var key: String
    /// The number of the parent snapshot; `nil` for a bottom snapshot, whose ``parentKey`` is empty.
    public var parent: Int64?
    public var parentKey: String
    public var kind: Kind
    public var labels: [String: String]
    /// The time of creation, in nanoseconds since 1970. A commit resets it to the time of the commit.
    public var created: Int64
    public var updated: Int64
    /// The snapshot's disk usage; `nil` while it is unknown. It is known only for a committed snapshot, and then never
    /// changes.
    public var usage: SnapshotUsage?
    /// The chain key and layer key of a remote snapshot, which has no directory; `nil` for a local snapshot.
    public var remote: RemoteIdentity?
    /// The chain ID under which containerd knows a remote snapshot; `nil` for a local snapshot, or if no label stated
    /// the ID. An image stated the ID when the snapshot was created, so it may be wrong.
    public var claim: Digest?
    /// The chain below a local snapshot, as it was when the snapshot was created; `nil` if there was none. The remote
    /// snapshot below may have other layers since (``SnapshotRecords/replaceLayers(ofChain:claim:with:)``).
    public var base: ChainKey?

    package init(
        id: Int64, key: String, parent: Int64? = nil, parentKey: String, kind: Kind, labels: [String: String],
        created: Int64, updated: Int64, usage: SnapshotUsage? = nil, remote: RemoteIdentity? = nil,
        claim: Digest? = nil, base: ChainKey? = nil
    ) {
        self.id = id
        self.key = key
        self.parent = parent
        self.parentKey = parentKey
        self.kind = kind
        self.labels = labels
        self.created = created
        self.updated = updated
        self.usage = usage
        self.remote = remote
        self.claim = claim
        self.base = base
    }
}

/// The disk usage of a snapshot without its parents, in bytes and inodes.
public struct SnapshotUsage: Sendable, Equatable {
    public var size: Int64
    public var inodes: Int64

    public init(size: Int64, inodes: Int64) {
        self.size = size
        self.inodes = inodes
    }
}

/// The remote layer that a snapshot represents.
public struct RemoteIdentity: Sendable, Equatable {
    /// The chain whose top is the layer.
    public var chain: ChainKey
    public var layer: LayerKey

    public init(chain: ChainKey, layer: LayerKey) {
        self.chain = chain
        self.layer = layer
    }
}
