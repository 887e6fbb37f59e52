import Base
import Concurrency

/// The state of an ``Authorizer``: the authentication that one host demands, and the cached `Authorization` values. The
/// type performs no I/O and reads no clock.
package struct TokenCache {
    /// The authentication that the host demands. `realm` is the URL of the token endpoint. `service` is the name by
    /// which the token endpoint knows the registry. `scopes` maps a repository's name to the last scope that the host
    /// demanded for the repository.
    enum Demand: Equatable {
        case bearer(realm: String, service: String, scopes: [String: String])
        case basic
    }

    /// The maximum number of repositories with a cached `Authorization` value. The same limit applies to the
    /// repositories with a scope in ``demand``.
    private static let maximumTokens = 1024
    private(set) var demand: Demand?
    private var tokens = BoundedCache<String, Expiring<Secret>>(capacity: maximumTokens)

    package init() {}

    /// Returns a valid `Authorization` value for `repository`, or `nil` if none is cached.
    mutating func header(repository: String, now: MonotonicTime) -> Secret? {
        tokens.value(of: repository, at: now)
    }

    /// Records the authentication that a 401 response demands, and prefers Bearer to Basic. Returns false if the client
    /// supports none of the challenges.
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

    /// Returns the scopes to request: at most the first 8 scopes that the host demanded, and in any case the right to
    /// pull from `repository`.
    ///
    /// - Parameter challenged: the scopes that the host demanded, separated by spaces; `nil` if the host demanded none.
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

    /// Drops `header` from the cache after the host refused it. If the cache already has a newer value, that value
    /// stays.
    mutating func forget(_ header: Secret, repository: String) {
        if tokens.peek(repository)?.value == header { tokens[repository] = nil }
    }
}
