/// The outcome of ``RemoteImages/prepareLayer(_:)``.
public enum RemoteLayerOutcome: Sendable {
    /// The layer can be mounted. containerd is told that the snapshot takes `size` bytes and `inodes`.
    case ready(size: UInt64, inodes: UInt64)
    /// containerd has to download the layer.
    case declined(reason: FallbackReason)
}
