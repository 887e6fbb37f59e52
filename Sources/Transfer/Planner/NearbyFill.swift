/// The places of the latest reads. While a container starts, fill begins around them.
///
/// A starting process mostly reads next what lies near its last reads: the rest of a package, its data, its metadata.
/// While it computes, the link would be idle, or fill would carry bytes that nobody needs soon. A known start needs
/// none of this.
struct NearbyFill: Sendable {
    private static let limit = 64
    /// The distance in extents within which two reads are at the same place.
    private static let nearness = 8

    /// Oldest first.
    private var places: [ExtentKey] = []

    var latest: ExtentKey? { places.last }

    mutating func note(_ key: ExtentKey) {
        let index = places.lastIndex { $0.layer == key.layer && abs($0.extent - key.extent) <= Self.nearness }
        if let index { places.remove(at: index) } else if places.count == Self.limit { places.removeFirst() }
        places.append(key)
    }

    mutating func removeLatest() { _ = places.popLast() }

    mutating func forget(_ layer: LayerID) { places.removeAll { $0.layer == layer } }
}
