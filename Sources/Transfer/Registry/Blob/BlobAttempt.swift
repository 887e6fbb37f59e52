import AsyncHTTPClient
import Base
import NIOHTTP1

/// One attempt to open part of a blob at one host. It works around hosts that ignore or refuse ranges.
struct BlobAttempt {
    /// The maximum number of requests in one attempt: the first request, a repeat after an ignored range, three
    /// requests for the blob's size, and one with an explicit range. The explicit range states its first and last byte.
    /// It replaces a suffix (the last n bytes of the blob).
    private static let maximumRequests = 6

    /// The maximum number of bytes to read and discard before the wanted range if a server ignores the range. If more
    /// bytes precede the wanted range, the attempt drops the response.
    private static let cheapSkip: UInt64 = 1 << 20
    /// The maximum distance, in bytes, between two wanted ranges that one request covers, if the host supports only one
    /// range per request. The client reads and discards the bytes in between. On most links, that takes about as long
    /// as a round trip.
    private static let cheapGap: UInt64 = 256 << 10

    let requester: HostRequester
    let location: BlobLocation
    let host: RegistryHost
    let knownSize: UInt64?
    private var requests = 0
    private var wasIgnored = false

    private init(requester: HostRequester, location: BlobLocation, host: RegistryHost, knownSize: UInt64?) {
        self.requester = requester
        self.location = location
        self.host = host
        self.knownSize = knownSize
    }

    /// Opens part of a blob at the first host that returns it. `knownSize` is the blob's size; `nil` if the caller does
    /// not know it.
    static func open(
        _ location: BlobLocation, _ selection: BlobSelection, priority: RequestPriority, knownSize: UInt64?,
        by requester: HostRequester
    ) async throws(RegistryError) -> OpenedBody {
        try await requester.withHosts(of: location.repository, for: .pull, priority: priority, blob: location) {
            host throws(RegistryError) in
            var attempt = BlobAttempt(requester: requester, location: location, host: host, knownSize: knownSize)
            return try await attempt.open(selection)
        }
    }

    private mutating func open(_ selection: BlobSelection) async throws(RegistryError) -> OpenedBody {
        var asked = try await prepared(selection)
        while true {
            let response = try await request(asked)
            switch response.status.code {
            case 200, 206, 416:
                let answer = try RangeAnswer(response, asked: asked)
                if let opened = try await use(answer, of: response, asked: &asked) { return opened }
            case 400, 405, 501:
                // Azure Blob Storage and some CDNs refuse suffix ranges and multiple ranges instead of ignoring them.
                switch asked {
                case .suffix(let count):
                    await response.drain()
                    asked = try await explicit(suffix: count, size: nil)
                case .ranges(let ranges):
                    await response.drain()
                    asked = oneByOne(ranges)
                case .range, .whole:
                    throw await refusal(response)
                }
            default:
                throw await refusal(response)
            }
        }
    }

    /// Adapts the selection to the kinds of ranges that this host supports. If the blob's size is known, the method
    /// also truncates a range that extends beyond the end of the blob.
    ///
    /// An explicit range states its first and last byte. Every server that supports ranges understands it. A suffix
    /// becomes an explicit range if the blob's size is known or the host does not support suffixes.
    ///
    /// - Throws: `rangeNotSatisfiable` if a suffix has no bytes, or if a range begins at or beyond the known end of the
    ///   blob. The method throws the same error if several ranges break a rule of ``BlobSelection/ranges(_:)``.
    private mutating func prepared(_ selection: BlobSelection) async throws(RegistryError) -> BlobSelection {
        let size = size
        let (refusesSuffix, base) = requester.memory.withLock { ($0.refusesSuffix(host.base), host.base) }
        switch selection {
        case .suffix(let count):
            if size != nil || refusesSuffix { return try await explicit(suffix: count, size: size, wasRefused: false) }
            guard count > 0 else { throw outside("no bytes") }
            return selection
        case .range(let range):
            guard let size else { return selection }
            guard range.offset < size else { throw outside("\(range)") }
            return .range(ByteRange(offset: range.offset, end: min(range.end, size)))
        case .ranges(let ranges):
            let ascending = ranges.sorted { $0.offset < $1.offset }
            guard let size, ranges.count <= BlobSelection.maximumRanges, let last = ascending.last, last.end <= size,
                ranges.allSatisfy({ !$0.isEmpty }),
                zip(ascending, ascending.dropFirst()).allSatisfy({ $0.end <= $1.offset })
            else { throw outside("\(ranges.count) ranges") }
            if ranges.count == 1 { return .range(last) }
            let isAlone = requester.memory.withLock { $0.refusesMultipleRanges(base) }
            return isAlone ? .range(Self.firstRun(of: ranges)) : selection
        case .whole:
            return .whole
        }
    }

