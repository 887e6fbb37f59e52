import Base
import Concurrency
import Testing

struct ConcurrentMapTests {
    private struct Refusal: Error, Equatable {
        let number: Int
    }

    @Test("keeps the order of the elements, whichever ends first", arguments: [1, 2, 7, 100])
    func keepsOrder(limit: Int) async {
        let ends = (0..<20).map { _ in OneShot<Void>() }
        let (begun, most) = (Guarded(0), Guarded(0))
        let result = await Array(0..<20).concurrentMap(limit: limit) { number in
            let now = begun.withLock { begun in
                begun += 1
                return begun
            }
            most.withLock { $0 = max($0, now) }
            // The last call of each window releases all calls before it.
            if number % limit == limit - 1 || number == 19 { for end in ends[...number] { end.fulfill() } }
            await ends[number].value
            begun.withLock { $0 -= 1 }
            return number * 2
        }
        #expect(result == (0..<20).map { $0 * 2 })
        #expect(most.withLock { $0 } <= limit)
    }

    @Test("throws the first failure, cancels the rest and begins no more")
    func firstFailure() async {
        let begun = Guarded<[Int]>([])
        await #expect(throws: Refusal(number: 1)) {
            try await (0..<50).concurrentMap(limit: 3) { number throws(Refusal) -> Int in
                begun.withLock { $0.append(number) }
                if number == 1 { throw Refusal(number: 1) }
                let never = OneShot<Int>()
                do throws(CancellationError) {
                    return try await never.wait()
                } catch {
                    throw Refusal(number: number)
                }
            }
        }
        #expect(begun.withLock { $0.sorted() } == [0, 1, 2])
    }

    @Test("maps nothing to nothing")
    func empty() async {
        #expect(await [Int]().concurrentMap(limit: 4) { $0 }.isEmpty)
    }
}
