import NIOSSL

extension TLSSettings {
    /// Reads the certificate files and returns the configuration for NIOSSL.
    ///
    /// - Throws: `configuration` if a file is missing or unusable.
    func makeConfiguration() throws(RegistryError) -> TLSConfiguration {
        var made = TLSConfiguration.makeClientConfiguration()
        if skipVerify { made.certificateVerification = .none }
        do {
            var extra: [NIOSSLCertificate] = []
            for file in authorities {
                let certificates = try NIOSSLCertificate.fromPEMFile(file.path)
                guard !certificates.isEmpty else {
                    throw RegistryError(.configuration, "\(file.path) contains no certificate")
                }
                extra += certificates
            }
            if !extra.isEmpty { made.additionalTrustRoots = [.certificates(extra)] }
        } catch {
            throw Self.unusable(authorities.map(\.path), error)
        }
        if let client = clientCertificates.first {
            do {
                made.certificateChain = try NIOSSLCertificate.fromPEMFile(client.certificate.path).map {
                    .certificate($0)
                }
                made.privateKey = .privateKey(try NIOSSLPrivateKey(file: client.key.path, format: .pem))
            } catch {
                throw Self.unusable([client.certificate.path, client.key.path], error)
            }
        }
        return made
    }

    private static func unusable(_ paths: [String], _ error: any Error) -> RegistryError {
        if let error = error as? RegistryError { return error }
        return RegistryError(.configuration, "cannot use \(paths.joined(separator: ", "))", cause: error)
    }
}
