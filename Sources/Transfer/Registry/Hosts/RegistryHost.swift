/// One host with a registry's content: the upstream or a mirror. It comes from a `[host]` table of `hosts.toml` or from
/// containerd's defaults.
public struct RegistryHost: Sendable, Hashable {
    public struct Capabilities: OptionSet, Sendable, Hashable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// The capability to return content by digest.
        public static let pull = Capabilities(rawValue: 1)
        /// The capability to resolve tags to digests, for a host that is trusted to do so.
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
    /// The host name, with the port unless it is the scheme's default.
    public var authority: String
    /// The part of the URL's path before the repository name: `/v2` unless overridden.
    public var path: String
    public var capabilities: Capabilities
    /// The headers of every request to this host, and to no other host. They may be secrets: never log them.
    public var headers: [Header]
    public var tls: TLSSettings
    /// The time limit for establishing a connection; `nil` means the client's default.
    public var dialTimeout: Duration?
    /// True if ``scheme`` is `http` but the client tries TLS first, as in containerd since 1.7. That applies to a
    /// loopback address on an arbitrary port, and to an `http` host with a TLS configuration. If the server does not
    /// speak TLS, the client uses plain HTTP.
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

    /// The part of a URL before the repository name: scheme, host and path. It contains no secret.
    public var base: String { "\(scheme)://\(authority)\(path)" }

    var isPlain: Bool { scheme == "http" }

    /// Returns true if this host stands in for `upstream` by containerd's rule. The client must then tell it the
    /// upstream (`ns=`).
    func isProxy(for upstream: String) -> Bool {
        guard authority != upstream else { return false }
        return !(upstream == "docker.io" && authority == "registry-1.docker.io")
    }
}

extension RegistryHost: CustomStringConvertible {
    public var description: String { base }
}

/// The trust in a host's certificate, and the identity that we present.
public struct TLSSettings: Sendable, Hashable {
    /// A PEM file and its modification time. A rotated certificate has another time, so it gets new connections.
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

    /// The certificates of authorities that we trust in addition to the system's.
    public var authorities: [File]
    /// The certificates that we present on request. Only the first is used.
    public var clientCertificates: [ClientCertificate]
    /// True if we accept any certificate.
    public var skipVerify: Bool

    public init(
        authorities: [File] = [], clientCertificates: [ClientCertificate] = [], skipVerify: Bool = false
    ) {
        self.authorities = authorities
        self.clientCertificates = clientCertificates
        self.skipVerify = skipVerify
    }

    /// The same settings without our identity, for the targets of redirects.
    var withoutIdentity: TLSSettings {
        TLSSettings(authorities: authorities, skipVerify: skipVerify)
    }
}
