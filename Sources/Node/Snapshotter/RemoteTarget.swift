import Base
import Images
import NodeDatabase

/// What containerd's unpacker asks for when it prepares a layer: the chain that the layer shall complete.
///
/// It is recognised by the label `snapshot.ref` **and** the key. Pod annotations reach the labels of a sandbox's
/// snapshot, `snapshot.ref` among them: taken at its word, a pod could have any layer recorded under the chain ID of
/// another image. Keys are containerd's own: the unpacker's end in `extract-<unique> <chain ID>`, those of containers
/// and sandboxes are plain IDs.
struct RemoteTarget: Sendable {
    var chainID: Digest
    /// All labels of the request.
    var labels: [String: String]
    /// What a key begins with, `nil` when it has but a name.
    var namespace: String?

    init?(key: String, labels: [String: String]) {
        guard let ref = labels[SnapshotLabels.ref], let chainID = Digest(ref) else { return nil }
        guard Self.isExtraction(key), key.hasSuffix(" " + ref) else { return nil }
        let parts = key.split(separator: "/", omittingEmptySubsequences: false)
        self.chainID = chainID
        self.labels = labels
        if let first = parts.first, parts.count == 3, !first.isEmpty { namespace = String(first) }
    }

    /// Whether a snapshot with `key` is made to have a layer unpacked into it, not for a container.
    static func isExtraction(_ key: String) -> Bool {
        key.split(separator: "/", omittingEmptySubsequences: false).last?.hasPrefix("extract-") ?? false
    }

    /// What says where the layer is; `nil` when the client added nothing of it, so that nobody asks for a remote layer.
    /// Throws a reason for labels that are there but make no sense.
    func request(parentChainID: Digest?) throws(RemoteTargetError) -> RemoteLayerRequest? {
        // containerd's own labels, or those that stargz-snapshotter's ctr-remote sets in their stead.
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

/// Why a request for a remote layer cannot be taken.
struct RemoteTargetError: Error {
    var reason: FallbackReason
}
