import AsyncHTTPClient
import Base
import NIOHTTP1

extension RegistryClient {
    /// The largest accepted image configuration, in bytes.
    public static let maximumConfigSize = 8 << 20

    /// Opens a stream over part of a blob. The method returns when the head of the response has arrived.
    ///
    /// - Parameters:
    ///   - priority: the urgency of the request. A background request may first wait for a permit
    ///     (``RegistryConfiguration/backgroundStreams``).
    ///   - knownSize: the blob's size in bytes from a descriptor; `nil` if the caller does not know it. The size saves
    ///     a round trip at servers that do not support suffix ranges. The client refuses a blob of another size.
    public func open(
        _ location: BlobLocation, _ selection: BlobSelection, priority: RequestPriority, knownSize: UInt64? = nil
    ) async throws(RegistryError) -> BlobStream {
        if case .range(let range) = selection, range.isEmpty {
            throw RegistryError(.rangeNotSatisfiable, "empty range of \(location)")
        }
        let permit = try await requester.permit(location.repository.host, priority)
        let opened = try await BlobAttempt.open(
            location, selection, priority: priority, knownSize: knownSize, by: requester)
        let ranges: [ByteRange]
        if case .ranges(let asked) = selection { ranges = asked } else { ranges = [opened.range] }
        return BlobStream(
            ranges: ranges, blobSize: opened.size, requester: requester, location: location, priority: priority,
            permit: permit, first: Guarded(opened), isOneByOne: ranges.count > 1 && !opened.reader.isMultipart)
    }

    /// Fetches a small blob, such as an image configuration, into memory and verifies its digest.
    ///
    /// - Throws: `tooLarge` if the blob is larger than `maximumSize` bytes. The client never keeps more than
    ///   `maximumSize` bytes in memory.
    public func blob(_ location: BlobLocation, maximumSize: Int) async throws(RegistryError) -> [UInt8] {
        try await requester.withHosts(of: location.repository, for: .pull, priority: .demand, blob: location) {
            host throws(RegistryError) in
            let response = try await self.requester.request(location, range: nil, from: host)
            guard response.status == .ok else {
                let error = StatusError.make(
                    response, doing: "\(host) for blob \(location.digest)", clock: self.requester.clock)
                await response.drain()
                throw error
            }
            let bytes = try await response.readBody(limit: maximumSize)
            self.counters.bytes.add(UInt64(bytes.count))
            guard Digest.of(bytes) == location.digest else {
                throw RegistryError(.digestMismatch, "\(host) sent bytes with another digest for blob \(location)")
            }
            return bytes
        }
    }
}
