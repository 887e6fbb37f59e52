import Base
import ContentStore
import Planner

/// The engine's figures for metrics and logs.
extension Scheduler {
    func snapshot(decodeQueueBytes: Int) -> StreamingSnapshot {
        let received = counters.received
        return state.withLock { state in
            StreamingSnapshot(
                planner: state.planner.statistics,
                received: PerClass(
                    demand: received.demand.value, hint: received.hint.value,
                    readahead: received.readahead.value, fill: received.fill.value),
                skipped: counters.skipped.value, decodedBytes: counters.decodedBytes.value,
                decodedExtents: counters.decodedExtents.value, decodeNanoseconds: counters.decodeNanoseconds.value,
                digestFailures: counters.digestFailures.value, decodeFailures: counters.decodeFailures.value,
                storeFailures: counters.storeFailures.value, backPressure: counters.backPressure.value,
                hedged: counters.hedged.value, packs: counters.packs.value,
                packsAbandoned: counters.packsAbandoned.value, packBytes: counters.packBytes.value,
                recoveriesFailed: counters.recoveriesFailed.value, recoveryBytes: counters.recoveryBytes.value,
                bytesPerSecond: state.planner.link.bytesPerSecond, answerDelay: state.planner.link.delay,
                queued: state.planner.queued, decodeQueueBytes: decodeQueueBytes,
                waitingDemands: state.completions.count, runningRequests: state.gates.count,
                pausedRequests: state.planner.pausedRequests, isFillAllowed: state.planner.isFillAllowed,
                runningPacks: state.deliveries.count,
                layers: state.layers.count, completeLayers: state.layers.values.count { $0.content.isComplete })
        }
    }

    /// Returns the sum of the planner's statistics of these layers. Layers that are not attached count as zero.
    func statistics(of layers: [StoredLayer]) -> LayerStatistics {
        state.withLock { state in
            layers.reduce(LayerStatistics()) { sum, layer in
                guard let known = state.byKey[layer.key] else { return sum }
                return sum + state.planner.statistics(of: known.id)
            }
        }
    }
}
