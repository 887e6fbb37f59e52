public import Base

/// The bounds of labels and keys, and the label that the database indexes.
///
/// Every label is hostile until checked: layer annotations of an image's author and pod annotations pass containerd's
/// filter as well as its own labels do.
public enum SnapshotLabels {
    /// The chain ID that the snapshot shall stand for once it is committed; containerd looks remote snapshots up by it.
    public static let ref = "containerd.io/snapshot.ref"

    /// containerd's own bound for a name and its value together, in bytes.
    static let longestLabel = 4096
    /// containerd has no bound for the number of labels; the widest use known has some twenty.
    static let mostLabels = 256
    /// A key is a namespace, a number and a client's name; the latter is a chain ID or a container ID, rarely a host
    /// path.
    static let longestKey = 8192

    /// Throws ``NodeDatabaseErrorCode/invalidArgument`` for labels out of bounds.
    public static func check(_ labels: [String: String]) throws(NodeDatabaseError) {
        guard labels.count <= mostLabels else {
            throw NodeDatabaseError(.invalidArgument, "\(labels.count) labels, at most \(mostLabels) are taken")
        }
        for (name, value) in labels where name.utf8.count + value.utf8.count > longestLabel {
            throw NodeDatabaseError(
                .invalidArgument, "label \(name.prefix(64)) with its value is longer than \(longestLabel) bytes")
        }
    }

    /// Throws ``NodeDatabaseErrorCode/invalidArgument`` for a key that is empty or too long.
    public static func check(key: String, _ what: String = "key") throws(NodeDatabaseError) {
        guard !key.isEmpty else { throw NodeDatabaseError(.invalidArgument, "the \(what) is empty") }
        guard key.utf8.count <= longestKey else {
            throw NodeDatabaseError(.invalidArgument, "the \(what) is longer than \(longestKey) bytes")
        }
    }

    /// Returns `labels` without those of an empty value, which deletes a label in containerd's metadata store.
    public static func stored(_ labels: [String: String]) -> [String: String] {
        labels.filter { !$0.value.isEmpty }
    }
}
