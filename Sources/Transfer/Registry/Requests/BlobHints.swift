import Base
import Concurrency

/// What was learnt about blobs and hosts and is worth a round trip next time. Pure; bounded.
struct BlobHints {
    struct Redirect: Equatable {
        var url: String
        /// Seconds since 1970.
        var end: Int64
    }

    private struct Entry {
        var size: UInt64?
        /// By the base of the host that redirected.
        var redirects: [String: Redirect] = [:]
        /// Hosts that do not have it, and until when that is believed.
        var missing: [String: MonotonicTime] = [:]
    }

    private var entries: BoundedCache<BlobLocation, Entry>
    /// Hosts whose storage knows no suffix ranges (Azure Blob Storage and what stands in front of it).
    private var withoutSuffix: BoundedCache<String, Void>
    /// Hosts that give one range a request at most: Amazon S3 and Azure Blob Storage, and what stands in front of them.
    private var withoutMultipleRanges: BoundedCache<String, Void>
    /// The origin that a host last sent us to for a blob, by its base.
    private var targets: BoundedCache<String, String>

    init(capacity: Int = 8192) {
        entries = BoundedCache(capacity: capacity)
        // hosts.toml may change any number of times in the life of a daemon.
        withoutSuffix = BoundedCache(capacity: capacity)
        withoutMultipleRanges = BoundedCache(capacity: capacity)
        targets = BoundedCache(capacity: capacity)
    }

    func size(_ blob: BlobLocation) -> UInt64? { entries.peek(blob)?.size }

    mutating func learn(size: UInt64, of blob: BlobLocation) {
        update(blob) { $0.size = size }
    }

    /// Where `host` last sent us for `blob`, if that is still good at `now` (seconds since 1970).
    func redirect(_ blob: BlobLocation, host: String, now: Int64) -> String? {
        guard let redirect = entries.peek(blob)?.redirects[host], now < redirect.end else { return nil }
        return redirect.url
    }

    mutating func learn(redirect: Redirect, of blob: BlobLocation, host: String) {
        update(blob) { $0.redirects[host] = redirect }
        targets[host] = RedirectTarget.origin(of: redirect.url)
    }

    /// Scheme, host and port that `host` last sent us to for any blob.
    func target(of host: String) -> String? { targets.peek(host) }

    mutating func forgetRedirect(_ blob: BlobLocation, host: String) {
        entries[blob]?.redirects[host] = nil
    }

    func isMissing(_ blob: BlobLocation, host: String, now: MonotonicTime) -> Bool {
        guard let end = entries.peek(blob)?.missing[host] else { return false }
        return now < end
    }

    mutating func learn(missing blob: BlobLocation, host: String, until end: MonotonicTime) {
        update(blob) { $0.missing[host] = end }
    }

    func refusesSuffix(_ host: String) -> Bool { withoutSuffix.peek(host) != nil }

    mutating func learn(refusesSuffix host: String) { withoutSuffix[host] = () }

    func refusesMultipleRanges(_ host: String) -> Bool { withoutMultipleRanges.peek(host) != nil }

    mutating func learn(refusesMultipleRanges host: String) { withoutMultipleRanges[host] = () }

    private mutating func update(_ blob: BlobLocation, _ change: (inout Entry) -> Void) {
        var entry = entries[blob] ?? Entry()
        change(&entry)
        entries[blob] = entry
    }
}
