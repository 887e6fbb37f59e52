import Base
import Concurrency

/// Facts about blobs and hosts that save a round trip next time. The type is pure and bounded.
struct BlobHints {
    struct Redirect: Equatable {
        var url: String
        /// The time from which the redirect is not used, in seconds since 1970.
        var end: Int64
    }

    private struct Entry {
        var size: UInt64?
        /// The last redirect of each host, keyed by the base of the host that redirected.
        var redirects: [String: Redirect] = [:]
        /// The hosts that do not have the blob, by base. The value is the time until which we rely on that.
        var missing: [String: MonotonicTime] = [:]
    }

    private var entries: BoundedCache<BlobLocation, Entry>
    /// The hosts whose storage does not support suffix ranges: Azure Blob Storage and its front ends.
    private var withoutSuffix: BoundedCache<String, Void>
    /// The hosts that support only one range per request: Amazon S3, Azure Blob Storage, and their front ends.
    private var withoutMultipleRanges: BoundedCache<String, Void>
    /// The origin of the last redirect of each host, keyed by the host's base.
    private var targets: BoundedCache<String, String>

    init(capacity: Int = 8192) {
        entries = BoundedCache(capacity: capacity)
        // Bounded, because hosts.toml can change any number of times while the daemon runs.
        withoutSuffix = BoundedCache(capacity: capacity)
        withoutMultipleRanges = BoundedCache(capacity: capacity)
        targets = BoundedCache(capacity: capacity)
    }

    func size(_ blob: BlobLocation) -> UInt64? { entries.peek(blob)?.size }

    mutating func learn(size: UInt64, of blob: BlobLocation) {
        update(blob) { $0.size = size }
    }

    /// Returns the URL that `host` last redirected to for `blob`, or `nil` if there is none that is valid at `now` (in
    /// seconds since 1970).
    func redirect(_ blob: BlobLocation, host: String, now: Int64) -> String? {
        guard let redirect = entries.peek(blob)?.redirects[host], now < redirect.end else { return nil }
        return redirect.url
    }

    mutating func learn(redirect: Redirect, of blob: BlobLocation, host: String) {
        update(blob) { $0.redirects[host] = redirect }
        targets[host] = RedirectTarget.origin(of: redirect.url)
    }

    /// Returns the origin (scheme, host and port) that `host` last redirected to for any blob, or `nil` if it never
    /// did.
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
