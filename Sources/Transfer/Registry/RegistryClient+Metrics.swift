public import Base

extension RegistryClient {
    /// The metrics of the client.
    public var metrics: [MetricFamily] {
        [
            .counter("registry_requests_total", requestCount, help: "HTTP requests to registries, of every kind."),
            .counter(
                "registry_received_bytes_total", bytesReceived, help: "Body bytes received from registries."),
        ]
    }
}
