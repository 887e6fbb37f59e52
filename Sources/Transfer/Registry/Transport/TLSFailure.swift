import AsyncHTTPClient
import NIOSSL

/// The cause of a failed TLS connection: a certificate, or a server that does not speak TLS. Other causes have no case
/// here.
enum TLSFailure: Equatable {
    /// We do not trust the server's certificate, or it is for another host.
    case untrusted
    /// The server refuses our certificate, or demands a certificate although none is configured.
    case refused
    /// The server does not speak TLS. A handshake that times out counts as this failure, too, because a server without
    /// TLS may wait for more bytes instead of answering.
    case notTLS

    /// Classifies `error`. Returns `nil` if `error` has nothing to do with TLS, or has none of the three causes above.
    ///
    /// The initializer searches the description of `error` for BoringSSL's reason names, because NIOSSL exposes no
    /// reason numbers.
    init?(_ error: any Error) {
        if let error = error as? HTTPClientError {
            guard error == .tlsHandshakeTimeout else { return nil }
            self = .notTLS
            return
        }
        guard error is NIOSSLError || error is NIOSSLExtraError || error is BoringSSLError else { return nil }
        if (error as? NIOSSLExtraError) == .failedToValidateHostname {
            self = .untrusted
            return
        }
        let text = String(describing: error)
        if text.contains("CERTIFICATE_VERIFY_FAILED") {
            self = .untrusted
        } else if Self.alerts.contains(where: text.contains) {
            self = .refused
        } else if Self.otherProtocols.contains(where: text.contains) {
            self = .notTLS
        } else {
            return nil
        }
    }

    /// The alerts that a server sends if it refuses its client's certificate (RFC 8446 §6.2).
    private static let alerts = [
        "ALERT_CERTIFICATE_REQUIRED", "ALERT_BAD_CERTIFICATE", "ALERT_UNKNOWN_CA", "ALERT_CERTIFICATE_UNKNOWN",
        "ALERT_CERTIFICATE_EXPIRED", "ALERT_CERTIFICATE_REVOKED", "ALERT_UNSUPPORTED_CERTIFICATE",
        "ALERT_ACCESS_DENIED", "ALERT_HANDSHAKE_FAILURE",
    ]
    /// The reasons that BoringSSL reports if the server does not speak TLS. In the response of a plain HTTP server,
    /// BoringSSL finds other bytes in place of TLS's version number.
    private static let otherProtocols = ["WRONG_VERSION_NUMBER", "HTTP_REQUEST"]

    /// Returns the error to report. Its message begins with `place`. If the cause is a certificate, the message also
    /// names the configured certificate files.
    ///
    /// - Parameters:
    ///   - place: the failed request or connection.
    ///   - tls: the settings of the failed connection.
    ///   - cause: the underlying error.
    func error(at place: String, tls: TLSSettings, cause: any Error) -> RegistryError {
        switch self {
        case .untrusted:
            let files = tls.authorities.map(\.path)
            let trusted = files.isEmpty ? "" : " or of \(files.joined(separator: ", "))"
            return RegistryError(
                .untrusted,
                "\(place): the server's certificate is not signed by an authority of the system\(trusted), or is not for this host",
                cause: cause)
        case .refused:
            let own = tls.clientCertificates.first.map { "refuses the certificate \($0.certificate.path)" }
            return RegistryError(
                .untrusted,
                "\(place): the server \(own ?? "demands a client certificate, and none is configured for it")",
                cause: cause)
        case .notTLS:
            return RegistryError(.connection, "\(place): the server does not speak TLS", cause: cause)
        }
    }
}
