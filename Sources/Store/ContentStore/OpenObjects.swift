import Base
import Concurrency

/// The things that are open, each found by its digest for as long as somebody holds it.
final class OpenObjects<Value: AnyObject & Sendable>: Sendable {
    private struct Weak: Sendable {
        weak var value: Value?
    }

    private let known = Guarded<[Digest: Weak]>([:])
    /// Opening and removing wait for the disk: one thread a digest.
    private let gate = KeyedLock<Digest>()

    init() {}

    /// The open value of `key`, else what `make` gives; `make` runs on one thread at a time for one key.
    func value(
        _ key: Digest, _ make: () throws(ContentStoreError) -> Value?
    ) throws(ContentStoreError) -> Value? {
        if let value = find(key) { return value }
        return try gate.withKey(key) { () throws(ContentStoreError) in
            if let value = find(key) { return value }
            guard let value = try make() else { return nil }
            known.withLock { known in
                // Now and then, so that names of closed things do not pile up.
                if known.count >= 64, known.count.nonzeroBitCount == 1 {
                    known = known.filter { $0.value.value != nil }
                }
                known[key] = Weak(value: value)
            }
            return value
        }
    }

    /// Runs `body` while nobody opens or removes `key`, with what is open of it; afterwards it is no longer found.
    func removing<Result>(
        _ key: Digest, _ body: (Value?) throws(ContentStoreError) -> Result
    ) throws(ContentStoreError) -> Result {
        try gate.withKey(key) { () throws(ContentStoreError) in
            let result = try body(find(key))
            known.withLock { _ = $0.removeValue(forKey: key) }
            return result
        }
    }

    /// Everything that is open.
    var open: [Value] { known.withLock { $0.values.compactMap { $0.value } } }

    func find(_ key: Digest) -> Value? { known.withLock { $0[key]?.value } }
}
