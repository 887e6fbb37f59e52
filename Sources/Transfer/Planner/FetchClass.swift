/// Why bytes are fetched, most urgent first. Each class has its own room, so that none waits behind another.
public enum FetchClass: UInt8, CaseIterable, Comparable, Sendable {
    /// A reader is blocked on it.
    case demand
    /// Known to be needed before the container is ready: a profile, or an eStargz prefetch landmark.
    case profile
    /// Sequential reading was seen, and this comes next.
    case readahead
    /// The rest of a layer, so that it ends up local.
    case fill

    public static func < (left: FetchClass, right: FetchClass) -> Bool {
        left.rawValue < right.rawValue
    }
}

/// One value for each ``FetchClass``, without a dictionary.
public struct PerClass<Value: Sendable>: Sendable {
    /// The value of each class.
    public var demand, profile, readahead, fill: Value

    public init(demand: Value, profile: Value, readahead: Value, fill: Value) {
        self.demand = demand
        self.profile = profile
        self.readahead = readahead
        self.fill = fill
    }

    /// The same value for every class.
    public init(repeating value: Value) {
        self.init(demand: value, profile: value, readahead: value, fill: value)
    }

    public subscript(_ fetchClass: FetchClass) -> Value {
        get {
            switch fetchClass {
            case .demand: demand
            case .profile: profile
            case .readahead: readahead
            case .fill: fill
            }
        }
        set {
            switch fetchClass {
            case .demand: demand = newValue
            case .profile: profile = newValue
            case .readahead: readahead = newValue
            case .fill: fill = newValue
            }
        }
    }
}

extension PerClass: Equatable where Value: Equatable {}
extension PerClass: Hashable where Value: Hashable {}
