/// One host with a registry's content: the upstream or a mirror, from a `[host]` table of `hosts.toml` or containerd's
/// defaults.
public struct RegistryHost: Sendable, Hashable {
    public struct Capabilities: OptionSet, Sendable, Hashable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// Content by digest.
        public static let pull = Capabilities(rawValue: 1)
        /// Tags to digests; only for a host trusted to resolve them.
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

    /// `http` or `https`.
    public var scheme: String
    /// The host, and its port unless it is the scheme's default.
    public var authority: String
    /// The part before the repository name: `/v2` unless overridden.
    public var path: String
    public var capabilities: Capabilities
    /// Sent with every request to this host and to no other. They may be secrets: never log them.
    public var headers: [Header]
    public var tls: TLSSettings
    /// The time limit for a connection, in nanoseconds; `nil` for the client's default.
    public var dialTimeout: Duration?
    /// True if ``scheme`` is `http` but TLS is tried first, as in containerd since 1.7: for a loopback address on an
    /// arbitrary port, and for an `http` host with a TLS configuration. A server that does not answer in TLS gets plain
    /// HTTP.
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

    /// Scheme, host and path: the part of a URL before the repository name. Contains no secret.
    public var base: String { "\(scheme)://\(authority)\(path)" }

    var isPlain: Bool { scheme == "http" }

    /// True if this host stands in for `upstream` and must be told so (`ns=`), by containerd's rule.
    func isProxy(for upstream: String) -> Bool {
        guard authority != upstream else { return false }
        return !(upstream == "docker.io" && authority == "registry-1.docker.io")
    }
}

extension RegistryHost: CustomStringConvertible {
    public var description: String { base }
}

/// The trust in a host's certificate, and our own identity.
public struct TLSSettings: Sendable, Hashable {
    /// A PEM file and its modification time: a rotated certificate makes new connections.
    public struct File: Sendable, Hashable {
        public var path: String
        /// Nanoseconds since 1970.
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

    /// Trusted in addition to the system's.
    public var authorities: [File]
    /// Presented on request; only the first is used.
    public var clientCertificates: [ClientCertificate]
    /// True if any certificate is accepted.
    public var skipVerify: Bool

    public init(
        authorities: [File] = [], clientCertificates: [ClientCertificate] = [], skipVerify: Bool = false
    ) {
        self.authorities = authorities
        self.clientCertificates = clientCertificates
        self.skipVerify = skipVerify
    }

    /// The same trust without our identity, for the targets of redirects.
    var withoutIdentity: TLSSettings {
        TLSSettings(authorities: authorities, skipVerify: skipVerify)
    }
}
