/// The positions of the latest reads. While a container starts, fill (the background fetch of whole layers) first
/// fetches the extents around these positions. This part of fill is called *nearby fill*.
///
/// The next reads of a starting process are mostly close to its last reads: for example, in the rest of the same
/// package. While the process computes, the link would otherwise be idle, or carry bytes of fill that no reader needs
/// soon. A ``KnownStart`` does not need nearby fill, because hints already fetch everything that such a start reads.
struct NearbyFill: Sendable {
    private static let limit = 64
    /// The largest distance, in extents, at which two reads count as the same position.
    private static let nearness = 8

    /// The positions of the latest reads, from the oldest to the latest.
    private var places: [ExtentKey] = []

    /// The position of the latest read that was not removed.
    var latest: ExtentKey? { places.last }

    /// Adds the position of a read. It replaces an earlier position in the same layer that is at most ``nearness``
    /// extents away. If there are too many positions, it replaces the oldest.
    mutating func note(_ key: ExtentKey) {
        let index = places.lastIndex { $0.layer == key.layer && abs($0.extent - key.extent) <= Self.nearness }
        if let index { places.remove(at: index) } else if places.count == Self.limit { places.removeFirst() }
        places.append(key)
    }

    mutating func removeLatest() { _ = places.popLast() }

    mutating func forget(_ layer: LayerID) { places.removeAll { $0.layer == layer } }
}
