/// One host that serves a registry's content: a mirror, or the registry itself, called the upstream. The host's
/// settings come from `hosts.toml`, or else from containerd's defaults.
public struct RegistryHost: Sendable, Hashable {
    public struct Capabilities: OptionSet, Sendable, Hashable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// The capability to return content by digest.
        public static let pull = Capabilities(rawValue: 1)
        /// The capability to resolve tags to digests. Only a trusted host should have this capability, because the
        /// client cannot verify that a tag belongs to a digest.
        public static let resolve = Capabilities(rawValue: 2)
        public static let push = Capabilities(rawValue: 4)
        public static let referrers = Capabilities(rawValue: 8)
        public static let all: Capabilities = [.pull, .resolve, .push, .referrers]
    }

    public struct Header: Sendable, Hashable {
        public var name: String
        public var value: String

        public init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    /// The URL's scheme: `http` or `https`.
    public var scheme: String
    /// The host name, with the port if the configuration or the image reference states one.
    public var authority: String
    /// The part of the URL's path before the repository name: `/v2`, unless `hosts.toml` sets another one.
    public var path: String
    public var capabilities: Capabilities
    /// The headers that the client adds to every request to this host, and to no other host. They may be secrets: never
    /// log them.
    public var headers: [Header]
    public var tls: TLSSettings
    /// The time limit for establishing a connection; `nil` means the client's default.
    public var dialTimeout: Duration?
    /// True if ``scheme`` is `http` but the client tries TLS first, as in containerd since 1.7. If the server does not
    /// speak TLS, the client uses plain HTTP.
    ///
    /// This is true for a loopback upstream on a port other than 80 and 443, unless `hosts.toml` names a `server`. It
    /// is also true for an `http` host for which `hosts.toml` has TLS settings, except on an explicit port 80.
    public var mayBeSecure: Bool

    public init(
        scheme: String, authority: String, path: String = "/v2", capabilities: Capabilities = .all,
        headers: [Header] = [], tls: TLSSettings = TLSSettings(), dialTimeout: Duration? = nil,
        mayBeSecure: Bool = false
    ) {
        self.scheme = scheme
        self.authority = authority
        self.path = path
        self.capabilities = capabilities
        self.headers = headers
        self.tls = tls
        self.dialTimeout = dialTimeout
        self.mayBeSecure = mayBeSecure
    }

    /// The part of a request's URL before the repository name: scheme, host and path. It contains no secret.
    public var base: String { "\(scheme)://\(authority)\(path)" }

    var isPlain: Bool { scheme == "http" }

    /// Returns true if this host is a mirror of `upstream` and not the upstream itself, by containerd's rule. The
    /// client must then name the upstream in its requests, in the query parameter `ns`.
    func isProxy(for upstream: String) -> Bool {
        guard authority != upstream else { return false }
        return !(upstream == "docker.io" && authority == "registry-1.docker.io")
    }
}

extension RegistryHost: CustomStringConvertible {
    public var description: String { base }
}

/// The TLS settings for a host: the certificate authorities that we trust, and the client certificates that we present.
public struct TLSSettings: Sendable, Hashable {
    /// A PEM file and its modification time. If a certificate is rotated, the time changes, so the client opens new
    /// connections.
    public struct File: Sendable, Hashable {
        public var path: String
        /// The modification time, in nanoseconds since 1970.
        public var modified: Int64

        public init(path: String, modified: Int64) {
            self.path = path
            self.modified = modified
        }
    }

    public struct ClientCertificate: Sendable, Hashable {
        public var certificate: File
        public var key: File

        public init(certificate: File, key: File) {
            self.certificate = certificate
            self.key = key
        }
    }

    /// The files with the certificates of authorities that we trust, in addition to the system's authorities.
    public var authorities: [File]
    /// The certificates that we present if the server asks for one. The client uses only the first.
    public var clientCertificates: [ClientCertificate]
    /// True if we accept any server certificate.
    public var skipVerify: Bool

    public init(
        authorities: [File] = [], clientCertificates: [ClientCertificate] = [], skipVerify: Bool = false
    ) {
        self.authorities = authorities
        self.clientCertificates = clientCertificates
        self.skipVerify = skipVerify
    }

    /// The same settings without our client certificates, for the targets of redirects and for token endpoints.
    var withoutIdentity: TLSSettings {
        TLSSettings(authorities: authorities, skipVerify: skipVerify)
    }
}
