import Base
import ContentStore
import LayerIndex
import LazyFileSystem
import Registry

/// A newly mounted chain, which is a stack of layers merged into one tree.
struct MountedChain: Sendable {
    let key: ChainKey
    /// The chain ID that the first image with this chain stated. Profiles are stored under this ID.
    let claim: Digest
    /// The repository that the chain's top layer came from.
    let repository: Repository
    /// The merged tree.
    let tree: TreeImage
    /// The chain's layers, from the bottom.
    let layers: [StoredLayer]
    /// The log of the first read of each chunk.
    let touches: TouchLog
    let time: MonotonicTime
}
