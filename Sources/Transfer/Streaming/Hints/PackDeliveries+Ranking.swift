package import Planner

/// The only code that ranks hints.
extension PackDeliveries {
    /// Returns true if a hint of `source` may fetch chunks of `layer` now, because no better hint covers the image's
    /// whole start.
    ///
    /// - Parameters:
    ///   - source: the source of the hint.
    ///   - layer: the layer of the chunks.
    ///   - known: the source of the recorded start that the layer is repeating; `nil` if there is none.
    ///   - id: the delivery of the pack that the hint itself names, which does not count; `nil` for other hints.
    package func admits(
        _ source: HintSource, on layer: LayerID, known: HintSource?, except id: DeliveryID? = nil
    ) -> Bool {
        let best = [coverage(of: layer, except: id), known].compactMap { $0 }.max()
        return best.map { source >= $0 } ?? true
    }
}
