package import Planner

/// The ranking of start hints, the predicted or recorded reads of a container start. No other code ranks them.
extension PackDeliveries {
    /// Returns true if a hint from `source` may fetch chunks of `layer` now. Returns false if a better hint already
    /// covers everything that the start of the layer's image reads.
    ///
    /// - Parameters:
    ///   - source: the source of the hint.
    ///   - layer: the layer of the chunks.
    ///   - known: the source of the hint whose recorded start the container repeats so far; `nil` if there is no such
    ///     hint.
    ///   - id: the startup pack that the hint itself names, which does not count as a better hint; `nil` for a hint
    ///     without a pack.
    package func admits(
        _ source: HintSource, on layer: LayerID, known: HintSource?, except id: DeliveryID? = nil
    ) -> Bool {
        let best = [coverage(of: layer, except: id), known].compactMap { $0 }.max()
        return best.map { source >= $0 } ?? true
    }
}
