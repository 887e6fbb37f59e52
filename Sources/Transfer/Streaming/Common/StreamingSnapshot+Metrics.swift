public import Base
import Planner

/// The export of the engine's figures as metrics.
extension StreamingSnapshot {
    /// The engine's metrics, including those of the planner.
    public var metrics: [MetricFamily] {
        planner.metrics + [
            .byClass("received_bytes_total", received, help: "Bytes of blobs that arrived, by class."),
            .counter(
                "skipped_bytes_total", skipped, help: "Bytes of blobs that were discarded: gaps, and no longer needed."),
            .counter("decoded_bytes_total", decodedBytes, help: "Verified bytes written to the store."),
            .counter("decoded_extents_total", decodedExtents, help: "Extents decoded."),
            .seconds(
                "decode_seconds_total", nanoseconds: decodeNanoseconds,
                help: "Time of decoding, hashing and storing, over all threads."),
            .counter("decode_failures_total", decodeFailures, help: "Extents that could not be decoded."),
            .counter("digest_failures_total", digestFailures, help: "Chunks with a wrong digest."),
            .counter("store_failures_total", storeFailures, help: "Chunks that the store refused."),
            .counter(
                "decode_backpressure_total", backPressure,
                help: "Times that a connection was not read because decoding was behind."),
            .gauge("decode_queue_bytes", decodeQueueBytes, help: "Compressed bytes that wait for decoding."),
            .counter(
                "hedged_requests_total", hedged, help: "Readers' requests that were late and were sent a second time."),
            .counter("startup_packs_total", packs, help: "Startup packs whose chunks were fetched."),
            .counter("startup_packs_abandoned_total", packsAbandoned, help: "Startup packs that were abandoned."),
            .counter("startup_pack_received_bytes_total", packBytes, help: "Bytes of startup packs that arrived."),
            .counter(
                "layer_recoveries_failed_total", recoveriesFailed,
                help: "Reads of a layer's blob from its first byte that did not bring all missing chunks."),
            .counter(
                "recovery_received_bytes_total", recoveryBytes,
                help: "Bytes of blobs that were read from the first byte."),
            .gauge("running_startup_packs", runningPacks, help: "Startup packs on their way."),
            .gauge("link_bytes_per_second", bytesPerSecond, help: "Estimated rate of the link."),
            .gauge("link_answer_seconds", answerDelay / 1e9, help: "Estimated time from a request to its answer."),
            .byClass("queued_entries", queued, help: "Queued runs of extents, by class."),
            .gauge("waiting_demands", waitingDemands, help: "Reads that wait for missing chunks now."),
            .gauge("running_requests", runningRequests, help: "Requests to registries that run now."),
            .gauge("paused_requests", pausedRequests, help: "Running requests that pause for readers."),
            .gauge(
                "background_fill_stopped", isFillAllowed ? 0 : 1,
                help: "1 while background fill is stopped because the disk is too full."),
            .gauge("attached_layers", layers, help: "Layers that can be streamed now."),
            .gauge("complete_layers", completeLayers, help: "Attached layers that are complete."),
        ]
    }
}
