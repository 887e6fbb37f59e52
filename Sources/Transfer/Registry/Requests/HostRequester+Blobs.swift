import AsyncHTTPClient
import Base
import Concurrency
import NIOHTTP1

extension HostRequester {
    /// Requests a blob, or a range of it, and returns the response. If an earlier redirect of `host` for this blob is
    /// still valid, the method sends the request to the target of that redirect. Otherwise, the method sends the
    /// request to `host`.
    ///
    /// If the target does not respond, the method sends the request again, this time to `host`. The method does the
    /// same if the target's status suggests that the redirect has expired: 3xx, or 4xx except 408, 416 and 429.
    ///
    /// - Parameter range: the value of the Range header; `nil` requests the whole blob.
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
                // S3, Azure and Google answer 403 to an expired signature. S3 answers 400 if the session that the
                // signature belongs to has expired. Caches that no longer have the blob answer 404 or 410.
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
