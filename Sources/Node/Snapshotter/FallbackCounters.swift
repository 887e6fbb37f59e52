import Images
import Metrics

/// The metric `fallback`: layers that containerd downloads although it was asked for a remote one, by reason.
struct FallbackCounters: Sendable {
    private let counters: [FallbackReason.Code: Counter]

    init() {
        counters = Dictionary(
            uniqueKeysWithValues: FallbackReason.Code.allCases.map { code in
                (code, Counter(label: "fallback", dimensions: [("reason", code.rawValue)]))
            })
    }

    func count(_ code: FallbackReason.Code) {
        counters[code]?.increment()
    }
}
