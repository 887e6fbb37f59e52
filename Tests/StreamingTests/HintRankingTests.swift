import Base
import ContentStore
import Planner
import Streaming
import Testing

/// Tests of the ranking of start hints: which source yields to which, in both orders.
@Suite struct HintRankingTests {
    private static let layer = LayerID(value: 1)
    private static let now = MonotonicTime(nanoseconds: 1_000_000_000_000)

    /// Returns the sources whose later hints `first` makes superfluous, while a pack's contents are still unknown.
    private static func dropped(by first: HintSource) -> Set<HintSource> {
        switch first {
        case .landmark: []
        case .recordedProfile: [.recordedPack, .predictedPack, .prediction]
        case .recordedPack: [.predictedPack, .prediction]
        case .predictedPack: [.prediction]
        case .prediction: []
        }
    }

    /// Returns the engine's state after it took a hint of `source`: the packs that are arriving, and the known start.
    private static func taken(_ source: HintSource) -> (deliveries: PackDeliveries, known: HintSource?) {
        var deliveries = PackDeliveries()
        switch source {
        case .recordedPack, .predictedPack:
            _ = deliveries.begin([layer], source: source, now: now)
            return (deliveries, nil)
        case .recordedProfile: return (deliveries, .recordedProfile)
        case .landmark, .prediction: return (deliveries, nil)
        }
    }

    @Test func ordersSourcesByTrust() {
        let ranked: [HintSource] = [.landmark, .recordedProfile, .recordedPack, .predictedPack, .prediction]
        #expect(HintSource.allCases.sorted(by: >) == ranked)
        #expect(HintSource.allCases.filter(\.isRecorded) == [.recordedPack, .recordedProfile])
        #expect(HintSource.allCases.filter(\.isGuess) == [.prediction, .predictedPack])
    }

    @Test(arguments: HintSource.allCases, HintSource.allCases)
    func yieldsOnlyToABetterHintThatCoversTheStart(first: HintSource, second: HintSource) {
        let (deliveries, known) = Self.taken(first)
        let isAdmitted = deliveries.admits(second, on: Self.layer, known: known)
        #expect(isAdmitted == !Self.dropped(by: first).contains(second))
        #expect(deliveries.admits(second, on: LayerID(value: 2), known: nil), "other layers are not concerned")
    }

    /// Lets a recorded pack cover the whole start even after its contents are known, but a predicted one only its
    /// chunks.
    @Test(arguments: [HintSource.recordedPack, .predictedPack])
    func coversTheStartWithRecordedPacksOnly(source: HintSource) {
        var deliveries = PackDeliveries()
        let id = deliveries.begin([Self.layer], source: source, now: Self.now)
        deliveries.open(id, coming: [Self.layer: [3: 100]], runs: [], frames: 1)
        #expect(deliveries.admits(.prediction, on: Self.layer, known: nil) == (source == .predictedPack))
        #expect(deliveries.admits(.recordedProfile, on: Self.layer, known: nil))
        #expect(deliveries.brings(Self.layer, chunks: 3..<4, to: .prediction) { _ in false } == true)
        #expect(deliveries.brings(Self.layer, chunks: 3..<5, to: .prediction) { _ in false } == false)
        #expect(deliveries.brings(Self.layer, chunks: 3..<5, to: .prediction) { $0 == 4 } == true, "chunk 4 is present")
    }

    /// Raises the pack's source, since otherwise an abandoned pack would lose chunks that a better hint left to it.
    @Test func raisesAPackToTheBestHintThatReliesOnIt() {
        var deliveries = PackDeliveries()
        let id = deliveries.begin([Self.layer], source: .predictedPack, now: Self.now)
        deliveries.open(id, coming: [Self.layer: [3: 100]], runs: [], frames: 1)
        #expect(deliveries.brings(Self.layer, chunks: 3..<4, to: .recordedProfile) { _ in false } == true)
        #expect(!deliveries.admits(.prediction, on: Self.layer, known: nil))
        let ended = deliveries.end(id)
        #expect(ended?.source == .recordedProfile)
        #expect(deliveries.admits(.prediction, on: Self.layer, known: nil), "it is over")
    }

    @Test func doesNotRankAPackAgainstItself() {
        var deliveries = PackDeliveries()
        let id = deliveries.begin([Self.layer], source: .recordedPack, now: Self.now)
        #expect(!deliveries.admits(.predictedPack, on: Self.layer, known: nil))
        #expect(deliveries.admits(.predictedPack, on: Self.layer, known: nil, except: id))
        #expect(!deliveries.admits(.predictedPack, on: Self.layer, known: .recordedProfile, except: id))
    }
}
