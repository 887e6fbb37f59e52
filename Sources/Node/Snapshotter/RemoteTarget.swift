import Base
import Images
import NodeDatabase

/// The target of a `Prepare` by containerd's unpacker: the chain that the layer will complete.
///
/// Both the label `snapshot.ref` **and** the key must name it. Pod annotations reach the labels of a sandbox's
/// snapshot, `snapshot.ref` among them: the label alone would let a pod record any layer under the chain ID of another
/// image. Keys are containerd's own: the unpacker's end in `extract-<unique> <chain ID>`, those of containers
/// and sandboxes are plain IDs.
struct RemoteTarget: Sendable {
    var chainID: Digest
    /// All labels of the request.
    var labels: [String: String]
    /// The namespace that the key begins with; `nil` if it is a name only.
    var namespace: String?

    init?(key: String, labels: [String: String]) {
        guard let ref = labels[SnapshotLabels.ref], let chainID = Digest(ref) else { return nil }
        guard Self.isExtraction(key), key.hasSuffix(" " + ref) else { return nil }
        let parts = key.split(separator: "/", omittingEmptySubsequences: false)
        self.chainID = chainID
        self.labels = labels
        if let first = parts.first, parts.count == 3, !first.isEmpty { namespace = String(first) }
    }

    /// Returns true if a snapshot with `key` is for unpacking a layer, not for a container.
    static func isExtraction(_ key: String) -> Bool {
        key.split(separator: "/", omittingEmptySubsequences: false).last?.hasPrefix("extract-") ?? false
    }

    /// Returns the request for the remote layer; `nil` if the client does not name one. Throws a reason for malformed
    /// labels.
    func request(parentChainID: Digest?) throws(RemoteTargetError) -> RemoteLayerRequest? {
        // containerd's own labels, or those that stargz-snapshotter's ctr-remote sets instead.
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
            parentChainID: parentChainID, labels: labels, namespace: namespace)
    }
}

/// The refusal of a request for a remote layer.
struct RemoteTargetError: Error {
    var reason: FallbackReason
}
