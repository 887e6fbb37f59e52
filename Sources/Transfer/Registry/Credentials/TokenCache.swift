import Base
import Concurrency

/// The state of an ``Authorizer``: one host's challenge and tokens. Pure.
package struct TokenCache {
    /// The scheme that the host demands, once it has demanded one.
    enum Demand: Equatable {
        case bearer(realm: String, service: String, scopes: [String: String])
        case basic
    }

    /// The most repositories with a cached token.
    private static let maximumTokens = 1024
    private(set) var demand: Demand?
    private var tokens = BoundedCache<String, Expiring<Secret>>(capacity: maximumTokens)

    package init() {}

    /// Returns a valid `Authorization` value for `repository`, if one is cached.
    mutating func header(repository: String, now: MonotonicTime) -> Secret? {
        tokens.value(of: repository, at: now)
    }

    /// Records the challenges of a 401 response; Bearer is preferred. Returns `false` if none is supported.
    package mutating func learn(_ challenges: [AuthChallenge], repository: String) -> Bool {
        if let bearer = challenges.first(where: { $0.scheme == "bearer" && $0.parameters["realm"] != nil }) {
            var scopes: [String: String] = [:]
            if case .bearer(_, _, let known) = demand, known.count < Self.maximumTokens { scopes = known }
            if let scope = bearer.parameters["scope"], !scope.isEmpty { scopes[repository] = scope }
            demand = .bearer(
                realm: bearer.parameters["realm"] ?? "", service: bearer.parameters["service"] ?? "", scopes: scopes)
            return true
        }
        if challenges.contains(where: { $0.scheme == "basic" }) {
            demand = .basic
            return true
        }
        return false
    }

    /// Returns the scopes to request: the challenged one, and always pull from the repository.
    package static func scopes(repository: String, challenged: String?) -> [String] {
        let own = "repository:\(repository):pull"
        guard let challenged else { return [own] }
        let named = challenged.split(separator: " ").prefix(8).map(String.init)
        let coversOwn = named.contains { scope in
            let parts = scope.split(separator: ":")
            return parts.count >= 3 && parts.first == "repository"
                && parts.dropFirst().dropLast().joined(separator: ":") == repository
                && parts.last.map { $0.split(separator: ",").contains("pull") || $0 == "*" } == true
        }
        return coversOwn ? named : named + [own]
    }

    mutating func store(_ header: Secret, repository: String, expires: MonotonicTime) {
        tokens[repository] = Expiring(header, until: expires)
    }

    /// Drops `header` after the host refused it.
    mutating func forget(_ header: Secret, repository: String) {
        if tokens.peek(repository)?.value == header { tokens[repository] = nil }
    }
}
