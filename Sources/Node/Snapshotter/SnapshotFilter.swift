import Base
package import NodeDatabase

/// containerd's filter language, for `List`.
///
/// One of the filters must match, with all its comma-separated selectors. A selector is a field, alone (it must exist)
/// or with `==`, `!=` or `~=` and a value. Fields are `name`, `parent`, `kind` and `labels.<key>`, where the key may
/// be quoted as Go quotes strings. No filter, or an empty one, matches everything. The grammar is in containerd's
/// `filters/parser.go`.
package struct SnapshotFilter: Sendable {
    enum Operator: Sendable {
        case present
        case equal(String)
        case notEqual(String)
        /// `nil` for a malformed expression, which matches nothing.
        case matches(LinearRegex?)
    }

    struct Selector: Sendable {
        var field: [String]
        var operation: Operator
    }

    /// The most filters of one call, and the most bytes of each.
    static let mostFilters = 128
    static let longestFilter = 16 << 10
    /// The most steps of all regular expressions of one call: some tenth of a second.
    static let regexSteps = 20_000_000

    /// `nil` matches everything.
    private let alternatives: [[Selector]]?
    private var steps = Self.regexSteps

    package init(_ filters: [String]) throws(SnapshotterError) {
        guard filters.count <= Self.mostFilters else {
            throw SnapshotterError(.invalidArgument, "\(filters.count) filters, at most \(Self.mostFilters) are taken")
        }
        var alternatives: [[Selector]] = []
        var matchesAll = filters.isEmpty
        for filter in filters {
            guard filter.utf8.count <= Self.longestFilter else {
                throw SnapshotterError(.invalidArgument, "a filter is longer than \(Self.longestFilter) bytes")
            }
            if filter.isEmpty {
                matchesAll = true
            } else {
                var parser = SnapshotFilterParser(filter)
                alternatives.append(try parser.selectors())
            }
        }
        self.alternatives = matchesAll ? nil : alternatives
    }

    /// The values of the label `snapshot.ref` that the filters require, if every filter requires one. containerd's
    /// probe for a remote snapshot is such a filter, and the database has an index for it.
    package var requiredRefs: [String]? {
        guard let alternatives else { return nil }
        var refs: Set<String> = []
        for selectors in alternatives {
            let ref = selectors.lazy.compactMap { selector -> String? in
                guard selector.field.first == "labels", selector.field.count > 1,
                    selector.field.dropFirst().joined(separator: ".") == SnapshotLabels.ref,
                    case .equal(let value) = selector.operation
                else { return nil }
                return value
            }.first
            guard let ref else { return nil }
            refs.insert(ref)
        }
        return refs.sorted()
    }

    /// Returns true if `record` matches. Throws once the regular expressions exceed the steps of one call.
    package mutating func matches(_ record: SnapshotRecord) throws(SnapshotterError) -> Bool {
        guard let alternatives else { return true }
        for selectors in alternatives {
            var all = true
            for selector in selectors {
                guard try matches(selector, record) else {
                    all = false
                    break
                }
            }
            if all { return true }
        }
        return false
    }

    private mutating func matches(
        _ selector: Selector, _ record: SnapshotRecord
    ) throws(SnapshotterError) -> Bool {
        let value = Self.value(selector.field, of: record)
        switch selector.operation {
        case .present: return value != nil
        case .equal(let wanted): return value == wanted
        // True of a missing field, too.
        case .notEqual(let unwanted): return value != unwanted
        case .matches(let expression):
            guard let expression, let value else { return false }
            guard let found = expression.isFound(in: value, steps: &steps) else {
                throw SnapshotterError(.invalidArgument, "the filters' regular expressions take too long")
            }
            return found
        }
    }

    /// Returns the value of a field; `nil` if it is missing.
    private static func value(_ field: [String], of record: SnapshotRecord) -> String? {
        switch field[0] {
        case "name": record.key
        // Always present, perhaps empty.
        case "parent": record.parentKey
        case "kind":
            switch record.kind {
            case .active: "active"
            case .view: "view"
            case .committed: "committed"
            }
        case "labels": record.labels[field.dropFirst().joined(separator: ".")]
        default: nil
        }
    }
}
