import Base

/// An error in the exchange with a registry.
///
/// The message names the image, host, file or digest. It never contains a credential, a token, or the query of a signed
/// URL. Most modules use ``Failure`` as their error type. This module has its own type, because retries need the HTTP
/// status and the wait that the server asked for.
public struct RegistryError: Error, CustomStringConvertible {
    public enum Code: Hashable, Sendable {
        /// The text is not an image reference.
        case invalidReference
        /// The bytes are not a valid manifest, index or configuration.
        case invalidManifest
        /// The manifest cannot be streamed: Docker schema 1, an unknown media type, or an index in place of an image.
        case unsupportedManifest
        /// The index has no manifest for the platform.
        case noMatchingPlatform
        /// The digest of the bytes differs from the expected one.
        case digestMismatch
        /// The content is larger, or has more entries, than the client or the caller allows.
        case tooLarge
        /// No host has the requested content (404, 410).
        case notFound
        /// Credentials are missing or refused (401, 403).
        case unauthorized
        /// The registry throttled us (429, 503). ``RegistryError/retryAfter`` contains the wait that it asked for, if
        /// any.
        case rateLimited
        /// The server failed (5xx except 503), or timed out while it waited for the request (408).
        case serverError
        /// The server answered with a status that no other code covers. The client also uses this code if other clients
        /// kept overwriting our change to an image's list of referrers (the manifests that refer to the image).
        case unexpectedStatus
        /// The connection failed or broke.
        case connection
        /// We do not trust the server's certificate, or the server does not trust ours. The client also uses this code
        /// if the server demands a client certificate and none is configured. The message names the configured
        /// certificate files, if any.
        case untrusted
        /// The request made no progress in time: while connecting, before the first byte, or within a body.
        case timedOut
        /// The body of the response ended too early.
        case brokenBody
        /// The server sent the whole blob in response to a request for a range.
        case rangeIgnored
        /// The range lies outside the blob (416).
        case rangeNotSatisfiable
        /// The server violated HTTP or the distribution specification, with a wrong Content-Range or a malformed
        /// challenge, for example.
        case malformedAnswer
        /// The request had too many redirects, or a redirect or an upload URL led from https to http.
        case redirectRefused
        /// `hosts.toml`, a certificate or a credentials file is unusable. The message names the file and, if known, the
        /// line.
        case configuration
        /// A credential helper failed.
        case credentials
        /// The task was canceled.
        case cancelled
        /// The client has been shut down.
        case shutDown
    }

    /// The kind of error. Callers decide by this property how to react.
    public let code: Code
    /// A description for the operator.
    public let message: String
    /// The underlying error, if any.
    public let cause: (any Error)?
    /// The wait that the server asked for; `nil` if it asked for none.
    public var retryAfter: Duration?
    /// The HTTP status that caused the error; `nil` if none did.
    public var status: Int?

    public init(
        _ code: Code, _ message: String, cause: (any Error)? = nil, status: Int? = nil, retryAfter: Duration? = nil
    ) {
        self.code = code
        self.message = message
        self.cause = cause
        self.status = status
        self.retryAfter = retryAfter
    }

    public var description: String {
        guard let cause else { return message }
        return "\(message): \(cause)"
    }

    /// True if the same request may succeed later at the same host.
    public var isTransient: Bool {
        switch code {
        case .rateLimited, .serverError, .connection, .timedOut, .brokenBody: true
        default: false
        }
    }
}
