import Harness
import Testing

struct StatisticsTests {
    /// Compared with numpy.percentile.
    @Test(
        "computes quantiles",
        arguments: [
            ([1.0, 2, 3, 4], 0.25, 1.75), ([4.0, 1, 3, 2], 0.5, 2.5), ([1.0, 2, 3, 4], 0.95, 3.85), ([7.0], 0.95, 7),
            ([10.0, 20, 30], 0, 10), ([10.0, 20, 30], 1, 30),
        ])
    func computesQuantiles(_ values: [Double], _ fraction: Double, _ expected: Double) throws {
        let value = try #require(Statistics.quantile(fraction, of: values))
        #expect(abs(value - expected) < 1e-12)
    }

    @Test("no values have no figures") func noValuesHaveNoFigures() {
        #expect(Statistics.median([]) == nil)
        #expect(Statistics.geometricMean([]) == nil)
        #expect(Statistics.geometricMean([1, 0]) == nil)
        #expect(Statistics.medianInterval([]) == nil)
        #expect(Statistics.bootstrap([[1], []]) { $0[0][0] } == nil)
    }

    @Test("computes geometric means") func computesGeometricMeans() throws {
        #expect(abs(try #require(Statistics.geometricMean([1, 4])) - 2) < 1e-12)
        #expect(abs(try #require(Statistics.geometricMean([2, 0.5, 8])) - 2) < 1e-12)
    }

    /// For 1 … 99 the 95 % interval of the median goes by order statistics from the 40th to the 60th value (binomial).
    @Test("computes the interval of a known median") func computesIntervalOfKnownMedian() throws {
        let interval = try #require(Statistics.medianInterval((1...99).map(Double.init)))
        #expect((38...42).contains(interval.low))
        #expect((58...62).contains(interval.high))
    }

    @Test("the seed determines the result") func seedDeterminesResult() {
        let values: [Double] = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3]
        #expect(Statistics.medianInterval(values, seed: 4) == Statistics.medianInterval(values, seed: 4))
        #expect(Statistics.medianInterval([2, 2, 2]) == .init(low: 2, high: 2))
    }
}
