import Glibc
import Lab

/// Figures from few measurements, without assuming how they are distributed.
public enum Statistics {
    /// An interval that holds the true value with 95 % confidence.
    public struct Interval: Sendable, Codable, Equatable {
        public var low: Double
        public var high: Double

        public init(low: Double, high: Double) {
            self.low = low
            self.high = high
        }
    }

    /// The value below which the share `fraction` of `values` lies, interpolated between neighbours (type 7 of Hyndman and
    /// Fan, what R and numpy do); `nil` of nothing.
    public static func quantile(_ fraction: Double, of values: [Double]) -> Double? {
        let sorted = values.sorted()
        guard let last = sorted.indices.last else { return nil }
        let position = min(max(fraction, 0), 1) * Double(last)
        let below = Int(position)
        let above = min(below + 1, last)
        return sorted[below] + (sorted[above] - sorted[below]) * (position - Double(below))
    }

    public static func median(_ values: [Double]) -> Double? {
        quantile(0.5, of: values)
    }

    /// `nil` of nothing, and where a value is not positive.
    public static func geometricMean(_ values: [Double]) -> Double? {
        guard !values.isEmpty, values.allSatisfy({ $0 > 0 }) else { return nil }
        return exp(values.reduce(0) { $0 + log($1) } / Double(values.count))
    }

    /// The percentile bootstrap of any figure: `figure` of as many values drawn with replacement from each group as it has,
    /// `rounds` times; the middle 95 % of what comes out.
    public static func bootstrap(
        _ groups: [[Double]], seed: UInt64 = 1, rounds: Int = 10_000, _ figure: ([[Double]]) -> Double?
    ) -> Interval? {
        guard !groups.isEmpty, groups.allSatisfy({ !$0.isEmpty }) else { return nil }
        var generator = SeededGenerator(seed: seed)
        var results: [Double] = []
        results.reserveCapacity(rounds)
        var drawn = groups
        for _ in 0..<rounds {
            for (group, values) in groups.enumerated() {
                for index in values.indices {
                    drawn[group][index] = values[Int.random(in: 0..<values.count, using: &generator)]
                }
            }
            if let result = figure(drawn) { results.append(result) }
        }
        guard let low = quantile(0.025, of: results), let high = quantile(0.975, of: results) else { return nil }
        return Interval(low: low, high: high)
    }

    /// The interval of the median.
    public static func medianInterval(_ values: [Double], seed: UInt64 = 1) -> Interval? {
        bootstrap([values], seed: seed) { median($0[0]) }
    }
}
