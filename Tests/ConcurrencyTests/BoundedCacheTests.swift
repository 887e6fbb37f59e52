import Base
import Concurrency
import Testing

struct BoundedCacheTests {
    @Test("drops the half that was used longest ago")
    func evictsLeastRecentlyUsed() {
        var cache = BoundedCache<Int, String>(capacity: 4)
        for number in 0..<4 { cache[number] = "\(number)" }
        // Reading counts as a use, peeking does not.
        #expect(cache[0] == "0")
        #expect(cache.peek(1) == "1")
        cache[4] = "4"
        #expect((0..<5).map { cache.peek($0) != nil } == [true, false, false, false, true])
        #expect(cache.count == 2)
    }

    @Test("never exceeds its capacity", arguments: [1, 2, 3, 8])
    func staysBounded(capacity: Int) {
        var cache = BoundedCache<Int, Int>(capacity: capacity)
        for number in 0..<100 {
            cache[number] = number
            #expect(cache.count <= capacity)
            #expect(cache.peek(number) == number)
        }
    }

    @Test("replacing a value evicts nothing, nil removes it")
    func replaces() {
        var cache = BoundedCache<String, Int>(capacity: 2)
        (cache["a"], cache["b"], cache["a"]) = (1, 2, 3)
        #expect(cache.count == 2)
        #expect(cache["a"] == 3)
        cache["a"] = nil
        #expect(cache["a"] == nil)
        cache.keep { _, value in value > 2 }
        #expect(cache.count == 0)
    }

    @Test("an expiring value is gone at its end")
    func expires() {
        var cache = BoundedCache<String, Expiring<Int>>(capacity: 2)
        cache["a"] = Expiring(1, until: MonotonicTime(nanoseconds: 10))
        #expect(cache.value(of: "a", at: MonotonicTime(nanoseconds: 9)) == 1)
        #expect(cache.value(of: "a", at: MonotonicTime(nanoseconds: 10)) == nil)
        #expect(cache.count == 0)
        #expect(cache.value(of: "b", at: MonotonicTime(nanoseconds: 0)) == nil)
    }
}
