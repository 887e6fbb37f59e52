import Base
import ContentStore
import Images
import NodeDatabase

/// The target of a `Prepare` call by containerd's unpacker: the chain whose top is the layer to unpack.
///
/// Both the label `containerd.io/snapshot.ref` **and** the key of the snapshot must name the chain. The label alone is
/// not enough: a pod could set it with an annotation, and so record any layer under the chain ID of another image. But
/// containerd itself chooses the keys. The keys of containers and sandboxes are plain IDs. The unpacker's keys end in
/// `extract-<unique> <chain ID>`.
struct RemoteTarget: Sendable {
    var chainID: Digest
    /// All labels of the request.
    var labels: [String: String]
    /// The containerd namespace at the start of the key; `nil` if the key has none.
    var namespace: String?

    init?(key: String, labels: [String: String]) {
        guard let ref = labels[SnapshotLabels.ref], let chainID = Digest(ref) else { return nil }
        guard Self.isExtraction(key), key.hasSuffix(" " + ref) else { return nil }
        let parts = key.split(separator: "/", omittingEmptySubsequences: false)
        self.chainID = chainID
        self.labels = labels
        if let first = parts.first, parts.count == 3, !first.isEmpty { namespace = String(first) }
    }

    /// Returns true if the snapshot with `key` is for unpacking a layer, and not for a container.
    static func isExtraction(_ key: String) -> Bool {
        key.split(separator: "/", omittingEmptySubsequences: false).last?.hasPrefix("extract-") ?? false
    }

    /// Returns the request for the remote layer that the labels name; `nil` if they name none.
    ///
    /// - Parameter parent: the chain of the parent snapshot; `nil` if there is no parent, or if the parent is not
    ///   remote.
    /// - Throws: the reason why containerd must download the layer, if a label is malformed.
    func request(parent: ChainKey?) throws(RemoteTargetError) -> RemoteLayerRequest? {
        // These are containerd's own labels, or those that stargz-snapshotter's ctr-remote sets instead.
        guard let image = labels[RemoteLabels.imageReference] ?? labels[RemoteLabels.stargzReference],
            let layer = labels[RemoteLabels.layerDigest] ?? labels[RemoteLabels.stargzDigest]
        else { return nil }
        guard !image.isEmpty, image.utf8.count <= 1024 else {
            throw RemoteTargetError(reason: FallbackReason(.badLabel, "malformed image reference"))
        }
        guard let layerDigest = Digest(layer) else {
            throw RemoteTargetError(reason: FallbackReason(.badLabel, "malformed layer digest"))
        }
        var manifestDigest: Digest?
        if let manifest = labels[RemoteLabels.manifestDigest] {
            manifestDigest = Digest(manifest)
            guard manifestDigest != nil else {
                throw RemoteTargetError(reason: FallbackReason(.badLabel, "malformed manifest digest"))
            }
        }
        return RemoteLayerRequest(
            imageReference: image, manifestDigest: manifestDigest, layerDigest: layerDigest, chainID: chainID,
            parent: parent, labels: labels, namespace: namespace)
    }
}

/// The error of a refused request for a remote layer. containerd then downloads the layer.
struct RemoteTargetError: Error {
    var reason: FallbackReason
}
