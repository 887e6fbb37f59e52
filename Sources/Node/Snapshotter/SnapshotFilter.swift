import Base
package import NodeDatabase

/// A query in containerd's filter language, for `List`.
///
/// A query is a list of filters, and a filter is a list of selectors, separated by commas. A snapshot matches the query
/// if it satisfies all selectors of at least one filter. A selector that is only a field requires the field to exist.
/// Any other selector compares a field with a value: `==`, `!=`, or `~=` for a regular expression. The fields are
/// `name`, `parent`, `kind` and `labels.<key>`. A label's key may be quoted as in Go. A query without filters, or with
/// an empty filter, matches everything. The grammar is in containerd's `filters/parser.go`.
package struct SnapshotFilter: Sendable {
    enum Operator: Sendable {
        case present
        case equal(String)
        case notEqual(String)
        /// A regular expression that must match. A malformed expression is `nil` here and matches nothing.
        case matches(LinearRegex?)
    }

    struct Selector: Sendable {
        var field: [String]
        var operation: Operator
    }

    /// The maximum number of filters in one call, and the maximum size of one filter in bytes.
    static let mostFilters = 128
    static let longestFilter = 16 << 10
    /// The maximum number of steps of all regular expressions in one call together: about a tenth of a second of work.
    static let regexSteps = 20_000_000

    /// The selectors of each filter; `nil` if the query matches everything.
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

    /// The values of the label `containerd.io/snapshot.ref` that the filters require with `==`; `nil` if there is a
    /// filter that does not require such a value.
    ///
    /// containerd uses such a filter to search for a remote snapshot. The database has an index for this label. With
    /// the values, the search does not read every record.
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

    /// Returns true if `record` matches. Throws if the regular expressions exceed the step limit of one call.
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
        // A missing field also counts as not equal.
        case .notEqual(let unwanted): return value != unwanted
        case .matches(let expression):
            guard let expression, let value else { return false }
            guard let found = expression.isFound(in: value, steps: &steps) else {
                throw SnapshotterError(.invalidArgument, "the filters' regular expressions take too long")
            }
            return found
        }
    }

    /// Returns the value of `field` in `record`; `nil` if the record does not have the field.
    private static func value(_ field: [String], of record: SnapshotRecord) -> String? {
        switch field[0] {
        case "name": record.key
        // The parent is always present, but may be empty.
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
