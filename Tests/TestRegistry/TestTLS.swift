import NIOSSL

/// The TLS settings of a ``TestRegistry``. All values are paths of PEM files.
public struct TestTLS: Sendable {
    /// The server's certificate. ``key`` is its private key.
    public var certificate: String
    public var key: String
    /// The authority that must have signed the client's certificate; `nil` if the server demands none.
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
            // A client has no host name to compare.
            configuration.certificateVerification = .noHostnameVerification
        }
        return try NIOSSLContext(configuration: configuration)
    }
}
