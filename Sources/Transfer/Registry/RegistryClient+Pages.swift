import AsyncHTTPClient
import Base
import NIOHTTP1

/// Paginated lists, in which each page links to the next (OCI distribution-spec 1.1).
extension RegistryClient {
    /// The maximum number of pages in one list. A list with more pages fails with `tooLarge`.
    private static let maximumPages = 64

    /// Returns all items of a list. Returns `nil` if the registry does not offer the list. The registry then answers
    /// the first request with 400, 404, 405 or 501.
    ///
    /// - Parameters:
    ///   - call: the request for the first page.
    ///   - capability: the capability that a host needs for this list.
    ///   - what: a description of the list's contents, for errors.
    ///   - limit: the maximum number of items. A longer list fails with `tooLarge`.
    ///   - decode: returns the items of one page, or `nil` if the page is malformed.
    func pages<Item>(
        _ call: RegistryCall, capability: RegistryHost.Capabilities, what: String, limit: Int,
        _ decode: ([UInt8]) -> [Item]?
    ) async throws(RegistryError) -> [Item]? {
        try await requester.withHosts(of: call.repository, for: capability, priority: .demand) {
            host throws(RegistryError) in
            var all: [Item] = []
            var url = HostRequester.url(call, host)
            for _ in 0..<Self.maximumPages {
                self.counters.manifestRequests.add()
                let response = try await self.requester.send(call, to: host, url: url)
                guard response.status == .ok else {
                    await response.drain()
                    // The specification demands 404 for an unsupported list. Some registries answer an unknown path
                    // with another status.
                    if all.isEmpty, [400, 404, 405, 501].contains(response.status.code) { return nil }
                    throw StatusError.make(response, doing: "\(host) for \(what)", clock: self.requester.clock)
                }
                let bytes = try await response.readBody(limit: ManifestDocument.maximumSize)
                guard let page = decode(bytes) else {
                    throw RegistryError(.malformedAnswer, "\(host) does not list \(what)")
                }
                all += page
                guard all.count <= limit else {
                    throw RegistryError(.tooLarge, "\(what): more than \(limit)")
                }
                guard let next = Self.nextPage(response.headers, after: url) else { return all }
                url = next
            }
            throw RegistryError(.tooLarge, "the list of \(what) does not end")
        }
    }

    /// Returns the next page's URL from `Link: <…>; rel="next"` (RFC 8288), or `nil` if no link leads to another page
    /// on the same server.
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
