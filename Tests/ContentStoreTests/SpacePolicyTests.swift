import ContentStore
import Testing

@Suite("space policy") struct SpacePolicyTests {
    private static let gigabyte: UInt64 = 1_000_000_000

    /// Returns a measurement of a disk of 100 GB.
    private static func disk(used: Int, cache: UInt64 = 50) -> SpacePolicy.Measurement {
        SpacePolicy.Measurement(
            disk: 100 * gigabyte, available: UInt64(100 - used) * gigabyte, cache: cache * gigabyte)
    }

    @Test("stops fill at the limit of the disk, and lets it go on two percent below") func stopsFill() {
        var policy = SpacePolicy(SpaceLimits())
        let steps: [(used: Int, isAllowed: Bool)] = [
            (74, true), (75, false), (80, false), (74, false), (73, false), (72, true), (74, true), (100, false),
        ]
        for step in steps {
            let decision = policy.decide(Self.disk(used: step.used))
            #expect(decision.isFillAllowed == step.isAllowed, "\(step)")
        }
    }

    @Test("evicts from 80 percent of the disk, and writes nothing from 90 percent")
    func evicts() {
        var policy = SpacePolicy(SpaceLimits())
        #expect(policy.decide(Self.disk(used: 79)).evicted == 0)
        #expect(policy.decide(Self.disk(used: 80)).evicted == 2 * Self.gigabyte)
        #expect(policy.decide(Self.disk(used: 85)).evicted == 7 * Self.gigabyte)
        #expect(policy.decide(Self.disk(used: 85)).headroom == 5 * Self.gigabyte)
        #expect(policy.decide(Self.disk(used: 90)).headroom == 0)
        #expect(policy.decide(Self.disk(used: 100)).headroom == 0)
        // Others fill the disk: the store gives what it has.
        #expect(policy.decide(Self.disk(used: 99, cache: 3)).evicted == 3 * Self.gigabyte)
    }

    @Test("keeps the quota: fill stops at 75 percent, eviction goes from 90 to 80 percent") func keepsQuota() {
        var limits = SpaceLimits()
        // 1 % is kept free, so 10 GB are usable.
        limits.quota = 10_101_010_102
        var policy = SpacePolicy(limits)
        func decide(_ tenths: UInt64) -> SpacePolicy.Decision {
            policy.decide(
                SpacePolicy.Measurement(
                    disk: 1000 * Self.gigabyte, available: 900 * Self.gigabyte, cache: tenths * Self.gigabyte / 10))
        }
        #expect(decide(74).isFillAllowed)
        #expect(!decide(75).isFillAllowed)
        #expect(!decide(73).isFillAllowed)
        #expect(decide(72).isFillAllowed)
        #expect(decide(89).evicted == 0)
        let full = decide(95)
        #expect(full.evicted / 1000 == 1_500_000)
        #expect(full.headroom / 1000 == 500_000)
        #expect(decide(200).headroom == 0)
    }

    @Test("makes room for a write that was refused, and for several more") func makesRoom() {
        var limits = SpaceLimits()
        limits.quota = 1 << 30
        var policy = SpacePolicy(limits)
        var now = SpacePolicy.Measurement(disk: 1 << 40, available: 1 << 39, cache: 800 << 20)
        now.refused = 400 << 20
        let decision = policy.decide(now)
        #expect(decision.headroom < now.refused)
        #expect(decision.evicted == now.refused - decision.headroom)
        now.refused = decision.headroom + 1
        #expect(policy.decide(now).evicted == 16 << 20)
    }

    @Test("survives strange numbers")
    func survives() {
        for limits in [SpaceLimits(), Self.limits(quota: 0), Self.limits(quota: .max)] {
            for size in [0, 1, UInt64.max] {
                for available in [0, 1, UInt64.max] {
                    for cache in [0, 1, UInt64.max] {
                        var policy = SpacePolicy(limits)
                        let decision = policy.decide(
                            SpacePolicy.Measurement(disk: size, available: available, cache: cache, refused: cache))
                        #expect(decision.evicted <= cache)
                    }
                }
            }
        }
    }

    @Test("counts blocks that only root may use as used, as kubelet does") func countsReserved() {
        let now = SpacePolicy.Measurement(disk: 1000, available: 249, cache: 0)
        #expect(now.usedPercent == 76)
    }

    private static func limits(quota: UInt64) -> SpaceLimits {
        var limits = SpaceLimits()
        limits.quota = quota
        return limits
    }
}
