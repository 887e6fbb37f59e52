import FoundationEssentials

/// The part of docker's `config.json` that deals with credentials: `auths`, `credHelpers` and `credsStore`.
package struct DockerConfig {
    private struct Wire: Decodable {
        var auths: [String: Entry]?
        var credHelpers: [String: String]?
        var credsStore: String?
    }

    private let wire: Wire

    /// Decodes a configuration file. Returns `nil` if the file is malformed. The initializer drops the decoder's error,
    /// because the error could quote a credential.
    package init?(bytes: [UInt8]) {
        guard let wire = try? JSONDecoder().decode(Wire.self, from: Data(bytes)) else { return nil }
        self.wire = wire
    }

    /// Returns the name of the credential helper for `host`, or `nil` if none is configured.
    package func helper(for host: String) -> String? {
        let name = Self.names(of: host).lazy.compactMap { wire.credHelpers?[$0] }.first ?? wire.credsStore
        return name.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Returns the credentials in `auths` for `host`, or `nil` if there are none.
    ///
    /// - Parameter path: the file's path, for the message of an error.
    /// - Throws: `configuration` if the entry for `host` is malformed.
    package func credentials(for host: String, path: String) throws(RegistryError) -> Credentials? {
        guard let auths = wire.auths else { return nil }
        let names = Self.names(of: host)
        for name in names {
            if let entry = auths[name] { return try entry.credentials(in: path, name: name) }
        }
        // A key may also be a URL: `https://registry.example/v1/`.
        for (key, entry) in auths.sorted(by: { $0.key < $1.key }) where names.contains(Self.host(ofKey: key)) {
            return try entry.credentials(in: path, name: key)
        }
        return nil
    }

    /// Returns the names under which `config.json` or a helper may store a host's credentials. The client asks a helper
    /// only for the first name. Docker Hub's first name is the URL of its version 1 index.
    static func names(of host: String) -> [String] {
        switch host {
        case "docker.io", "registry-1.docker.io", "index.docker.io":
            ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io"]
        default:
            [host]
        }
    }

    /// Returns the host that a key of `auths` names. The key may be a URL.
    private static func host(ofKey key: String) -> String {
        var rest = key[...]
        for scheme in ["https://", "http://"] where rest.hasPrefix(scheme) { rest = rest.dropFirst(scheme.count) }
        return String(rest.prefix { $0 != "/" })
    }

    private struct Entry: Decodable {
        var auth: String?
        var username: String?
        var password: String?
        var identitytoken: String?
        var registrytoken: String?

        func credentials(in path: String, name: String) throws(RegistryError) -> Credentials? {
            if let token = identitytoken, !token.isEmpty { return .refreshToken(Secret(token)) }
            if let token = registrytoken, !token.isEmpty { return .bearer(Secret(token)) }
            if let auth, !auth.isEmpty {
                guard let decoded = Data(base64Encoded: auth.trimmed),
                    let text = String(validating: decoded, as: UTF8.self), let colon = text.firstIndex(of: ":")
                else {
                    throw RegistryError(
                        .configuration, "\(path): the auth of \(quoted(name)) is not base64 of user:password")
                }
                var password = text[text.index(after: colon)...]
                // Old clients encoded a buffer of fixed size, which ends in NUL bytes.
                while password.last == "\0" { password = password.dropLast() }
                return .password(user: String(text[..<colon]), password: Secret(String(password)))
            }
            guard let username, !username.isEmpty, let password else { return nil }
            return .password(user: username, password: Secret(password))
        }
    }
}
