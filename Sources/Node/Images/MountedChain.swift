import Base
import ContentStore
import LayerIndex
import LazyFileSystem
import Registry

/// A chain that has just been mounted.
struct MountedChain: Sendable {
    let id: Digest
    /// The repository of its top layer.
    let repository: Repository
    /// The merged tree.
    let tree: TreeImage
    /// From the bottom.
    let layers: [StoredLayer]
    /// The log of first reads.
    let touches: TouchLog
    let time: MonotonicTime
}
