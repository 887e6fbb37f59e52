import AsyncHTTPClient
import Base
import NIOHTTP1

/// Lists that come in pages, each with a link to the next (OCI distribution-spec 1.1).
extension RegistryClient {
    /// Pages of a list that are read.
    private static let maximumPages = 64

    /// All items of a list; `nil` when the registry does not have it.
    ///
    /// - Parameters:
    ///   - what: it is, for errors.
    ///   - limit: items that are taken at most: more is an error.
    ///   - decode: the items of one page; `nil` when it is none.
    func pages<Item>(
        _ call: RegistryCall, _ capability: RegistryHost.Capabilities, _ what: String, limit: Int,
        _ decode: ([UInt8]) -> [Item]?
    ) async throws(RegistryError) -> [Item]? {
        try await requester.withHosts(call.repository, capability, .demand) { host throws(RegistryError) in
            var all: [Item] = []
            var url = HostRequester.url(call, host)
            for _ in 0..<Self.maximumPages {
                self.counters.manifestRequests.add()
                let response = try await self.requester.send(call, to: host, url: url)
                guard response.status == .ok else {
                    await response.drain()
                    // 404 is what the specification asks for; others do not know the path and say so in their way.
                    if [400, 404, 405, 501].contains(response.status.code) { return nil }
                    throw StatusError.make(response, doing: "\(host) for \(what)", clock: self.requester.clock)
                }
                let bytes = try await response.readBody(limit: ManifestDocument.maximumSize)
                guard let page = decode(bytes) else {
                    throw RegistryError(.malformedAnswer, "\(host) does not list \(what)")
                }
                all += page
                guard all.count <= limit else {
                    throw RegistryError(.tooLarge, "\(what): there are more than \(limit)")
                }
                guard let next = Self.nextPage(response.headers, after: url) else { return all }
                url = next
            }
            throw RegistryError(.tooLarge, "the list of \(what) does not end")
        }
    }

    /// `Link: <…>; rel="next"` (RFC 8288), if it leads to the same server.
    private static func nextPage(_ headers: HTTPHeaders, after url: String) -> String? {
        for link in headers["link"] where link.contains("next") {
            guard let start = link.firstIndex(of: "<"), let end = link.firstIndex(of: ">"), start < end,
                let target = RedirectTarget(String(link[link.index(after: start)..<end]), from: url, cacheControl: nil),
                target.origin == RedirectTarget.origin(of: url), target.url != url
            else { continue }
            return target.url
        }
        return nil
    }
}
