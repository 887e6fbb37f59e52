import AsyncHTTPClient
import Base
import NIOCore
import NIOHTTP1

extension HostRequester {
    /// The maximum number of redirects to follow for one request.
    private static let maximumRedirects = 5

    /// Sends `call` to `host` with the authentication that the host demands. If the host answers 401, the method asks
    /// for credentials, fetches a new token and repeats the request once. The method does not follow redirects.
    ///
    /// - Parameter url: the URL of the request; `nil` means the URL of `call` at `host`.
    func send(
        _ call: RegistryCall, to host: RegistryHost, url: String? = nil
    ) async throws(RegistryError) -> HTTPClientResponse {
        let authorizer = authorizer(host, upstream: call.repository.host)
        let url = url ?? Self.url(call, host)
        var authorization = try await authorizer.header(for: call.repository)
        var isRepeated = false
        while true {
            var request = HTTPClientRequest(url: url)
            request.method = call.method
            add(call, to: &request)
            for header in host.headers { request.headers.replaceOrAdd(name: header.name, value: header.value) }
            if let authorization, !request.headers.contains(name: "authorization") {
                request.headers.add(name: "authorization", value: authorization.reveal())
            }
            let response = try await transport.exchange(
                request,
                key: HTTPTransport.Key(host),
                sending: call.body?.bytes.readableBytes ?? 0)
            guard response.status == .unauthorized, !isRepeated else { return response }
            let challenges = AuthChallenge.parse(response.headers["www-authenticate"])
            await response.drain()
            let renewed = try await authorizer.header(
                for: call.repository, afterChallenge: challenges, used: authorization)
            guard let renewed, renewed != authorization else {
                throw RegistryError(
                    .unauthorized, "\(host) demands credentials for \(call.repository), and none are configured",
                    status: 401)
            }
            authorization = renewed
            isRepeated = true
        }
    }

    /// Sends `call` with ``send(_:to:url:)``, and follows redirects.
    ///
    /// After a redirect to another origin, the request has neither `Authorization` nor the configured headers. S3 and
    /// Azure refuse a presigned URL together with `Authorization`. They also must not learn our credentials.
    ///
    /// - Returns: the final response, and the redirect target that sent it. The target is `nil` if no redirect led to
    ///   another origin.
    func sendFollowing(
        _ call: RegistryCall, to host: RegistryHost
    ) async throws(RegistryError) -> (response: HTTPClientResponse, target: RedirectTarget?) {
        var response = try await send(call, to: host)
        var url = Self.url(call, host)
        var target: RedirectTarget?
        var hops = 0
        while Self.isRedirect(response.status) {
            hops += 1
            guard hops <= Self.maximumRedirects else {
                throw RegistryError(.redirectRefused, "\(host) redirects more than \(Self.maximumRedirects) times")
            }
            guard let location = response.headers.first(name: "location"),
                let next = RedirectTarget(
                    location, from: url, cacheControl: response.headers.first(name: "cache-control"))
            else {
                throw RegistryError(
                    .malformedAnswer, "\(host) redirects without a usable Location", status: Int(response.status.code))
            }
            guard next.isSecure || host.isPlain else {
                throw RegistryError(.redirectRefused, "\(host) redirects from https to http: \(next)")
            }
            await response.drain()
            url = next.url
            if target == nil && next.origin == RedirectTarget.origin(of: host.base) {
                response = try await send(call, to: host, url: url)
            } else {
                // After a redirect to another origin, never send our credentials again. A foreign host must not make us
                // use them by redirecting back.
                target = next
                response = try await exchange(call, with: next.url, for: host)
            }
        }
        return (response, target)
    }

    /// Sends `call` to a server other than `host`, such as the target of a redirect, without our credentials.
    ///
    /// - Parameters:
    ///   - url: the URL of the request at the other server.
    ///   - host: the host that named the URL. Its TLS settings apply, except for client certificates.
    func exchange(
        _ call: RegistryCall, with url: String, for host: RegistryHost
    ) async throws(RegistryError) -> HTTPClientResponse {
        var request = HTTPClientRequest(url: url)
        request.method = call.method
        add(call, to: &request)
        counters.redirectedRequests.add()
        return try await transport.exchange(
            request, key: HTTPTransport.Key(targetOf: host),
            sending: call.body?.bytes.readableBytes ?? 0)
    }

    private func add(_ call: RegistryCall, to request: inout HTTPClientRequest) {
        request.headers.add(name: "user-agent", value: configuration.userAgent)
        request.headers.add(name: "accept", value: call.accept.isEmpty ? "*/*" : call.accept.joined(separator: ", "))
        if let range = call.range { request.headers.add(name: "range", value: range) }
        if let range = call.contentRange { request.headers.add(name: "content-range", value: range) }
        if let body = call.body {
            request.headers.add(name: "content-type", value: body.type)
            request.body = .bytes(body.bytes)
        }
    }

    static func url(_ call: RegistryCall, _ host: RegistryHost) -> String {
        let plain = "\(host.base)/\(call.repository.name)\(call.path)"
        guard host.isProxy(for: call.repository.host) else { return plain }
        // The parameter `ns` tells a mirror which registry the client wants. containerd's mirrors, Spegel, peerd and
        // AKS's proxy use it.
        return plain + (plain.contains("?") ? "&" : "?") + "ns=" + call.repository.host.percentEncoded
    }

    private static func isRedirect(_ status: HTTPResponseStatus) -> Bool {
        [301, 302, 303, 307, 308].contains(status.code)
    }
}
