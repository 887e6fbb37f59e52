public import Base

/// What is known of one snapshot.
public struct SnapshotRecord: Sendable, Equatable {
    /// Kinds as containerd names them; the raw values are what the database holds.
    public enum Kind: Int64, Sendable {
        case view = 1
        case active = 2
        case committed = 3
    }

    /// Our own number: names the directory, never used twice, stays the same when an active snapshot is committed.
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
    /// What it takes on disk, once known; final for committed snapshots only.
    public var usage: SnapshotUsage?
    /// Set for a remote snapshot, which has no directory: its chain ID and the layer's blob.
    public var remote: RemoteIdentity?
}

/// Bytes and inodes that a snapshot takes, its parents not counted.
public struct SnapshotUsage: Sendable, Equatable {
    public var size: Int64
    public var inodes: Int64

    public init(size: Int64, inodes: Int64) {
        self.size = size
        self.inodes = inodes
    }
}

/// Which remote layer a snapshot stands for.
public struct RemoteIdentity: Sendable, Equatable {
    public var chainID: Digest
    public var layerDigest: Digest

    public init(chainID: Digest, layerDigest: Digest) {
        self.chainID = chainID
        self.layerDigest = layerDigest
    }
}
