import Base
import Concurrency

/// The open layers or chains, by digest. The references are weak: an object closes when its last user releases it.
final class OpenObjects<Value: AnyObject & Sendable>: Sendable {
    private struct Weak: Sendable {
        weak var value: Value?
    }

    private let known = Guarded<[Digest: Weak]>([:])
    /// The locks for opening and removing, one per digest. A thread may wait for the disk while it holds such a lock.
    private let gate = KeyedLock<Digest>()

    init() {}

    /// Returns the open object of `key`. If there is none, returns the result of `make` and records it as the open
    /// object. Only one thread at a time runs `make` for a key.
    func value(
        _ key: Digest, _ make: () throws(ContentStoreError) -> Value?
    ) throws(ContentStoreError) -> Value? {
        if let value = find(key) { return value }
        return try gate.withKey(key) { () throws(ContentStoreError) in
            if let value = find(key) { return value }
            guard let value = try make() else { return nil }
            known.withLock { known in
                // Remove the digests of closed objects whenever the count reaches a power of two from 64 on, so that
                // they do not pile up.
                if known.count >= 64, known.count.nonzeroBitCount == 1 {
                    known = known.filter { $0.value.value != nil }
                }
                known[key] = Weak(value: value)
            }
            return value
        }
    }

    /// Runs `body` while no other thread opens or removes the object of `key`. Then forgets the open object, unless
    /// `body` threw.
    ///
    /// - Parameter body: receives the open object; `nil` if there is none.
    func removing<Result>(
        _ key: Digest, _ body: (Value?) throws(ContentStoreError) -> Result
    ) throws(ContentStoreError) -> Result {
        try gate.withKey(key) { () throws(ContentStoreError) in
            let result = try body(find(key))
            known.withLock { _ = $0.removeValue(forKey: key) }
            return result
        }
    }

    /// All open objects.
    var open: [Value] { known.withLock { $0.values.compactMap { $0.value } } }

    func find(_ key: Digest) -> Value? { known.withLock { $0[key]?.value } }
}
