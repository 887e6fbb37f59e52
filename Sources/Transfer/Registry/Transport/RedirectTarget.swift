import FoundationEssentials

/// The target of a redirect.
package struct RedirectTarget: CustomStringConvertible {
    package var url: String
    package var cacheControl: String?

    /// The longest accepted URL, in bytes. Presigned URLs with session tokens have around 2 KiB.
    private static let maximumLength = 16 << 10

    /// Creates the target of a redirect. Returns `nil` if `location` is not a usable URL.
    ///
    /// - Parameters:
    ///   - location: the Location header, absolute or relative.
    ///   - base: the URL of the request.
    ///   - cacheControl: the Cache-Control header of the redirect; `nil` if it has none.
    package init?(_ location: String, from base: String, cacheControl: String?) {
        guard location.utf8.count <= Self.maximumLength, let baseURL = URL(string: base),
            let resolved = URL(string: location, relativeTo: baseURL)?.absoluteURL,
            let scheme = resolved.scheme?.lowercased(), scheme == "https" || scheme == "http",
            resolved.host?.isEmpty == false, resolved.user == nil
        else { return nil }
        // Keep an absolute location byte for byte, because a presigned URL's signature covers the percent-escapes.
        url = location.contains("://") ? location : resolved.absoluteString
        self.cacheControl = cacheControl
    }

    var isSecure: Bool { url.lowercased().hasPrefix("https://") }

    var origin: String { Self.origin(of: url) }

    /// Returns the scheme, host and port of a URL.
    static func origin(of url: String) -> String {
        guard let parsed = URL(string: url), let scheme = parsed.scheme?.lowercased() else { return url }
        let port = parsed.port ?? (scheme == "https" ? 443 : 80)
        return "\(scheme)://\(parsed.host?.lowercased() ?? ""):\(port)"
    }

    /// The URL without its query, because the query may be a credential.
    package var description: String { url.withoutQuery }
}
