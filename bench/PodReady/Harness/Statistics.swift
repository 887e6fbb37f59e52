import Glibc
import Lab

/// Statistics of a few measurements, without assumptions about their distribution.
public enum Statistics {
    /// An interval that contains the true value with 95 % confidence.
    public struct Interval: Sendable, Codable, Equatable {
        public var low: Double
        public var high: Double

        public init(low: Double, high: Double) {
            self.low = low
            self.high = high
        }
    }

    /// Returns the value below which the share `fraction` of `values` lies; `nil` without values.
    ///
    /// Values between neighbors are interpolated (type 7 of Hyndman and Fan, as in R and numpy).
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

    /// Returns the geometric mean of `values`; `nil` if there are none, or if one is not positive.
    public static func geometricMean(_ values: [Double]) -> Double? {
        guard !values.isEmpty, values.allSatisfy({ $0 > 0 }) else { return nil }
        return exp(values.reduce(0) { $0 + log($1) } / Double(values.count))
    }

    /// Computes the interval of a figure by percentile bootstrap. Returns `nil` if a group is empty.
    ///
    /// Each of `rounds` rounds draws values from each group, with replacement, as many as the group has. The interval
    /// is the middle 95 % of the results.
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

    /// Returns the interval of the median.
    public static func medianInterval(_ values: [Double], seed: UInt64 = 1) -> Interval? {
        bootstrap([values], seed: seed) { median($0[0]) }
    }
}
