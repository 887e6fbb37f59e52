import AsyncHTTPClient
import Base
import NIOCore
import NIOHTTP1

/// What a status that is not success means to us.
enum StatusError {
    /// - Parameter clock: for a `Retry-After` that is a date; the system's when `nil`.
    static func make(_ response: HTTPClientResponse, doing what: String, clock: RegistryClock?) -> RegistryError {
        let status = Int(response.status.code)
        let wait = retryAfter(response.headers.first(name: "retry-after"), clock: clock ?? .system)
        let message = "\(what) answered \(status)"
        return switch status {
        case 401, 403: RegistryError(.unauthorized, message, status: status)
        case 404, 410: RegistryError(.notFound, message, status: status)
        case 429, 503: RegistryError(.rateLimited, message, status: status, retryAfter: wait)
        case 408, 500...599: RegistryError(.serverError, message, status: status, retryAfter: wait)
        default: RegistryError(.unexpectedStatus, message, status: status)
        }
    }

    /// Nanoseconds; seconds and the three date forms of HTTP are understood (RFC 9110 §10.2.3).
    static func retryAfter(_ text: String?, clock: RegistryClock) -> UInt64? {
        guard let text = text?.trimmed, !text.isEmpty, text.utf8.count <= 64 else { return nil }
        if text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
            guard let seconds = UInt64(text) else { return .max }
            return seconds.multipliedReportingOverflow(by: 1_000_000_000).overflow ? .max : seconds * 1_000_000_000
        }
        guard let date = HTTPDate.secondsSince1970(text) else { return nil }
        let wait = date - clock.secondsSince1970()
        return wait <= 0 ? 0 : UInt64(wait) &* 1_000_000_000
    }
}

extension HTTPClientResponse {
    /// All of the body.
    ///
    /// - Throws: `tooLarge` beyond `limit`, without having kept more than that.
    func readBody(limit: Int) async throws(RegistryError) -> [UInt8] {
        if let text = headers.first(name: "content-length"), let length = UInt64(text), length > UInt64(limit) {
            throw RegistryError(.tooLarge, "answer of \(length) bytes is larger than \(limit)")
        }
        var bytes: [UInt8] = []
        do {
            for try await buffer in body {
                guard buffer.readableBytes <= limit - bytes.count else {
                    throw RegistryError(.tooLarge, "answer is larger than \(limit) bytes")
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

    /// Reads and drops a body of no interest so that its connection can be used again; a long one is cut off instead.
    func drain() async {
        _ = try? await readBody(limit: 64 << 10)
    }
}
