import Base
import Concurrency

/// Remembered facts about blobs and hosts that save later requests a round trip. The number of entries is limited. The
/// type performs no I/O and reads no clock. It identifies a host by ``RegistryHost/base``.
struct BlobHints {
    struct Redirect: Equatable {
        var url: String
        /// The time at which the client stops using the redirect, in seconds since 1970.
        var end: Int64
    }

    private struct Entry {
        var size: UInt64?
        /// The last redirect for this blob from each host, keyed by the host that redirected.
        var redirects: [String: Redirect] = [:]
        /// The hosts that answered a request for the blob with "not found". The value is the time until which we rely
        /// on this answer.
        var missing: [String: MonotonicTime] = [:]
    }

    private var entries: BoundedCache<BlobLocation, Entry>
    /// The hosts whose storage does not support suffix ranges (the last n bytes), such as Azure Blob Storage and its
    /// front ends.
    private var withoutSuffix: BoundedCache<String, Void>
    /// The hosts that support only one range per request, such as registries that keep their blobs in Amazon S3 or
    /// Azure Blob Storage.
    private var withoutMultipleRanges: BoundedCache<String, Void>
    /// The origin (scheme, host and port) to which each host last redirected, keyed by the host that redirected.
    private var targets: BoundedCache<String, String>

    init(capacity: Int = 8192) {
        entries = BoundedCache(capacity: capacity)
        // These caches have a limit, because hosts.toml can name any number of hosts while the daemon runs.
        withoutSuffix = BoundedCache(capacity: capacity)
        withoutMultipleRanges = BoundedCache(capacity: capacity)
        targets = BoundedCache(capacity: capacity)
    }

    func size(_ blob: BlobLocation) -> UInt64? { entries.peek(blob)?.size }

    mutating func learn(size: UInt64, of blob: BlobLocation) {
        update(blob) { $0.size = size }
    }

    /// Returns the URL to which `host` last redirected for `blob`, or `nil` if there is none that is valid at `now` (in
    /// seconds since 1970).
    func redirect(_ blob: BlobLocation, host: String, now: Int64) -> String? {
        guard let redirect = entries.peek(blob)?.redirects[host], now < redirect.end else { return nil }
        return redirect.url
    }

    mutating func learn(redirect: Redirect, of blob: BlobLocation, host: String) {
        update(blob) { $0.redirects[host] = redirect }
        targets[host] = RedirectTarget.origin(of: redirect.url)
    }

    /// Returns the origin to which `host` last redirected for any blob, or `nil` if it never did.
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
