import Logging
import Planner
import Streaming

/// The figures that explain the duration of one container start.
struct StartReport: Sendable {
    private let layers: LayerStatistics
    private let engine: StreamingSnapshot

    init(_ layers: LayerStatistics, _ engine: StreamingSnapshot) {
        self.layers = layers
        self.engine = engine
    }

    /// The figures as the metadata of a log line.
    var metadata: Logger.Metadata {
        func byClass(_ values: PerClass<UInt64>) -> String {
            FetchClass.allCases.map { "\($0) \(values[$0])" }.joined(separator: ", ")
        }
        return [
            "reads_that_waited": "\(layers.stalls)",
            // Readers wait concurrently, so this may exceed the duration of the start.
            "waited_milliseconds": "\(layers.stalled / 1_000_000)",
            "longest_wait_milliseconds": "\(layers.longestStall / 1_000_000)", "reads_that_failed": "\(layers.failed)",
            "not_foreseen": "\(layers.surprises)", "requests": "\(byClass(layers.requests))",
            "bytes": "\(byClass(layers.bytes))", "link_megabytes_a_second": "\(Int(engine.bytesPerSecond / 1e6))",
            "link_answers_in_milliseconds": "\(Int(engine.answerDelay / 1e6))",
        ]
    }
}
