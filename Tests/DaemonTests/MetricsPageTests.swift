import Base
import CoreMetrics
import Daemon
import Testing

struct MetricsPageTests {
    private static let fallback = MetricDefinition("fallback_total", .counter, help: "Layers by \\ and\nreason.")

    @Test("prints HELP and TYPE lines, and escapes labels") func printsHelpAndType() {
        let page = MetricsPage(definitions: [Self.fallback])
        page.makeCounter(label: "fallback_total", dimensions: [("reason", "a\"b\n")]).increment(by: 2)
        page.makeCounter(label: "fallback_total", dimensions: [("reason", "a\"b\n")]).increment(by: 1)
        page.makeTimer(label: "prepare_seconds", dimensions: []).recordNanoseconds(1_500_000_000)
        page.addSource {
            [
                MetricFamily(
                    MetricDefinition("bytes_total", .counter, help: "Bytes \"received\"."), by: "class",
                    values: [("demand", 42), ("fill", 0.5)]),
                .gauge("layers", 3, help: "Layers."),
            ]
        }
        #expect(
            page.render() == """
                # HELP rivulet_bytes_total Bytes "received".
                # TYPE rivulet_bytes_total counter
                rivulet_bytes_total{class="demand"} 42
                rivulet_bytes_total{class="fill"} 0.5
                # HELP rivulet_fallback_total Layers by \\\\ and\\nreason.
                # TYPE rivulet_fallback_total counter
                rivulet_fallback_total{reason="a\\"b\\n"} 3
                # HELP rivulet_layers Layers.
                # TYPE rivulet_layers gauge
                rivulet_layers 3
                # TYPE rivulet_prepare_seconds summary
                rivulet_prepare_seconds_count 1
                rivulet_prepare_seconds_sum 1.5

                """)
    }

    @Test("prints a histogram's buckets in the order of their bounds") func ordersBuckets() {
        let page = MetricsPage()
        page.addSource {
            [
                .histogram(
                    "stall_seconds", bounds: [500_000_000, 10_000_000_000], counts: [1, 1, 1],
                    nanoseconds: 31_500_000_000, help: "Stalls.")
            ]
        }
        #expect(
            page.render() == """
                # HELP rivulet_stall_seconds Stalls.
                # TYPE rivulet_stall_seconds histogram
                rivulet_stall_seconds_bucket{le="0.5"} 1
                rivulet_stall_seconds_bucket{le="10.0"} 2
                rivulet_stall_seconds_bucket{le="+Inf"} 3
                rivulet_stall_seconds_sum 31.5
                rivulet_stall_seconds_count 3

                """)
    }
}
