/// The positions of the latest reads. While a container starts, fill (the background fetch of whole layers) fetches the
/// extents around them first. This is *nearby fill*.
///
/// The next reads of a starting process are mostly close to its last reads: the rest of a package, its data, its
/// metadata. While the process computes, the link would otherwise be idle, or carry bytes of fill that no reader needs
/// soon. A ``KnownStart`` does not need nearby fill, because hints fetch its reads.
struct NearbyFill: Sendable {
    private static let limit = 64
    /// The largest distance, in extents, at which two reads count as the same position.
    private static let nearness = 8

    /// The positions, in the order of their last reads; the latest is at the end.
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
