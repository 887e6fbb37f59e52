import Base
import FoundationEssentials
import Glibc
import NIOPosix

/// Credentials from docker's `config.json`: `auths`, `credHelpers` and `credsStore`.
///
/// The file is read each time credentials are wanted, so that one that was rotated is used at once.
public struct DockerConfigCredentials: CredentialSource {
    /// Largest file that is read.
    private static let maximumSize = 4 << 20

    /// The file.
    public let path: String
    private let helper: CredentialHelper

    /// - Parameters:
    ///   - path: `config.json`; when `nil`, that of `$DOCKER_CONFIG` or of `$HOME/.docker`.
    ///   - helperDirectories: where `docker-credential-*` programs are looked for; `$PATH` when `nil`.
    ///   - timeout: the longest run of a helper.
    public init(
        path: String? = nil, helperDirectories: [String]? = nil,
        timeout: Duration = RegistryTimeouts().helper
    ) {
        self.path = path ?? Self.standardPath()
        helper = CredentialHelper(
            directories: helperDirectories ?? Self.environment("PATH").split(separator: ":").map(String.init),
            timeout: timeout)
    }

    private static func environment(_ name: String) -> String {
        getenv(name).map { String(cString: $0) } ?? ""
    }

    private static func standardPath() -> String {
        let directory = environment("DOCKER_CONFIG")
        if !directory.isEmpty { return directory + "/config.json" }
        let home = environment("HOME")
        return (home.isEmpty ? "/root" : home) + "/.docker/config.json"
    }

    public func credentials(for request: CredentialRequest) async throws(RegistryError) -> Credentials? {
        guard let config = try await load() else { return nil }
        let names = Self.names(of: request.host)
        let helperName = names.lazy.compactMap { config.credHelpers?[$0] }.first ?? config.credsStore
        if let helperName, !helperName.isEmpty {
            // What helpers know is filed under the same names, Docker Hub's being the historical URL.
            if let found = try await helper.get(names[0], from: helperName) { return found }
        }
        guard let auths = config.auths else { return nil }
        for name in names {
            if let entry = auths[name] { return try entry.credentials(in: path, name: name) }
        }
        // Keys may be URLs: `https://registry.example/v1/`.
        for (key, entry) in auths.sorted(by: { $0.key < $1.key }) where names.contains(Self.host(ofKey: key)) {
            return try entry.credentials(in: path, name: key)
        }
        return nil
    }

    /// The names under which a host's credentials may be filed, the one to tell helpers first. Docker Hub's entry is called
    /// after its index of version 1.
    static func names(of host: String) -> [String] {
        switch host {
        case "docker.io", "registry-1.docker.io", "index.docker.io":
            ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io"]
        default:
            [host]
        }
    }

    /// The host in a key that is a URL.
    static func host(ofKey key: String) -> String {
        var rest = key[...]
        for scheme in ["https://", "http://"] where rest.hasPrefix(scheme) { rest = rest.dropFirst(scheme.count) }
        return String(rest.prefix { $0 != "/" })
    }

    private func load() async throws(RegistryError) -> Config? {
        let path = path
        let result: Result<[UInt8], SmallFile.Failure>
        do {
            result = try await NIOThreadPool.singleton.runIfActive {
                Result { () throws(SmallFile.Failure) in try SmallFile.read(path, limit: Self.maximumSize) }
            }
        } catch {
            throw RegistryError(.cancelled, "cancelled while reading \(path)")
        }
        switch result {
        case .failure(.missing):
            return nil
        case .failure(let error):
            throw RegistryError(.configuration, "\(path) cannot be read", cause: error)
        case .success(let bytes):
            // The decoder's error is not kept: it could quote a credential.
            guard let config = try? JSONDecoder().decode(Config.self, from: Data(bytes)) else {
                throw RegistryError(.configuration, "\(path) is not a docker configuration file")
            }
            return config
        }
    }

    private struct Config: Decodable {
        var auths: [String: Entry]?
        var credHelpers: [String: String]?
        var credsStore: String?
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
                // Written by old clients that encoded a fixed-size buffer.
                while password.last == "\0" { password = password.dropLast() }
                return .password(user: String(text[..<colon]), password: Secret(String(password)))
            }
            guard let username, !username.isEmpty, let password else { return nil }
            return .password(user: username, password: Secret(password))
        }
    }
}
