import FoundationEssentials
import Glibc
import HTTPAPI
import NIOHTTP1

/// A client of the conversion service's HTTP API. `ConversionRoutes` in `Conversion` is the server.
///
/// The initializer takes plain values and not ``ServiceOptions``, because only the argument parser can create
/// ``ServiceOptions``. Plain values also serve a command that declares its own options for the service.
struct ServiceClient: Sendable {
    /// The address of a service that was started without `--listen`.
    static let defaultURL = "http://127.0.0.1:7090"
    /// The largest accepted response body, in bytes.
    private static let maximumAnswer = 16 << 20

    private let base: String
    private let tokenFile: String?

    /// Creates a client.
    ///
    /// - Parameters:
    ///   - url: the service's URL; `nil` means `$RIVULET_SERVICE`, or ``defaultURL`` if that is not set.
    ///   - tokenFile: the file with the bearer token; `nil` if the service requires none. The client reads the file
    ///     again for each request.
    init(url: String?, tokenFile: String?) {
        let named = url ?? getenv("RIVULET_SERVICE").map { String(cString: $0) } ?? Self.defaultURL
        base = named.hasSuffix("/") ? String(named.dropLast()) : named
        self.tokenFile = tokenFile
    }

    /// Sends one request and decodes the JSON response.
    ///
    /// - Parameter parts: the components of the path after `/v1/`.
    func ask<Value: Decodable>(_ method: HTTPMethod, _ parts: [String], body: some Encodable) async throws -> Value {
        try await exchange(method, parts, body: Array(try JSONEncoder().encode(body)))
    }

    /// Sends one request without a body and decodes the JSON response.
    ///
    /// - Parameter parts: the components of the path after `/v1/`.
    func ask<Value: Decodable>(
        _ method: HTTPMethod, _ parts: [String], query: [String: String] = [:]
    ) async throws -> Value {
        try await exchange(method, parts, query: query)
    }

    private func exchange<Value: Decodable>(
        _ method: HTTPMethod, _ parts: [String], query: [String: String] = [:], body: [UInt8]? = nil
    ) async throws -> Value {
        var url = "\(base)/v1/" + parts.map(Self.encode).joined(separator: "/")
        let pairs = query.sorted { $0.key < $1.key }.map { "\($0.key)=\(Self.encode($0.value))" }
        if !pairs.isEmpty { url += "?" + pairs.joined(separator: "&") }
        var headers: HTTPHeaders = ["content-type": "application/json"]
        if let tokenFile {
            let token = String(decoding: try CommandFile.read(tokenFile, limit: 4096), as: UTF8.self)
            headers.add(name: "authorization", value: "Bearer \(token.trimmed)")
        }
        let answer: HTTPCall.Answer
        do {
            answer = try await HTTPCall.exchange(
                method, url, headers: headers, body: body, maximum: Self.maximumAnswer)
        } catch {
            let why = HTTPCall.isTimeout(error) ? "request timed out" : "\(error)"
            throw CommandFailure(
                .unreachable,
                "cannot reach the conversion service at \(base): \(why): check that rivulet serve-conversion is "
                    + "running, or set --service to its address")
        }
        switch answer.status {
        case 200...299: break
        case 401:
            throw CommandFailure(.denied, "the conversion service at \(base) requires a token: set --token-file")
        case 404: throw CommandFailure(.missing, answer.line)
        default: throw CommandFailure(.failed, answer.line)
        }
        do {
            return try JSONDecoder().decode(Value.self, from: Data(answer.body))
        } catch {
            throw CommandFailure(
                .failed, "the conversion service at \(base) sent a response that this rivulet cannot decode",
                cause: error)
        }
    }

    /// Percent-encodes everything but RFC 3986's unreserved characters and the colon.
    private static func encode(_ text: String) -> String {
        text.utf8.reduce(into: "") { result, byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"), UInt8(ascii: ":"):
                result.append(Character(UnicodeScalar(byte)))
            default:
                let digits = String(byte, radix: 16, uppercase: true)
                result += "%" + (digits.count < 2 ? "0" + digits : digits)
            }
        }
    }
}
