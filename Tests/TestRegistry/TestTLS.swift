import NIOSSL

/// The TLS settings of a ``TestRegistry``. All are paths of PEM files.
public struct TestTLS: Sendable {
    /// The server's certificate.
    public var certificate: String
    public var key: String
    /// Clients must show a certificate of this authority.
    public var clientAuthority: String?

    public init(certificate: String, key: String, clientAuthority: String? = nil) {
        self.certificate = certificate
        self.key = key
        self.clientAuthority = clientAuthority
    }

    func makeContext() throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(certificate).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: key, format: .pem)))
        if let clientAuthority {
            configuration.trustRoots = .file(clientAuthority)
            // A client has no name to compare.
            configuration.certificateVerification = .noHostnameVerification
        }
        return try NIOSSLContext(configuration: configuration)
    }
}
