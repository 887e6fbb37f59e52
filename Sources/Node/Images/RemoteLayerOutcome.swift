public import NodeDatabase

/// The outcome of ``RemoteImages/prepareLayer(_:)``.
public enum RemoteLayerOutcome: Sendable {
    /// The layer can be mounted. The snapshotter reports `size` bytes and `inodes` inodes to containerd.
    case ready(RemoteIdentity, size: UInt64, inodes: UInt64)
    /// containerd has to download the layer.
    case declined(reason: FallbackReason)
}
