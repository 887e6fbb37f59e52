import Base
import ContentStore
import Planner
import Streaming
import Testing

/// Tests of the table of readers that wait for bytes from elsewhere, and of the rules of startup packs for it.
@Suite struct WaitingReadersTests {
    private static let start = MonotonicTime(nanoseconds: 1_000_000_000_000)
    private static let second: UInt64 = 1_000_000_000
    private static let layers = [LayerID(value: 1), LayerID(value: 2)]

    private static func reader(
        _ demand: UInt64, _ layer: LayerID = layers[0], _ chunks: Range<Int> = 0..<1, since: MonotonicTime = start
    ) -> WaitingReaders.Reader {
        WaitingReaders.Reader(demand: DemandID(value: demand), layer: layer, chunks: chunks, since: since)
    }

    /// Returns a pack that is arriving, with chunks 0 to 3 of the first layer, one per frame of 100 bytes.
    private static func pack() -> (deliveries: PackDeliveries, id: DeliveryID) {
        var deliveries = PackDeliveries()
        let id = deliveries.begin(Set(layers), source: .recordedPack, now: start)
        deliveries.open(id, coming: [layers[0]: [0: 100, 1: 200, 2: 300, 3: 400]], runs: [], frames: 4)
        return (deliveries, id)
    }

    // MARK: - The table

    @Test func givesReadersInTheOrderOfTheirWait() {
        var table = WaitingReaders()
        let id = DeliveryID(value: 1)
        for demand in 1...4 as ClosedRange<UInt64> { table.add(Self.reader(demand), to: id) }
        #expect(table.take(from: id) { $0.demand.value % 2 == 0 }.map(\.demand.value) == [2, 4])
        #expect(table.take(from: id) { $0.demand.value % 2 == 0 }.isEmpty, "each reader is given once")
        #expect(table.takeAll(from: id).map(\.demand.value) == [1, 3])
        #expect(table.count == 0)
    }

    @Test func keepsDeliveriesAndLayersApart() {
        var table = WaitingReaders()
        let ids = [DeliveryID(value: 1), DeliveryID(value: 2)]
        table.add(Self.reader(1, Self.layers[0]), to: ids[0])
        table.add(Self.reader(2, Self.layers[1]), to: ids[0])
        table.add(Self.reader(3, Self.layers[0]), to: ids[1])
        #expect(Set(table.takeAll(of: Self.layers[0]).map(\.demand.value)) == [1, 3])
        #expect(table.takeAll(from: ids[1]).isEmpty)
        #expect(table.takeAll().map(\.demand.value) == [2])
    }

    @Test func removesADemandOnce() {
        var table = WaitingReaders()
        table.add(Self.reader(1), to: DeliveryID(value: 1))
        table.add(Self.reader(2), to: DeliveryID(value: 2))
        #expect(table.remove(DemandID(value: 2)) == true)
        #expect(table.remove(DemandID(value: 2)) == false)
        #expect(table.remove(DemandID(value: 3)) == false)
        #expect(table.count == 1)
    }

    // MARK: - Startup packs

    @Test func parksAReaderOnlyIfThePackBringsAllThatItLacksSoon() {
        var (deliveries, id) = Self.pack()
        func parks(_ chunks: Range<Int>, distance: UInt64 = 400, at time: MonotonicTime = Self.start, present: Int = -1)
            -> Bool
        {
            var copy = deliveries
            return copy.park(Self.reader(1, Self.layers[0], chunks, since: time), distance: distance) { $0 == present }
        }
        #expect(parks(0..<4))
        #expect(!parks(3..<5), "chunk 4 is not in the pack")
        #expect(parks(3..<5, present: 4))
        #expect(!parks(3..<4, distance: 399), "too far behind")
        #expect(!parks(0..<1, at: Self.start.advanced(by: Self.second)), "the pack stalls")
        _ = deliveries.moved(id, to: 10, now: Self.start.advanced(by: Self.second / 2))
        #expect(parks(3..<4, distance: 390))
        var copy = deliveries
        #expect(copy.park(Self.reader(1, Self.layers[1]), distance: 400) { _ in false } == false, "another layer")
    }

    @Test func releasesReadersWhenTheirChunksArePublished() {
        var (deliveries, id) = Self.pack()
        for (demand, chunks) in [(1, 0..<1), (2, 0..<2), (3, 2..<3)] as [(UInt64, Range<Int>)] {
            #expect(deliveries.park(Self.reader(demand, Self.layers[0], chunks), distance: 400) { _ in false } == true)
        }
        var present: Set<Int> = []
        func publish(_ chunk: Int) -> [UInt64] {
            present.insert(chunk)
            return deliveries.published(id, chunks: [(layer: Self.layers[0], chunk: chunk)]) { present.contains($1) }
                .map(\.demand.value)
        }
        #expect(publish(0) == [1])
        #expect(publish(1) == [2])
        #expect(publish(3).isEmpty)
        #expect(deliveries.count == 1)
        #expect(publish(2) == [3])
        #expect(deliveries.count == 0, "that was the last frame")
    }

    @Test func releasesReadersThatWaitTooLong() {
        var (deliveries, id) = Self.pack()
        #expect(deliveries.park(Self.reader(1), distance: 400) { _ in false } == true)
        // The pack makes progress, but does not bring what the reader lacks.
        for step in 1...5 {
            let now = Self.start.advanced(by: UInt64(step) * Self.second / 2)
            _ = deliveries.moved(id, to: UInt64(step), now: now)
            #expect(deliveries.overdue(id, now: now).isEmpty)
        }
        let end = Self.start.advanced(by: 3 * Self.second)
        _ = deliveries.moved(id, to: 6, now: end)
        #expect(deliveries.overdue(id, now: end).map(\.demand.value) == [1], "three seconds")
    }

    @Test func releasesReadersOfAPackThatStalls() {
        var (deliveries, id) = Self.pack()
        #expect(deliveries.park(Self.reader(1), distance: 400) { _ in false } == true)
        #expect(deliveries.overdue(id, now: Self.start.advanced(by: Self.second - 1)).isEmpty)
        #expect(deliveries.overdue(id, now: Self.start.advanced(by: Self.second)).map(\.demand.value) == [1])
        #expect(deliveries.overdue(id, now: Self.start.advanced(by: 9 * Self.second)).isEmpty)
    }

    @Test func cancelsAndDropsReaders() {
        var (deliveries, id) = Self.pack()
        for demand in 1...3 as ClosedRange<UInt64> {
            #expect(deliveries.park(Self.reader(demand), distance: 400) { _ in false } == true)
        }
        #expect(deliveries.cancel(DemandID(value: 2)) == true)
        #expect(deliveries.cancel(DemandID(value: 2)) == false)
        var detached = deliveries
        #expect(detached.drop(Self.layers[0]).map(\.demand.value) == [1, 3])
        #expect(detached.park(Self.reader(4), distance: 400) { _ in false } == false, "the layer is gone")
        let ended = deliveries.end(id)
        #expect(ended?.readers.map(\.demand.value) == [1, 3])
        let again = deliveries.end(id)
        #expect(again == nil)
        let moved = deliveries.moved(id, to: 1, now: Self.start)
        #expect(moved == nil, "an abandoned pack is told so")
    }
}
