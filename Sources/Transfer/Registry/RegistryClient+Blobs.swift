import AsyncHTTPClient
import Base
import NIOHTTP1

extension RegistryClient {
    /// Largest image configuration that is read.
    public static let maximumConfigSize = 8 << 20

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
        let permit = try await requester.permit(location.repository.host, priority)
        let opened = try await BlobAttempt.open(
            location, selection, priority: priority, knownSize: knownSize, by: requester)
        let ranges: [ByteRange]
        if case .ranges(let asked) = selection { ranges = asked } else { ranges = [opened.range] }
        return BlobStream(
            ranges: ranges, blobSize: opened.size, requester: requester, location: location, priority: priority,
            permit: permit, first: Guarded(opened), isOneByOne: ranges.count > 1 && !opened.reader.isMultipart)
    }

    /// A small blob (an image configuration) in memory, its digest checked.
    ///
    /// - Throws: `tooLarge` when it is larger than `maximumSize` bytes, which are all that is ever kept of it.
    public func blob(_ location: BlobLocation, maximumSize: Int) async throws(RegistryError) -> [UInt8] {
        try await requester.withHosts(location.repository, .pull, .demand, blob: location) {
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
                throw RegistryError(.digestMismatch, "\(host) gave other bytes for blob \(location)")
            }
            return bytes
        }
    }
}
