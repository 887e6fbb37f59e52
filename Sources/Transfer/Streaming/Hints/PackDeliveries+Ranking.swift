package import Planner

/// The one place where hints are ranked.
extension PackDeliveries {
    /// Returns whether a hint of `source` may fetch chunks of a layer now: no better hint covers the image's whole
    /// start.
    ///
    /// - Parameters:
    ///   - known: the source of the recorded start that the layer is repeating.
    ///   - id: the pack that is the hint itself.
    package func admits(
        _ source: HintSource, on layer: LayerID, known: HintSource?, except id: DeliveryID? = nil
    ) -> Bool {
        let best = [coverage(of: layer, except: id), known].compactMap { $0 }.max()
        return best.map { source >= $0 } ?? true
    }
}
