import AsyncHTTPClient
import NIOCore
public import NIOHTTP1
import NIOPosix

/// One request to a service of ours, with a connection of its own: who asks makes few.
public enum HTTPCall {
    /// What came back, whatever the status.
    public struct Answer: Sendable {
        public let status: UInt
        public let body: [UInt8]

        /// The first line of its text, as it came: it must not reach a terminal like that.
        public var firstLine: String {
            String(decoding: body.prefix(1000).prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        }
    }

    /// Until the head of an answer, and again from one piece of its body to the next.
    private static let patience = TimeAmount.seconds(30)

    /// - Throws: what the client throws; `NIOTooManyBytesError` for an answer of more than `maximum` bytes.
    public static func exchange(
        _ method: HTTPMethod, _ url: String, headers: HTTPHeaders, body: [UInt8]? = nil, maximum: Int
    ) async throws -> Answer {
        var request = HTTPClientRequest(url: url)
        request.method = method
        request.headers = headers
        if let body { request.body = .bytes(ByteBuffer(bytes: body)) }
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        configuration.timeout = .init(connect: .seconds(5), read: patience)
        configuration.httpVersion = .http1Only
        // One that is not there is to be reported at once.
        configuration.connectionPool.retryConnectionEstablishment = false
        let client = HTTPClient(eventLoopGroup: MultiThreadedEventLoopGroup.singleton, configuration: configuration)
        let outcome: Result<Answer, any Error>
        do {
            let response = try await client.execute(request, deadline: .now() + patience)
            let bytes = try await response.body.collect(upTo: maximum)
            outcome = .success(Answer(status: response.status.code, body: Array(bytes.readableBytesView)))
        } catch {
            outcome = .failure(error)
        }
        try? await client.shutdown()
        return try outcome.get()
    }

    /// Whether the other side took too long.
    public static func isTimeout(_ error: any Error) -> Bool {
        guard let error = error as? HTTPClientError else { return false }
        return error == .deadlineExceeded || error == .readTimeout || error == .connectTimeout
    }
}
