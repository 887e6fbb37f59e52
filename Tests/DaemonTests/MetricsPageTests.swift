import CoreMetrics
import Daemon
import Testing

struct MetricsPageTests {
    @Test("renders counters and summaries") func rendersCountersAndSummaries() {
        let page = MetricsPage()
        page.makeCounter(label: "fallback", dimensions: [("reason", "a\"b\n")]).increment(by: 2)
        page.makeCounter(label: "fallback", dimensions: [("reason", "a\"b\n")]).increment(by: 1)
        page.makeTimer(label: "prepare_seconds", dimensions: []).recordNanoseconds(1_500_000_000)
        page.addSource { [("bytes_total", [("class", "demand")], 42)] }
        #expect(
            page.render() == """
                # TYPE rivulet_bytes_total counter
                rivulet_bytes_total{class="demand"} 42
                # TYPE rivulet_fallback_total counter
                rivulet_fallback_total{reason="a\\"b\\n"} 3
                # TYPE rivulet_prepare_seconds summary
                rivulet_prepare_seconds_count 1
                rivulet_prepare_seconds_sum 1.5

                """)
    }

    @Test("renders a histogram in the order of its bounds") func rendersHistogramInOrderOfItsBounds() {
        let page = MetricsPage()
        page.addSource {
            [
                ("stall_seconds_bucket", [("le", "0.5")], 1), ("stall_seconds_bucket", [("le", "10.0")], 2),
                ("stall_seconds_bucket", [("le", "+Inf")], 3), ("stall_seconds_sum", [], 31.5),
                ("stall_seconds_count", [], 3),
            ]
        }
        #expect(
            page.render() == """
                # TYPE rivulet_stall_seconds histogram
                rivulet_stall_seconds_bucket{le="0.5"} 1
                rivulet_stall_seconds_bucket{le="10.0"} 2
                rivulet_stall_seconds_bucket{le="+Inf"} 3
                rivulet_stall_seconds_sum 31.5
                rivulet_stall_seconds_count 3

                """)
    }
}
