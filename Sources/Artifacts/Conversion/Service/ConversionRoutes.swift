import Base
import FoundationEssentials
public import HTTPAPI
import Streaming

/// The HTTP routes of the conversion service. ``OpenAPI`` describes them for clients.
public struct ConversionRoutes: Sendable {
    /// The maximum size of a request body in bytes. Only the upload of a profile may be this large.
    public static let maximumBody = ProfileFile.maximumSize
    /// The maximum body size, in bytes, of requests other than the upload of a profile. Even a notification of a
    /// thousand events is smaller.
    private static let maximumQuestion = 1 << 20

    private let service: ConversionService
    private let token: [UInt8]?

    /// - Parameter token: the bearer token that requests must carry (`Authorization: Bearer …`); `nil` allows all
    ///   requests.
    public init(_ service: ConversionService, token: String?) {
        self.service = service
        self.token = token.map { Array($0.utf8) }
    }

    public func answer(_ request: HTTPRequest) async -> HTTPAnswer {
        if request.path == ["healthz"], request.isRead { return .text(200, "ok") }
        guard isAllowed(request) else { return .text(401, "token required: Authorization: Bearer …") }
        do {
            guard let answer = try await route(request) else {
                return .text(404, "there is no \(request.method) of this path: see /v1/openapi.json")
            }
            return answer
        } catch {
            let status =
                switch error.code {
                case .invalid: 400
                case .refused: 403
                case .notFound: 404
                case .isOver: 409
                case .storage: 500
                }
            return .text(status, "\(error)")
        }
    }

    private func route(_ request: HTTPRequest) async throws(ConversionError) -> HTTPAnswer? {
        guard request.path.first == "v1", request.path.count > 1 else { return nil }
        guard request.body.count <= Self.maximumQuestion || request.path[1] == "profiles" else {
            return .text(413, "a body of more than \(Self.maximumQuestion) bytes")
        }
        let rest = Array(request.path.dropFirst(2))
        switch (request.path[1], request.isRead ? "GET" : request.method) {
        case ("openapi.json", "GET") where rest.isEmpty:
            return HTTPAnswer(200, type: "application/json", body: Array(OpenAPI.document.utf8))
        case ("operations", "GET") where rest.isEmpty:
            return try json(
                200,
                try await service.operations(repository: request.query["repository"], image: request.query["image"]))
        case ("operations", "POST") where rest.isEmpty:
            return try json(202, try await service.start(try decode(ImageQuestion.self, request).image))
        case ("operations", "GET") where rest.count == 1:
            return try json(200, try await service.operation(rest[0]))
        case ("operations", "POST") where rest.count == 1 && rest[0].hasSuffix(":cancel"):
            return try json(200, try await service.cancel(String(rest[0].dropLast(7))))
        case ("repositories", "GET") where rest.isEmpty:
            return try json(200, try await service.streaming())
        case ("repositories", "GET"):
            return try json(200, try await service.streaming(rest.joined(separator: "/")))
        case ("repositories", "PUT") where !rest.isEmpty:
            let isOn = try decode(StreamingQuestion.self, request).streaming
            return try json(200, try await service.setStreaming(rest.joined(separator: "/"), isOn))
        case ("profiles", "POST") where rest.isEmpty:
            let file: ProfileFile
            do throws(StreamingError) {
                file = try ProfileFile(bytes: request.body)
            } catch {
                throw ConversionError(.invalid, "\(error)", cause: error)
            }
            let operation = try await service.learn(file, of: request.query["image"] ?? "")
            return try operation.map { (operation) throws(ConversionError) in try json(202, operation) }
                ?? .text(200, "nothing new")
        case ("notifications", "POST") where rest.isEmpty:
            service.takeNote(of: try PushNotification.events(in: request.body))
            return .text(202, "accepted")
        default: return nil
        }
    }

    private struct ImageQuestion: Decodable { let image: String }
    private struct StreamingQuestion: Decodable { let streaming: Bool }

    private func decode<Value: Decodable>(
        _ type: Value.Type, _ request: HTTPRequest
    ) throws(ConversionError) -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data(request.body))
        } catch {
            throw ConversionError(.invalid, "the body does not match /v1/openapi.json", cause: error)
        }
    }

    private func json(_ status: Int, _ value: some Encodable) throws(ConversionError) -> HTTPAnswer {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return HTTPAnswer(status, type: "application/json", body: Array(try encoder.encode(value)))
        } catch {
            throw ConversionError(.storage, "cannot encode the response", cause: error)
        }
    }

    /// Returns true if the request carries the token, or if the service requires none. The comparison does not reveal
    /// by its duration how many bytes match.
    private func isAllowed(_ request: HTTPRequest) -> Bool {
        guard let token else { return true }
        let given = request.headers["authorization"] ?? ""
        guard given.lowercased().hasPrefix("bearer ") else { return false }
        let shown = Array(given.dropFirst("bearer ".count).utf8)
        guard shown.count == token.count else { return false }
        return zip(shown, token).reduce(0 as UInt8) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