    /// Returns the single range to request from a host that does not support multiple ranges. The single range begins
    /// with the first of `ranges`. It also covers each next range that begins 0 to ``cheapGap`` bytes after the end of
    /// the previous one. It ends before the first range for which this is not true.
    private static func firstRun(of ranges: [ByteRange]) -> ByteRange {
        var end = ranges.first?.end ?? 0
        for range in ranges.dropFirst() {
            guard range.offset >= end, range.offset - end <= Self.cheapGap else { break }
            end = range.end
        }
        return ByteRange(offset: ranges.first?.offset ?? 0, end: end)
    }

    /// Records that the host does not support multiple ranges, and returns the single range to request instead.
    private func oneByOne(_ ranges: [ByteRange]) -> BlobSelection {
        requester.memory.withLock { $0.learn(refusesMultipleRanges: host.base) }
        return .range(Self.firstRun(of: ranges))
    }

    /// The blob's size in bytes, or `nil` if it is unknown. The caller's value takes precedence over a remembered one.
    private var size: UInt64? { knownSize ?? requester.memory.withLock { $0.size(location) } }

    private func outside(_ what: String) -> RegistryError {
        RegistryError(.rangeNotSatisfiable, "\(what) of \(location): out of bounds", status: 416)
    }

    private mutating func request(_ asked: BlobSelection) async throws(RegistryError) -> HTTPClientResponse {
        requests += 1
        guard requests <= Self.maximumRequests else {
            throw RegistryError(
                .malformedAnswer,
                "\(host) gave no usable response for a range of \(location) in \(Self.maximumRequests) requests")
        }
        return try await requester.request(location, range: asked.header, from: host)
    }

    private func refusal(_ response: HTTPClientResponse) async -> RegistryError {
        let error = StatusError.make(response, doing: "\(host) for blob \(location.digest)", clock: requester.clock)
        await response.drain()
        return error
    }

    /// Returns the body of a response, or `nil` if the response is unusable. After `nil`, the caller sends another
    /// request for `asked`, which the method may have changed.
    private mutating func use(
        _ answer: RangeAnswer, of response: HTTPClientResponse, asked: inout BlobSelection
    ) async throws(RegistryError) -> OpenedBody? {
        switch answer {
        case .bytes(let range, let size):
            let reader = BodyReader(response.body, position: range.offset, skip: 0, counters: requester.counters)
            return try await opened(reader, range: range, announced: size, asked: asked)
        case .multipart(let boundary):
            let reader = BodyReader(response.body, boundary: boundary, counters: requester.counters)
            let (range, size) = try await reader.readPart(asked: asked)
            return try await opened(reader, range: range, announced: size, asked: asked)
        case .whole(let size):
            return try await useWhole(size, of: response, asked: &asked)
        case .unsatisfiable(let size):
            await response.drain()
            if case .ranges(let ranges) = asked {
                asked = oneByOne(ranges)
                return nil
            }
            guard case .suffix(let count) = asked else { throw outside("\(asked)") }
            asked = try await explicit(suffix: count, size: size)
            return nil
        }
    }

    /// Returns the body of a response that contains the whole blob. The client may have requested only part of the
    /// blob. Like ``use(_:of:asked:)``, the method may return `nil` and change `asked`.
    ///
    /// - Parameter announced: the blob's size in bytes from the response; `nil` if the response did not state it.
    private mutating func useWhole(
        _ announced: UInt64?, of response: HTTPClientResponse, asked: inout BlobSelection
    ) async throws(RegistryError) -> OpenedBody? {
        let wanted: ByteRange?
        let size = announced ?? self.size
        switch asked {
        case .whole: wanted = size.map { ByteRange(offset: 0, end: $0) }
        case .range(let range): wanted = size.map { ByteRange(offset: range.offset, end: min(range.end, $0)) } ?? range
        case .ranges: wanted = nil
        case .suffix(let count): wanted = size.map { ByteRange(offset: $0 - min(count, $0), end: $0) }
        }
        if let wanted, wanted.offset <= Self.cheapSkip {
            // If the blob's size is unknown, `opened` sends another request to find the size, while this body waits.
            let reader = BodyReader(
                response.body, position: wanted.offset, skip: wanted.offset, counters: requester.counters)
            return try await opened(reader, range: wanted, announced: announced, asked: asked)
        }
        // Skipping would read too many bytes, or this body cannot serve `asked`. Drop the response, which closes its
        // connection.
        requester.counters.abandoned.add()
        switch asked {
        case .suffix(let count):
            // About half of the servers that do not support suffix ranges support explicit ranges.
            asked = try await explicit(suffix: count, size: announced)
            return nil
        case .ranges(let ranges):
            asked = oneByOne(ranges)
            return nil
        case .whole:
            let found = try await probe()
            requester.memory.withLock { $0.learn(size: found, of: location) }
            return nil
        case .range:
            // The registry `distribution` answers 200 with a cold cache, and 206 once its storage is warm
            // (distribution#4667). So repeat the request once before failing.
            guard !wasIgnored else {
                throw RegistryError(
                    .rangeIgnored, "\(host) ignored the range and sent all of \(location)", status: 200)
            }
            wasIgnored = true
            return nil
        }
    }

