import Base
import Concurrency

/// The state of an ``Authorizer``: one host's challenge and tokens. Pure.
package struct TokenCache {
    /// What the host demands, once it has said so.
    enum Demand: Equatable {
        case bearer(realm: String, service: String, scopes: [String: String])
        case basic
    }

    /// Most repositories whose tokens are kept.
    private static let maximumTokens = 1024
    private(set) var demand: Demand?
    private var tokens = BoundedCache<String, Expiring<Secret>>(capacity: maximumTokens)

    package init() {}

    /// The `Authorization` value to use for `repository`, if there is one that is still good.
    mutating func header(repository: String, now: MonotonicTime) -> Secret? {
        tokens.value(of: repository, at: now)
    }

    /// The host has answered 401 with these challenges; Bearer is preferred. `false` when none is understood.
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

    /// The scope to ask for: what the challenge named, with pulling from the repository always in it.
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

    /// `header` has been refused: never use it again.
    mutating func forget(_ header: Secret, repository: String) {
        if tokens.peek(repository)?.value == header { tokens[repository] = nil }
    }
}
