import Base

/// An error between Rivulet and a registry.
///
/// The message names the image, host, file or digest. It never contains a credential, a token, or the query of a signed
/// URL. A type of its own instead of a ``Failure``, because retries need the server's wait and status.
public struct RegistryError: Error, CustomStringConvertible {
    public enum Code: Hashable, Sendable {
        /// The text is not an image reference.
        case invalidReference
        /// The bytes are not a valid manifest, index or configuration.
        case invalidManifest
        /// A manifest that cannot be streamed: Docker schema 1, an unknown media type, or an index in place of an
        /// image.
        case unsupportedManifest
        /// The index has no manifest for the platform.
        case noMatchingPlatform
        /// The bytes have another digest than the one that names them.
        case digestMismatch
        /// Larger than the limit for its kind.
        case tooLarge
        /// No host has it (404).
        case notFound
        /// Credentials are missing or refused (401, 403).
        case unauthorized
        /// The registry throttled us (429, 503). ``RegistryError/retryAfter`` has its Retry-After, if any.
        case rateLimited
        /// Another status of a faulty or busy server (408, 5xx).
        case serverError
        /// Any other status.
        case unexpectedStatus
        /// The connection failed or broke.
        case connection
        /// One side does not trust the other's certificate; the message names the files that decide.
        case untrusted
        /// No progress in time: while connecting, before the first byte, or within a body.
        case timedOut
        /// The body was truncated.
        case brokenBody
        /// The server sent the whole blob in response to a range.
        case rangeIgnored
        /// The range lies outside the blob (416).
        case rangeNotSatisfiable
        /// The server violated HTTP or the distribution specification: a wrong Content-Range, a malformed challenge.
        case malformedAnswer
        /// Too many redirects, a redirect from https to http, or to something that is not HTTP.
        case redirectRefused
        /// `hosts.toml`, a certificate or a credentials file is unusable; the message names the file and the line.
        case configuration
        /// A credential helper failed.
        case credentials
        /// The task was cancelled.
        case cancelled
        /// The client has been shut down.
        case shutDown
    }

    /// The kind of failure, to branch on.
    public let code: Code
    /// A description for the operator.
    public let message: String
    /// The underlying error, if any.
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