    private mutating func opened(
        _ reader: BodyReader, range: ByteRange, announced: UInt64?, asked: BlobSelection
    ) async throws(RegistryError) -> OpenedBody {
        var size = announced
        if let announced, let known = knownSize, announced != known {
            throw RegistryError(
                .malformedAnswer, "\(host) reports \(announced) bytes for \(location), its descriptor \(known)")
        }
        // The header `bytes a-b/*` does not state the size. But a suffix ends at the end of the blob, so its end is the
        // size.
        if size == nil, case .suffix = asked { size = range.end }
        if size == nil { size = self.size }
        let total: UInt64
        if let size { total = size } else { total = try await probe() }
        requester.memory.withLock { $0.learn(size: total, of: location) }
        guard range.end <= total else { throw outside("\(range)") }
        // A server may send only the beginning of a range. The stream then requests the rest.
        var end = range.end
        switch asked {
        case .range(let wanted): end = min(wanted.end, total)
        case .ranges(let wanted):
            // If the body is not multipart, this host sends only one of several ranges. Remember that for later
            // requests.
            if !reader.isMultipart {
                requester.memory.withLock { $0.learn(refusesMultipleRanges: host.base) }
            } else {
                end = wanted.last?.end ?? range.end
            }
        case .suffix, .whole: end = total
        }
        return OpenedBody(
            reader: reader, range: ByteRange(offset: range.offset, end: end), size: total, host: host.base)
    }

    /// Returns the explicit range (first and last byte) of the blob's last `count` bytes. Requests the blob's size from
    /// the host if neither a response nor an earlier source has stated the size.
    ///
    /// - Parameters:
    ///   - given: the blob's size from a response; `nil` if the response did not state it.
    ///   - wasRefused: true if the host has just refused or ignored a suffix range. If ``knownSize`` is also `nil`, the
    ///     method records that the host does not support suffix ranges.
    /// - Throws: `rangeNotSatisfiable` if `count` is 0 or the blob is empty.
    private mutating func explicit(
        suffix count: UInt64, size given: UInt64?, wasRefused: Bool = true
    ) async throws(RegistryError) -> BlobSelection {
        if knownSize == nil, wasRefused { requester.memory.withLock { $0.learn(refusesSuffix: host.base) } }
        let found: UInt64
        if let size = given ?? size { found = size } else { found = try await probe() }
        requester.memory.withLock { $0.learn(size: found, of: location) }
        guard count > 0, found > 0 else { throw outside("the last \(count) bytes") }
        return .range(ByteRange(offset: found - min(count, found), end: found))
    }

    /// Requests the blob's size in bytes from the host.
    ///
    /// The method first requests one byte, because the Content-Range of the response usually states the size. If two
    /// such responses do not state the size, the method sends HEAD. HEAD is the last resort for two reasons: gcr.io
    /// answers HEAD without a Location header, and presigned S3 URLs (ghcr.io) do not permit HEAD.
    private mutating func probe() async throws(RegistryError) -> UInt64 {
        for _ in 0..<2 {
            // Try twice, because some servers ignore the first range and honor the second.
            if let size = try await probeByRange() { return size }
        }
        requests += 1
        let head = try await requester.request(location, range: nil, from: host, method: .HEAD)
        await head.drain()
        guard head.status == .ok, let size = head.headers.first(name: "content-length").flatMap({ UInt64($0) }) else {
            throw RegistryError(.malformedAnswer, "\(host) does not report the size of \(location)")
        }
        return size
    }

    private mutating func probeByRange() async throws(RegistryError) -> UInt64? {
        let first = BlobSelection.range(ByteRange(offset: 0, end: 1))
        let response = try await request(first)
        switch response.status.code {
        case 200, 206:
            let answer = try RangeAnswer(response, asked: first)
            switch answer {
            case .bytes(_, let size):
                await response.drain()
                return size
            case .whole(let size):
                return size
            case .multipart(let boundary):
                let reader = BodyReader(response.body, boundary: boundary, counters: requester.counters)
                return try await reader.readPart(asked: first).size
            case .unsatisfiable(let size):
                return size
            }
        case 416:
            // An empty blob has no first byte.
            await response.drain()
            return response.headers.first(name: "content-range").flatMap { ContentRange($0)?.size }
        default:
            throw await refusal(response)
        }
    }
}

extension RangeAnswer {
    fileprivate init(_ response: HTTPClientResponse, asked: BlobSelection) throws(RegistryError) {
        try self.init(status: Int(response.status.code), asked: asked) { response.headers.first(name: $0) }
    }
}
