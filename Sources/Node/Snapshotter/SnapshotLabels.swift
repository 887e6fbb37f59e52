import Base

/// The labels that mean something here, and the bounds of all of them.
///
/// Every label is hostile until checked: layer annotations written by an image's author and pod annotations come
/// through containerd's filter as well as its own.
enum SnapshotLabels {
    /// The chain ID that the snapshot being prepared shall stand for when it is committed.
    static let ref = "containerd.io/snapshot.ref"
    static let imageReference = "containerd.io/snapshot/cri.image-ref"
    static let manifestDigest = "containerd.io/snapshot/cri.manifest-digest"
    static let layerDigest = "containerd.io/snapshot/cri.layer-digest"
    /// The image's reference and the layer's blob as `ctr-remote images rpull` of stargz-snapshotter names them.
    static let stargzReference = "containerd.io/snapshot/remote/stargz.reference"
    static let stargzDigest = "containerd.io/snapshot/remote/stargz.digest"

    /// What containerd itself allows for a name and its value together.
    static let longestLabel = 4096
    /// containerd has no bound for their number; the widest use known has some twenty.
    static let mostLabels = 256
    /// A key is a namespace, a number and a client's name; the latter is a chain ID or a container ID, rarely a host
    /// path.
    static let longestKey = 8192

    static func check(_ labels: [String: String]) throws(SnapshotterError) {
        guard labels.count <= mostLabels else {
            throw SnapshotterError(.invalidArgument, "\(labels.count) labels, at most \(mostLabels) are taken")
        }
        for (name, value) in labels where name.utf8.count + value.utf8.count > longestLabel {
            throw SnapshotterError(
                .invalidArgument, "label \(name.prefix(64)) with its value is longer than \(longestLabel) bytes")
        }
    }

    static func check(key: String, _ what: String = "key") throws(SnapshotterError) {
        guard !key.isEmpty else { throw SnapshotterError(.invalidArgument, "the \(what) is empty") }
        guard key.utf8.count <= longestKey else {
            throw SnapshotterError(.invalidArgument, "the \(what) is longer than \(longestKey) bytes")
        }
    }

    /// As containerd's metadata store: an empty value deletes the label.
    static func stored(_ labels: [String: String]) -> [String: String] {
        labels.filter { !$0.value.isEmpty }
    }
}
