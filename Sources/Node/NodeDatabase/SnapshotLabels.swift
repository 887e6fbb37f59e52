public import Base

/// The limits of snapshot labels and keys, and the name of the label that the database indexes.
///
/// Labels are untrusted until checked. containerd passes on its own labels, pod annotations, and layer annotations. The
/// image's author writes the layer annotations.
public enum SnapshotLabels {
    /// The label with the chain ID that the snapshot will represent once it is committed. containerd looks up remote
    /// snapshots by this label.
    public static let ref = "containerd.io/snapshot.ref"

    /// The maximum size in bytes of a label's name and value together. This is containerd's own limit.
    static let longestLabel = 4096
    /// The maximum number of labels of one snapshot. containerd sets no limit. The largest number that we know of is
    /// about twenty.
    static let mostLabels = 256
    /// The maximum size of a snapshot's key in bytes. A key consists of a namespace, a number, and the name that a
    /// client gave to the snapshot. The name is a chain ID or a container ID, rarely a host path.
    static let longestKey = 8192

    /// Throws ``NodeDatabaseErrorCode/invalidArgument`` if the labels exceed a limit.
    public static func check(_ labels: [String: String]) throws(NodeDatabaseError) {
        guard labels.count <= mostLabels else {
            throw NodeDatabaseError(.invalidArgument, "\(labels.count) labels, at most \(mostLabels) are taken")
        }
        for (name, value) in labels where name.utf8.count + value.utf8.count > longestLabel {
            throw NodeDatabaseError(
                .invalidArgument, "label \(name.prefix(64)) with its value is longer than \(longestLabel) bytes")
        }
    }

    /// Throws ``NodeDatabaseErrorCode/invalidArgument`` if the key is empty or too long.
    public static func check(key: String, _ what: String = "key") throws(NodeDatabaseError) {
        guard !key.isEmpty else { throw NodeDatabaseError(.invalidArgument, "the \(what) is empty") }
        guard key.utf8.count <= longestKey else {
            throw NodeDatabaseError(.invalidArgument, "the \(what) is longer than \(longestKey) bytes")
        }
    }

    /// Returns `labels` without the labels that have an empty value. In containerd, an empty value deletes a label.
    public static func stored(_ labels: [String: String]) -> [String: String] {
        labels.filter { !$0.value.isEmpty }
    }
}
