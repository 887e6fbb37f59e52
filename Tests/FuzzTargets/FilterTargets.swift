import NodeDatabase
import Snapshotter

extension FuzzTarget {
    /// The filters of one `List` call, one per line, applied to one record.
    static let snapshotFilter = FuzzTarget("FuzzSnapshotFilter") { input in
        let filters = String(decoding: input, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        guard var filter = try? SnapshotFilter(filters.map(String.init)) else { return }
        _ = filter.requiredRefs
        _ = try? filter.matches(
            SnapshotRecord(
                id: 1, key: "k8s.io/1/abc", parent: nil, parentKey: "", kind: .active,
                labels: ["containerd.io/snapshot.ref": "sha256:aa", "a.b": "c d", "": ""], created: 0, updated: 0))
    }

    /// A regular expression, a NUL byte, and a text. The number of steps is bounded by the expression and the text.
    static let linearRegex = FuzzTarget("FuzzLinearRegex") { input in
        let halves = input.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
        guard let pattern = halves.first,
            let expression = try? LinearRegex(String(decoding: pattern, as: UTF8.self))
        else { return }
        let text = halves.count == 2 ? String(decoding: halves[1].prefix(500), as: UTF8.self) : ""
        var steps = 1_100_000
        guard let found = expression.isFound(in: text, steps: &steps) else {
            preconditionFailure("more steps than two a character and instruction")
        }
        var again = 1_100_000
        precondition(expression.isFound(in: text, steps: &again) == found && again == steps)
    }
}
