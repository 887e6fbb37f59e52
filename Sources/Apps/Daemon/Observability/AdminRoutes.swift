import Base
import FoundationEssentials
public import HTTPAPI
public import NodeDatabase
import Streaming

/// The routes of the admin socket:
///
/// - `GET /metrics`: the metrics page in Prometheus format
/// - `GET /healthz`: 200 while the kernel has the daemon's mount
/// - `GET /profiles`: a JSON list of the stored profiles, most recently stored first, with the keys `chain`,
///   `repository`, `entries` and `bytes`
/// - `GET /profiles/<chain ID>`: the chain's profile as a file (`docs/profiles.md`)
/// - `PUT /profiles`: stores the profile file that the request's body contains
public struct AdminRoutes: Sendable {
    /// The largest accepted request body, in bytes.
    public static let maximumBody = ProfileFile.maximumSize

    private let page: MetricsPage
    private let profiles: ProfileRecords
    private let isHealthy: @Sendable () -> Bool

    public init(page: MetricsPage, profiles: ProfileRecords, isHealthy: @escaping @Sendable () -> Bool) {
        self.page = page
        self.profiles = profiles
        self.isHealthy = isHealthy
    }

    /// Returns the response to `request`. Blocks while it reads or writes the database.
    public func answer(_ request: HTTPRequest) -> HTTPAnswer {
        let (parts, isRead) = (request.path, request.isRead)
        do {
            switch parts {
            case ["metrics"] where isRead:
                return HTTPAnswer(200, type: "text/plain; version=0.0.4", body: Array(page.render().utf8))
            case ["healthz"] where isRead:
                return isHealthy() ? .text(200, "ok") : .text(503, "not mounted")
            case ["profiles"] where isRead:
                return try listing()
            case ["profiles"] where request.method == "PUT":
                try profiles.keep(file: request.body)
                return .text(201, "kept")
            case _ where parts.count == 2 && parts[0] == "profiles" && isRead:
                guard let chain = Digest(hex: parts[1].utf8), let file = try profiles.file(of: chain) else {
                    return .text(404, "no profile of chain \(parts[1].prefix(100)): see /profiles")
                }
                return HTTPAnswer(200, type: "application/json", body: file)
            case ["metrics"], ["healthz"], ["profiles"],
                _ where parts.count == 2 && parts[0] == "profiles":
                return .text(405, "method \(request.method) not allowed")
            default: return .text(404, "try /metrics, /healthz or /profiles")
            }
        } catch let error as StreamingError {
            return .text(400, "\(error)")
        } catch {
            return .text(500, "\(error)")
        }
    }

    private struct Listed: Encodable {
        let chain: String
        let repository: String
        let entries: Int
        let bytes: UInt64
    }

    private func listing() throws -> HTTPAnswer {
        let listed = try profiles.all().map {
            Listed(
                chain: $0.chain.hex, repository: "\($0.repository)", entries: $0.profile.entries.count,
                bytes: $0.profile.byteCount)
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return HTTPAnswer(200, type: "application/json", body: Array(try encoder.encode(listed)))
    }
}
