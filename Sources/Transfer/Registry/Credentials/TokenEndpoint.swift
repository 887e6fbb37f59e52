import AsyncHTTPClient
import Base
import FoundationEssentials
import NIOCore
import NIOHTTP1

/// A client of a token endpoint, the server that exchanges credentials for Bearer tokens (distribution's "token
/// authentication" and "OAuth2" specifications).
struct TokenEndpoint {
    /// The largest accepted response, in bytes. Real responses have a few KiB.
    private static let maximumAnswer = 256 << 10

    let host: RegistryHost
    let transport: HTTPTransport
    let userAgent: String
    let counters: RegistryCounters

    /// Fetches a token for `scopes`. If `credentials` is `nil`, the request is anonymous.
    ///
    /// With credentials the client tries the OAuth2 POST first, then the older GET, as containerd does. Docker Hub, ACR
    /// (Azure) and Quay support POST. Other endpoints answer a POST with 404, 405 or 401, and ACR answers 400 if the
    /// password is not a service principal's. After one of these statuses the client sends the GET.
    ///
    /// - Parameters:
    ///   - realm: the URL of the token endpoint, from the registry's challenge.
    ///   - service: the name of the registry, from the same challenge.
    /// - Throws: `unauthorized` if the endpoint refuses the credentials, `malformedAnswer` if it returns no token, or
    ///   another error of the request.
    func fetch(
        realm: String, service: String, scopes: [String], credentials: Credentials?
    ) async throws(RegistryError) -> TokenAnswer {
        try check(realm)
        if let credentials {
            let response = try await post(realm, service: service, scopes: scopes, with: credentials)
            if response.status == .ok { return try await decode(response) }
            guard [400, 401, 404, 405].contains(response.status.code) else { throw await refusal(response) }
            _ = try? await response.readBody(limit: Self.maximumAnswer)
        }
        let response = try await get(realm, service: service, scopes: scopes, with: credentials)
        guard response.status == .ok else { throw await refusal(response) }
        return try await decode(response)
    }

    /// Checks the realm, which is the URL of the token endpoint. The realm must be an https URL. If the registry itself
    /// uses plain HTTP, the realm may also be an http URL. A registry behind TLS must not make us send a password in
    /// the clear.
    private func check(_ realm: String) throws(RegistryError) {
        guard realm.hasPrefix("https://") || (realm.hasPrefix("http://") && host.isPlain) else {
            throw RegistryError(
                .malformedAnswer,
                "\(host) names the token endpoint \(quoted(realm.withoutQuery)), which is not https")
        }
    }

    private var key: HTTPTransport.Key {
        HTTPTransport.Key(targetOf: host)
    }

    private func post(
        _ realm: String, service: String, scopes: [String], with credentials: Credentials
    ) async throws(RegistryError) -> HTTPClientResponse {
        var form = [("service", service), ("client_id", "rivulet"), ("scope", scopes.joined(separator: " "))]
        switch credentials {
        case .password(let user, let password):
            form += [("grant_type", "password"), ("username", user), ("password", password.reveal())]
        case .refreshToken(let token):
            form += [("grant_type", "refresh_token"), ("refresh_token", token.reveal())]
        case .bearer: break
        }
        var request = HTTPClientRequest(url: realm)
        request.method = .POST
        request.headers.add(name: "user-agent", value: userAgent)
        request.headers.add(name: "content-type", value: "application/x-www-form-urlencoded")
        request.body = .bytes(ByteBuffer(string: Self.encode(form)))
        counters.tokenRequests.add()
        return try await transport.exchange(request, key: key)
    }

    private func get(
        _ realm: String, service: String, scopes: [String], with credentials: Credentials?
    ) async throws(RegistryError) -> HTTPClientResponse {
        var query = scopes.map { ("scope", $0) }
        if !service.isEmpty { query.insert(("service", service), at: 0) }
        let separator = realm.contains("?") ? "&" : "?"
        var request = HTTPClientRequest(url: realm + separator + Self.encode(query))
        request.headers.add(name: "user-agent", value: userAgent)
        switch credentials {
        case .password(let user, let password):
            let header = BasicCredentials.header(user: user, password: password)
            request.headers.add(name: "authorization", value: header.reveal())
        case .refreshToken(let token):
            let header = BasicCredentials.header(user: "", password: token)
            request.headers.add(name: "authorization", value: header.reveal())
        case .bearer, nil: break
        }
        counters.tokenRequests.add()
        return try await transport.exchange(request, key: key)
    }

    private func decode(_ response: HTTPClientResponse) async throws(RegistryError) -> TokenAnswer {
        guard let answer = TokenAnswer(bytes: try await response.readBody(limit: Self.maximumAnswer)) else {
            throw RegistryError(.malformedAnswer, "the token endpoint of \(host) returned no token")
        }
        return answer
    }

    private func refusal(_ response: HTTPClientResponse) async -> RegistryError {
        let error = StatusError.make(
            response, doing: "the token endpoint of \(host)", clock: nil)
        _ = try? await response.readBody(limit: Self.maximumAnswer)
        // A token endpoint that answers 400, 404 or another unexpected status refuses the credentials.
        guard error.code == .unexpectedStatus || error.code == .notFound else { return error }
        return RegistryError(.unauthorized, error.message, status: error.status)
    }

    /// Encodes pairs of names and values as `application/x-www-form-urlencoded`.
    static func encode(_ pairs: [(String, String)]) -> String {
        pairs.map { $0.0.percentEncoded + "=" + $0.1.percentEncoded }.joined(separator: "&")
    }
}

enum BasicCredentials {
    static func header(user: String, password: Secret) -> Secret {
        let joined = Data((user + ":" + password.reveal()).utf8)
        return Secret("Basic " + joined.base64EncodedString())
    }
}
