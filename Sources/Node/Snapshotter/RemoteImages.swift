public import Base

/// What makes layers appear that nobody has downloaded: the snapshotter's view of everything below it.
///
/// The snapshotter keeps records and answers containerd; this resolves images, keeps their indexes and mounts their
/// merged trees. All of it may be slow or fail: the snapshotter bounds how long it waits, and falls back.
public protocol RemoteImages: Sendable {
    /// Makes `request`'s layer usable without its blob. Called at most once at a time for one chain on one parent;
    /// idempotent. It is cancelled only when it takes far longer than anybody waits for it.
    func prepareLayer(_ request: RemoteLayerRequest) async -> RemoteLayerOutcome

    /// A container or a sandbox is being made: an image may be asked for soon. Returns at once.
    func expectImages()

    /// The host path of the merged tree of `chainID`, mounted. Brings it up when it is not, without the network.
    func mountedDirectory(ofChain chainID: Digest) async throws -> String

    /// Whether what ``mountedDirectory(ofChain:)`` needs for `chainID` is still here. Quick: no network, no mounting.
    func isUsable(chainID: Digest) async -> Bool

    /// No snapshot holds the chain any more. Idempotent; a chain that is asked for again afterwards comes back.
    func forget(chainID: Digest) async
}

/// One layer that containerd is about to pull, and what it says of it. Every field but the parent's chain ID comes from
/// labels: the author of an image may have written it.
public struct RemoteLayerRequest: Sendable {
    /// The reference as containerd normalised it, `docker.io/library/x:tag` or `…@sha256:…`. Not yet parsed.
    public var imageReference: String
    /// The platform's manifest, `nil` when the client did not say.
    public var manifestDigest: Digest?
    /// The blob of this layer.
    public var layerDigest: Digest
    /// The stack that ends with this layer.
    public var chainID: Digest
    /// The stack below it, itself remote; `nil` for the bottom layer.
    public var parentChainID: Digest?
    /// All labels of the request, bounded in number and size.
    public var labels: [String: String]
    /// The containerd namespace that pulls the image, `nil` when the snapshot's key does not say.
    public var namespace: String?

    public init(
        imageReference: String, manifestDigest: Digest?, layerDigest: Digest, chainID: Digest, parentChainID: Digest?,
        labels: [String: String], namespace: String? = nil
    ) {
        self.imageReference = imageReference
        self.manifestDigest = manifestDigest
        self.layerDigest = layerDigest
        self.chainID = chainID
        self.parentChainID = parentChainID
        self.labels = labels
        self.namespace = namespace
    }
}

/// How ``RemoteImages/prepareLayer(_:)`` went.
public enum RemoteLayerOutcome: Sendable {
    /// The layer can be mounted. `size` in bytes and `inodes` are what containerd is told that the snapshot takes.
    case ready(size: UInt64, inodes: UInt64)
    /// containerd shall download the layer.
    case declined(reason: FallbackReason)
}

/// Why a layer is downloaded by containerd instead of being streamed.
public struct FallbackReason: Sendable, CustomStringConvertible {
    /// The reasons that are counted: the values of the dimension `reason` of the metric `fallback`, so few and fixed.
    public enum Code: String, Sendable, CaseIterable {
        /// A label of the request is malformed.
        case badLabel = "bad_label"
        /// The layer below is not streamed: one merged tree can only be the lower end of a stack.
        case parentNotRemote = "parent_not_remote"
        /// Streaming is switched off, for all or for this registry.
        case disabled
        /// Nothing in the layer, its annotations or the registry makes it streamable.
        case notStreamable = "not_streamable"
        /// The layer's own index is malformed or does not fit the layer.
        case badIndex = "bad_index"
        /// The index cannot be tied to the image by a digest.
        case unverified
        /// Manifest, configuration and labels contradict each other.
        case imageMismatch = "image_mismatch"
        /// The registry wants credentials that we do not have.
        case unauthorized
        /// The registry has no such image or blob.
        case notFound = "not_found"
        /// The registry cannot be reached, or answers nonsense.
        case registry
        /// Something was larger than the configured bounds.
        case limit
        /// The local store failed: disk full, unreadable.
        case storage
        /// The tree could not be mounted.
        case mount
        /// It took longer than the configured bound.
        case timeout
        /// Too many layers are being prepared.
        case busy
        /// A defect of ours.
        case `internal`
    }

    public var code: Code
    /// What exactly was wrong, for the log.
    public var detail: String

    public init(_ code: Code, _ detail: String = "") {
        self.code = code
        self.detail = detail
    }

    public var description: String { detail.isEmpty ? code.rawValue : "\(code.rawValue): \(detail)" }
}
