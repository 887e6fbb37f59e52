import AsyncHTTPClient
import Base
import NIOCore
import NIOHTTP1

/// A body whose head has arrived.
struct OpenedBody {
    var reader: BodyReader
    /// What of the blob will be read from it, from the first byte to the last; where several ranges were asked for, with
    /// what lies between them, and perhaps not all of them.
    var range: ByteRange
    var size: UInt64
    /// The base of the host that it comes from.
    var host: String
}

extension RegistryClient {
    /// Largest image configuration that is read.
    public static let maximumConfigSize = 8 << 20
    /// So many bytes are read and dropped when a server ignores a range, before it is given up.
    static let cheapSkip: UInt64 = 1 << 20
    /// What lies between two ranges is read and dropped, where a host gives one range a request, up to so many bytes: about
    /// what a round trip is worth on most links.
    static let cheapGap: UInt64 = 256 << 10

    /// Opens a stream over part of a blob. Returns when the head of the answer has arrived.
    ///
    /// - Parameters:
    ///   - priority: who waits for it.
    ///   - knownSize: the blob's size if the caller knows it from a descriptor: saves a round trip where a server knows no
    ///     suffix ranges, and a blob of another size is refused.
    public func open(
        _ location: BlobLocation, _ selection: BlobSelection, priority: RequestPriority, knownSize: UInt64? = nil
    ) async throws(RegistryError) -> BlobStream {
        if case .range(let range) = selection, range.isEmpty {
            throw RegistryError(.rangeNotSatisfiable, "an empty range of \(location) was asked for")
        }
        let permit = try await permit(location.repository.host, priority)
        let opened = try await openBody(location, selection, priority: priority, knownSize: knownSize)
        let ranges: [ByteRange]
        if case .ranges(let asked) = selection { ranges = asked } else { ranges = [opened.range] }
        return BlobStream(
            ranges: ranges, blobSize: opened.size, client: self, location: location, priority: priority,
            permit: permit, first: Guarded(opened), isOneByOne: ranges.count > 1 && !opened.reader.isMultipart)
    }

    /// A small blob (an image configuration) in memory, its digest checked.
    ///
    /// - Throws: `tooLarge` when it is larger than `maximumSize` bytes, which are all that is ever kept of it.
    public func blob(_ location: BlobLocation, maximumSize: Int) async throws(RegistryError) -> [UInt8] {
        try await withHosts(location.repository, .pull, .demand, blob: location) { host throws(RegistryError) in
            let response = try await self.request(location, range: nil, from: host)
            guard response.status == .ok else {
                let error = StatusError.make(response, doing: "\(host) for blob \(location.digest)", clock: self.clock)
                await response.drain()
                throw error
            }
            let bytes = try await response.readBody(limit: maximumSize)
            self.counters.bytes.add(UInt64(bytes.count))
            guard Digest.of(bytes) == location.digest else {
                throw RegistryError(.digestMismatch, "\(host) gave other bytes for blob \(location)")
            }
            return bytes
        }
    }

    func openBody(
        _ location: BlobLocation, _ selection: BlobSelection, priority: RequestPriority, knownSize: UInt64?
    ) async throws(RegistryError) -> OpenedBody {
        try await withHosts(location.repository, .pull, priority, blob: location) { host throws(RegistryError) in
            var attempt = BlobAttempt(client: self, location: location, host: host, knownSize: knownSize)
            return try await attempt.open(selection)
        }
    }

    /// One request for a blob: at the place where `host` sent us last time, if that is still good, else at `host` itself.
    func request(
        _ location: BlobLocation, range: String?, from host: RegistryHost, method: HTTPMethod = .GET
    ) async throws(RegistryError) -> HTTPClientResponse {
        let call = RegistryCall(
            repository: location.repository, method: method, path: "/blobs/\(location.digest)", range: range)
        let now = clock.secondsSince1970()
        let remembered = memory.withLock { $0.redirect(location, host: host.base, now: now) }
        if let remembered {
            do throws(RegistryError) {
                let response = try await exchange(call, with: remembered, for: host)
                // 403 is how S3, Azure and Google say that a signature has run out; S3 says 400 when the session behind it
                // has; 404 and 410 come from caches that moved on.
                let isStale =
                    (300..<500).contains(response.status.code) && ![408, 416, 429].contains(response.status.code)
                if !isStale { return response }
                await response.drain()
            } catch {
                guard error.code == .connection || error.code == .timedOut else { throw error }
            }
            memory.withLock { $0.forgetRedirect(location, host: host.base) }
        }
        counters.blobRequests.add()
        let (response, target) = try await sendFollowing(call, to: host)
        if let target, [200, 206, 416].contains(response.status.code) {
            let end = RedirectExpiry.end(url: target.url, cacheControl: target.cacheControl, now: now)
            if end > now {
                memory.withLock {
                    $0.learn(redirect: BlobHints.Redirect(url: target.url, end: end), of: location, host: host.base)
                }
            }
        }
        return response
    }
}
