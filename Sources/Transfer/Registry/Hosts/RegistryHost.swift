/// One place where a registry's content can be had: the upstream or a mirror, as a `[host]` table of `hosts.toml` or
/// containerd's defaults describe it.
public struct RegistryHost: Sendable, Hashable {
    public struct Capabilities: OptionSet, Sendable, Hashable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// Content by digest.
        public static let pull = Capabilities(rawValue: 1)
        /// Tags to digests: only a host that is trusted to do so.
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
    /// Host, and port if it is not the scheme's own.
    public var authority: String
    /// What stands before the repository name: `/v2` unless overridden.
    public var path: String
    public var capabilities: Capabilities
    /// Sent with every request to this host and to nobody else. May hold secrets: never logged.
    public var headers: [Header]
    public var tls: TLSSettings
    /// How long connecting may take, in nanoseconds; `nil` for the client's default.
    public var dialTimeout: Duration?
    /// ``scheme`` is `http`, but TLS is tried first, as containerd does it from 1.7 on: for a loopback address on a port
    /// that says nothing, and where TLS is configured for a host that is given as `http`. A server that does not answer
    /// in TLS is spoken to without.
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

    /// Scheme, host and path: the part of a URL before the repository name. Holds no secret.
    public var base: String { "\(scheme)://\(authority)\(path)" }

    var isPlain: Bool { scheme == "http" }

    /// Whether this host stands in for `upstream` and must be told so (`ns=`), as containerd decides it.
    func isProxy(for upstream: String) -> Bool {
        guard authority != upstream else { return false }
        return !(upstream == "docker.io" && authority == "registry-1.docker.io")
    }
}

extension RegistryHost: CustomStringConvertible {
    public var description: String { base }
}

/// How a host proves who it is, and we to it.
public struct TLSSettings: Sendable, Hashable {
    /// A PEM file and when it was last written: a rotated certificate makes new connections.
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

    /// Trusted beside the system's.
    public var authorities: [File]
    /// Shown when asked for one; the first counts.
    public var clientCertificates: [ClientCertificate]
    /// Any certificate will do.
    public var skipVerify: Bool

    public init(
        authorities: [File] = [], clientCertificates: [ClientCertificate] = [], skipVerify: Bool = false
    ) {
        self.authorities = authorities
        self.clientCertificates = clientCertificates
        self.skipVerify = skipVerify
    }

    /// The same trust, without our own identity: for the targets of redirects.
    var withoutIdentity: TLSSettings {
        TLSSettings(authorities: authorities, skipVerify: skipVerify)
    }
}
