import Base

/// The labels that an update changes.
enum LabelFields {
    case all
    case some([String])

    /// Parses the paths of an update mask (a protobuf `FieldMask`): `labels` or `labels.<name>`. An empty mask means
    /// all labels.
    ///
    /// - Throws: `.invalidArgument` if a path names another field.
    init(paths: [String], snapshot: String) throws(SnapshotterError) {
        var names: [String] = []
        var all = paths.isEmpty
        for path in paths {
            if path == "labels" {
                all = true
            } else if path.hasPrefix("labels."), path.utf8.count > 7 {
                names.append(String(path.dropFirst(7)))
            } else {
                throw SnapshotterError(
                    .invalidArgument, "cannot update field \(path.prefix(64)) of snapshot \(snapshot), only labels")
            }
        }
        self = all ? .all : .some(names)
    }

    /// Replaces the selected labels in `labels` by those in `new`. Deletes a selected label that is missing in `new`.
    func apply(_ new: [String: String], to labels: inout [String: String]) {
        switch self {
        case .all: labels = new
        case .some(let names):
            for name in names { labels[name] = new[name] }
        }
    }
}
