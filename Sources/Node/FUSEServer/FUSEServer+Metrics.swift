public import Base

extension FUSEServer {
    /// The server's metrics.
    public var metrics: [MetricFamily] {
        [.gauge("parked_reads", parkedReads, help: "Reads in the FUSE server that wait for missing chunks.")]
    }
}
