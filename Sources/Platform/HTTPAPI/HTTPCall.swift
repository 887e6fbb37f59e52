import AsyncHTTPClient
import NIOCore
public import NIOHTTP1
import NIOPosix

/// A client for Rivulet's own HTTP services. Each request has its own connection, because callers make few requests.
public enum HTTPCall {
    /// A response. Its status may be an error.
    public struct Answer: Sendable {
        public let status: UInt
        public let body: [UInt8]

        /// The first line of the body as text, at most 1000 bytes. The text may contain control characters, so do not
        /// print it to a terminal.
        public var firstLine: String {
            String(decoding: body.prefix(1000).prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        }
    }

    /// The time limit for the head of the response, and for each pause between two pieces of the response's body.
    private static let patience = TimeAmount.seconds(30)

    /// Sends a request and reads the response.
    ///
    /// - Parameter maximum: the maximum size of the response's body in bytes.
    /// - Throws: `NIOTooManyBytesError` if the response's body is larger than `maximum`; otherwise the HTTP client's
    ///   error.
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
        // Report an absent service at once.
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

    /// Returns true if `error` is a timeout.
    public static func isTimeout(_ error: any Error) -> Bool {
        guard let error = error as? HTTPClientError else { return false }
        return error == .deadlineExceeded || error == .readTimeout || error == .connectTimeout
    }
}
