import Base
import Glibc
import NIOPosix

/// A source of credentials from docker's `config.json`: `auths`, `credHelpers` and `credsStore`.
///
/// The source reads the file again for each request, so that rotated credentials take effect at once.
public struct DockerConfigCredentials: CredentialSource {
    /// The largest accepted file, in bytes.
    private static let maximumSize = 4 << 20

    /// The path of `config.json`.
    public let path: String
    private let helper: CredentialHelper

    /// - Parameters:
    ///   - path: the path of `config.json`; `nil` means `$DOCKER_CONFIG/config.json` if that variable is set, else
    ///     `$HOME/.docker/config.json`.
    ///   - helperDirectories: the directories to search for `docker-credential-*` programs; `nil` means `$PATH`.
    ///   - timeout: the time limit for one run of a helper.
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
        if let helperName = config.helper(for: request.host) {
            // Ask the helper for the first of the host's names. For Docker Hub that is its historical URL.
            if let found = try await helper.get(DockerConfig.names(of: request.host)[0], from: helperName) {
                return found
            }
        }
        return try config.credentials(for: request.host, path: path)
    }

    private func load() async throws(RegistryError) -> DockerConfig? {
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
            throw RegistryError(.configuration, "cannot read \(path)", cause: error)
        case .success(let bytes):
            guard let config = DockerConfig(bytes: bytes) else {
                throw RegistryError(.configuration, "\(path) is not a docker configuration file")
            }
            return config
        }
    }
}
