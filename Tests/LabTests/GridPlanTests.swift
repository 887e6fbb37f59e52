import Harness
import Lab
import Testing

struct GridPlanTests {
    private func plan(seed: UInt64, blocks: Int = 3) -> GridPlan {
        GridPlan(
            images: ["a", "b", "c"], edition: .small, networks: ["lan", "wan"],
            modes: ["overlayfs", "rivulet", "local", "stream"], blocks: blocks, seed: seed, complete: false)
    }

    @Test("every block is complete") func everyBlockIsComplete() {
        let plan = plan(seed: 5)
        for block in 0..<3 {
            let keys = plan.samples(ofBlock: block)
            #expect(keys.count == 24)
            #expect(Set(keys).count == 24)
            #expect(keys.allSatisfy { $0.block == block && $0.edition == "small" })
        }
        #expect(plan.samples.count == 72)
    }

    /// Compared pairs are measured within minutes of each other.
    @Test("measures the modes of an image together") func measuresModesOfImageTogether() {
        let keys = plan(seed: 9).samples
        for start in stride(from: 0, to: keys.count, by: 4) {
            let group = keys[start..<start + 4]
            #expect(Set(group.map { $0.image + $0.network }).count == 1)
            #expect(Set(group.map(\.mode)).count == 4)
        }
    }

    @Test("the seed determines the order") func seedDeterminesOrder() {
        #expect(plan(seed: 5).samples == plan(seed: 5).samples)
        #expect(plan(seed: 5).samples != plan(seed: 6).samples)
        let modes = (0..<3).map { block in plan(seed: 5).samples(ofBlock: block).map(\.mode) }
        #expect(Set(modes).count == 3)
    }

    /// An interrupted or extended run continues in the same order.
    @Test("further blocks do not change the first") func furtherBlocksDoNotChangeFirst() {
        #expect(Array(plan(seed: 5, blocks: 9).samples.prefix(72)) == plan(seed: 5).samples)
    }
}
