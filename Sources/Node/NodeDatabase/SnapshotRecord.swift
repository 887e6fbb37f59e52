public import Base

/// One snapshot.
public struct SnapshotRecord: Sendable, Equatable {
    /// Kinds as containerd names them. The database holds the raw values.
    public enum Kind: Int64, Sendable {
        case view = 1
        case active = 2
        case committed = 3
    }

    /// Our number: names the directory, is never reused, and stays the same when an active snapshot is committed.
    public var id: Int64
    /// containerd's name for it: any text.
    public var key: String
    /// The number of the snapshot below, and its name; `nil` and empty at the bottom.
    public var parent: Int64?
    public var parentKey: String
    public var kind: Kind
    public var labels: [String: String]
    /// Nanoseconds since 1970.
    public var created: Int64
    public var updated: Int64
    /// Its disk usage, once known; final for committed snapshots only.
    public var usage: SnapshotUsage?
    /// Set for a remote snapshot, which has no directory: its chain ID and the layer's blob.
    public var remote: RemoteIdentity?

    package init(
        id: Int64, key: String, parent: Int64? = nil, parentKey: String, kind: Kind, labels: [String: String],
        created: Int64, updated: Int64, usage: SnapshotUsage? = nil, remote: RemoteIdentity? = nil
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
    }
}

/// The bytes and inodes of a snapshot without its parents.
public struct SnapshotUsage: Sendable, Equatable {
    public var size: Int64
    public var inodes: Int64

    public init(size: Int64, inodes: Int64) {
        self.size = size
        self.inodes = inodes
    }
}

/// The remote layer that a snapshot stands for.
public struct RemoteIdentity: Sendable, Equatable {
    public var chainID: Digest
    public var layerDigest: Digest

    public init(chainID: Digest, layerDigest: Digest) {
        self.chainID = chainID
        self.layerDigest = layerDigest
    }
}
