/// The reason for a fetch. The cases are ordered, most urgent first. Each class has its own limits, so one class cannot
/// use up the limits of another.
public enum FetchClass: UInt8, CaseIterable, Comparable, Sendable {
    /// An extent that a reader waits for.
    case demand
    /// An extent that a container's start is expected to read, according to a hint; see ``HintSource``.
    case hint
    /// An extent that a sequential reader will read next.
    case readahead
    /// The rest of a layer, fetched in the background so that the layer becomes complete.
    case fill

    public static func < (left: FetchClass, right: FetchClass) -> Bool {
        left.rawValue < right.rawValue
    }
}

/// One value for each ``FetchClass``, stored in properties instead of a dictionary.
public struct PerClass<Value: Sendable>: Sendable {
    /// The value of each class.
    public var demand, hint, readahead, fill: Value

    public init(demand: Value, hint: Value, readahead: Value, fill: Value) {
        self.demand = demand
        self.hint = hint
        self.readahead = readahead
        self.fill = fill
    }

    /// Creates values that all equal `value`.
    public init(repeating value: Value) {
        self.init(demand: value, hint: value, readahead: value, fill: value)
    }

    public subscript(_ fetchClass: FetchClass) -> Value {
        get {
            switch fetchClass {
            case .demand: demand
            case .hint: hint
            case .readahead: readahead
            case .fill: fill
            }
        }
        set {
            switch fetchClass {
            case .demand: demand = newValue
            case .hint: hint = newValue
            case .readahead: readahead = newValue
            case .fill: fill = newValue
            }
        }
    }
}

extension PerClass: Equatable where Value: Equatable {}
extension PerClass: Hashable where Value: Hashable {}
