import AsyncHTTPClient
import Concurrency
import NIOCore
import NIOHTTP1

/// The conversion of unsuccessful HTTP responses to errors.
enum StatusError {
    /// Creates the error for a response.
    ///
    /// - Parameters:
    ///   - what: the server and the requested content. The error's message begins with this text.
    ///   - clock: the clock to which a `Retry-After` date is compared; `nil` means the system's clock.
    static func make(_ response: HTTPClientResponse, doing what: String, clock: (any TimeSource)?) -> RegistryError {
        let status = Int(response.status.code)
        let wait = retryAfter(response.headers.first(name: "retry-after"), clock: clock ?? SystemTime())
        let message = "\(what) answered \(status)"
        return switch status {
        case 401, 403: RegistryError(.unauthorized, message, status: status)
        case 404, 410: RegistryError(.notFound, message, status: status)
        case 429, 503: RegistryError(.rateLimited, message, status: status, retryAfter: wait)
        case 408, 500...599: RegistryError(.serverError, message, status: status, retryAfter: wait)
        default: RegistryError(.unexpectedStatus, message, status: status)
        }
    }

    /// Parses `Retry-After`: seconds, or any of the three date forms of HTTP (RFC 9110 §10.2.3). Returns `nil` if
    /// `text` is `nil` or malformed.
    static func retryAfter(_ text: String?, clock: any TimeSource) -> Duration? {
        guard let text = text?.trimmed, !text.isEmpty, text.utf8.count <= 64 else { return nil }
        if text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
            // Limit the wait to one year, because no server means a longer wait.
            return .seconds(min(Int64(text) ?? .max, 31_536_000))
        }
        guard let date = HTTPDate.secondsSince1970(text) else { return nil }
        return .seconds(max(0, date - clock.secondsSince1970))
    }
}

extension HTTPClientResponse {
    /// Reads the whole body.
    ///
    /// - Throws: `tooLarge` if the body has more than `limit` bytes. The method never keeps more than `limit` bytes in
    ///   memory.
    func readBody(limit: Int) async throws(RegistryError) -> [UInt8] {
        if let text = headers.first(name: "content-length"), let length = UInt64(text), length > UInt64(limit) {
            throw RegistryError(.tooLarge, "response of \(length) bytes exceeds \(limit)")
        }
        var bytes: [UInt8] = []
        do {
            for try await buffer in body {
                guard buffer.readableBytes <= limit - bytes.count else {
                    throw RegistryError(.tooLarge, "response exceeds \(limit) bytes")
                }
                bytes.append(contentsOf: buffer.readableBytesView)
            }
        } catch {
            let translated = HTTPTransport.translate(error, doing: "reading an answer")
            throw translated.code == .connection
                ? RegistryError(.brokenBody, "the answer broke off", cause: error) : translated
        }
        return bytes
    }

    /// Reads and drops the body, so that the client can reuse the connection. If the body has more than 64 KiB, the
    /// method stops reading, which closes the connection.
    func drain() async {
        _ = try? await readBody(limit: 64 << 10)
    }
}
