import AsyncHTTPClient
import Base
import Concurrency
import NIOHTTP1

extension HostRequester {
    /// One request for a blob: at the place where `host` sent us last time, if that is still good, else at `host` itself.
    func request(
        _ location: BlobLocation, range: String?, from host: RegistryHost, method: HTTPMethod = .GET
    ) async throws(RegistryError) -> HTTPClientResponse {
        let call = RegistryCall(
            repository: location.repository, method: method, path: "/blobs/\(location.digest)", range: range)
        let now = clock.secondsSince1970
        let remembered = memory.withLock { $0.redirect(location, host: host.base, now: now) }
        if let remembered {
            do throws(RegistryError) {
                let response = try await exchange(call, with: remembered, for: host)
                // 403 is how S3, Azure and Google say that a signature has run out; S3 says 400 when the session behind it
                // has; 404 and 410 come from caches that moved on.
                let isStale =
                    (300..<500).contains(response.status.code) && ![408, 416, 429].contains(response.status.code)
                if !isStale { return response }
                await response.drain()
            } catch {
                guard error.code == .connection || error.code == .timedOut else { throw error }
            }
            memory.withLock { $0.forgetRedirect(location, host: host.base) }
        }
        counters.blobRequests.add()
        let (response, target) = try await sendFollowing(call, to: host)
        if let target, [200, 206, 416].contains(response.status.code) {
            let end = RedirectExpiry.end(url: target.url, cacheControl: target.cacheControl, now: now)
            if end > now {
                memory.withLock {
                    $0.learn(redirect: BlobHints.Redirect(url: target.url, end: end), of: location, host: host.base)
                }
            }
        }
        return response
    }
}
