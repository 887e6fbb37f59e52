import Glibc

/// A SplitMix64 generator, whose seed determines every number.
public struct SeededRandom: RandomNumberGenerator, Sendable {
    /// The seed that the generator started with.
    public let seed: UInt64
    private var state: UInt64

    public init(seed: UInt64) {
        self.seed = seed
        state = seed
    }

    /// Creates a generator with a new seed and prints the seed under `name`. `RIVULET_TEST_SEED` in the environment
    /// sets the seed instead, to replay a failure.
    public init(named name: String) {
        let given = getenv("RIVULET_TEST_SEED").flatMap { UInt64(String(cString: $0)) }
        self.init(seed: given ?? .random(in: .min ... .max))
        print("\(name): RIVULET_TEST_SEED=\(seed)")
    }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
