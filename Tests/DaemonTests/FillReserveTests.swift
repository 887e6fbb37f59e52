import Daemon
import LazyFileSystem
import Testing

@Suite("reserve of background fill") struct FillReserveTests {
    private static func disk(used: UInt64, of blocks: UInt64 = 100) -> StoreCapacity {
        StoreCapacity(
            blockSize: 4096, blocks: blocks, freeBlocks: blocks - used, availableBlocks: blocks - used, files: 1,
            freeFiles: 1)
    }

    @Test("stops fill at the limit, and lets it go on two percent below") func stops() {
        var reserve = FillReserve(limit: 75)
        let steps: [(used: UInt64, changes: Bool, allowed: Bool)] = [
            (74, false, true), (75, true, false), (80, false, false), (74, false, false), (73, false, false),
            (72, true, true), (74, false, true), (100, true, false),
        ]
        for step in steps {
            let hasChanged = reserve.update(Self.disk(used: step.used))
            #expect(hasChanged == step.changes, "\(step)")
            #expect(reserve.isFillAllowed == step.allowed, "\(step)")
        }
    }

    @Test("counts blocks that only root may use as used, as kubelet does") func countsReserved() {
        var reserve = FillReserve(limit: 75)
        let disk = StoreCapacity(
            blockSize: 4096, blocks: 1000, freeBlocks: 300, availableBlocks: 249, files: 1, freeFiles: 1)
        #expect(disk.usedPercent == 76)
        let hasChanged = reserve.update(disk)
        #expect(hasChanged)
    }

    @Test("survives strange numbers") func survives() {
        var reserve = FillReserve(limit: 1)
        var hasChanged = reserve.update(Self.disk(used: 0, of: 0))
        #expect(!hasChanged)
        let more = StoreCapacity(
            blockSize: 0, blocks: 1, freeBlocks: .max, availableBlocks: .max, files: 0, freeFiles: 0)
        #expect(more.usedPercent == 0)
        hasChanged = reserve.update(more)
        #expect(!hasChanged)
    }
}
