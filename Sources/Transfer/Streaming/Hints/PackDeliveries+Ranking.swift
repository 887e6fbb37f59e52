package import Planner

/// The ranking of hints. No other code ranks them.
extension PackDeliveries {
    /// Returns true if a hint of `source` may fetch chunks of `layer` now, because no better hint covers the image's
    /// whole start.
    ///
    /// - Parameters:
    ///   - source: the source of the hint.
    ///   - layer: the layer of the chunks.
    ///   - known: the source of the recorded start that the layer's image is repeating; `nil` if there is none.
    ///   - id: the delivery of the pack that the hint names; `nil` for a hint without a pack. A pack does not compete
    ///     with itself.
    package func admits(
        _ source: HintSource, on layer: LayerID, known: HintSource?, except id: DeliveryID? = nil
    ) -> Bool {
        let best = [coverage(of: layer, except: id), known].compactMap { $0 }.max()
        return best.map { source >= $0 } ?? true
    }
}
