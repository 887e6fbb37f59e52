public import Base

/// What can go wrong between Rivulet and a registry.
///
/// The message names the image, host, file or digest; it never holds a credential, a token, or the query of a signed
/// URL.
public struct RegistryError: ModuleError {
    public enum Code: Hashable, Sendable {
        /// The text is not an image reference.
        case invalidReference
        /// The bytes are not a manifest, index or configuration that the specifications allow.
        case invalidManifest
        /// A manifest of a kind that is not streamed: Docker schema 1, an unknown media type, an index where an image
        /// was asked for.
        case unsupportedManifest
        /// The index has no manifest for the platform.
        case noMatchingPlatform
        /// The bytes do not have the digest that names them.
        case digestMismatch
        /// Larger than the bound for its kind.
        case tooLarge
        /// No host has it (404).
        case notFound
        /// Credentials are missing or refused (401, 403).
        case unauthorized
        /// The registry asked to be left alone (429, 503). ``RegistryError/retryAfter`` says for how long, if it said so.
        case rateLimited
        /// Any other status that says the server is at fault or busy (408, 5xx).
        case serverError
        /// Any other status.
        case unexpectedStatus
        /// The connection could not be made, or broke.
        case connection
        /// One end does not trust the other's certificate; the message names the files that decide.
        case untrusted
        /// No progress within the bound: connecting, waiting for the first byte, or in the middle of a body.
        case timedOut
        /// The body ended before its end.
        case brokenBody
        /// The server sends the whole blob where a range was asked for.
        case rangeIgnored
        /// The range does not lie in the blob (416).
        case rangeNotSatisfiable
        /// The server broke HTTP or the distribution specification: a wrong Content-Range, a malformed challenge.
        case malformedAnswer
        /// Too many redirects, a redirect from https to http, or to something that is not HTTP.
        case redirectRefused
        /// `hosts.toml`, a certificate or a credentials file cannot be used; the message names the file and the line.
        case configuration
        /// A credential helper failed.
        case credentials
        /// The task was cancelled.
        case cancelled
        /// The client has been shut down.
        case shutDown
    }

    public let code: Code
    public let message: String
    public let cause: (any Error)?
    /// The wait that the server asked for.
    public var retryAfter: Duration?
    /// The HTTP status that caused the error.
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

    /// Whether the same request may succeed later, at the same host.
    public var isTransient: Bool {
        switch code {
        case .rateLimited, .serverError, .connection, .timedOut, .brokenBody: true
        default: false
        }
    }
}
