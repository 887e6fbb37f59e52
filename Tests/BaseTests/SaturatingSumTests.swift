import Base
import Testing

struct SaturatingSumTests {
    @Test(
        "adds up to the largest number and no further",
        arguments: [([], 0), ([1, 2, 3], 6), ([.max - 1, 1], .max), ([.max, 1], .max), ([.max, .max, .max], .max)]
            as [([UInt64], UInt64)])
    func adds(numbers: [UInt64], sum: UInt64) {
        #expect(numbers.saturatingSum() == sum)
    }
}
