package import Planner

/// The admission of start hints by rank, which is the order of ``HintSource``.
extension PackDeliveries {
    /// Returns true if a hint from `source` may fetch chunks of `layer` now. Returns false if a better hint already
    /// covers everything that the start of the layer's image reads.
    ///
    /// - Parameters:
    ///   - source: the source of the hint.
    ///   - layer: the layer of the chunks.
    ///   - known: the source of an earlier hint that comes from a recorded start, if the container's start has repeated
    ///     the recorded start so far; `nil` otherwise.
    ///   - id: the hint's own startup pack, which does not count as a better hint; `nil` if the hint has no pack.
    package func admits(
        _ source: HintSource, on layer: LayerID, known: HintSource?, except id: DeliveryID? = nil
    ) -> Bool {
        let best = [coverage(of: layer, except: id), known].compactMap { $0 }.max()
        return best.map { source >= $0 } ?? true
    }
}
