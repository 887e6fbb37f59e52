import Base
import FoundationEssentials
import Glibc
import NIOPosix

/// A client of credential helpers: programs that are run as `docker-credential-<name> get`
/// (docker/docker-credential-helpers). The client writes the server's name to a helper's standard input, and reads JSON
/// from its standard output.
struct CredentialHelper: Sendable {
    /// The threads that wait for helpers. A thread is blocked until its helper has finished, so other work does not use
    /// these threads.
    private static let threads: NIOThreadPool = {
        let pool = NIOThreadPool(numberOfThreads: 2)
        pool.start()
        return pool
    }()

    let directories: [String]
    let timeout: Duration

    private struct Answer: Decodable {
        var Username: String
        var Secret: String
    }

    /// Returns the credentials for `server` from the helper `name`, or `nil` if the helper has none.
    func get(_ server: String, from name: String) async throws(RegistryError) -> Credentials? {
        let program = try locate(name)
        let run = HelperRun(program: program, input: server + "\n", timeout: timeout)
        let result: Result<HelperRun.Outcome, RegistryError>
        do {
            result = try await Self.threads.runIfActive {
                Result { () throws(RegistryError) in try run.perform() }
            }
        } catch {
            throw RegistryError(.cancelled, "cancelled before \(program) was run")
        }
        let outcome = try result.get()
        guard outcome.succeeded else {
            // Every helper prints this message and fails if it has no credentials for the server. That is not an error
            // for us.
            if String(decoding: outcome.output.prefix(256), as: UTF8.self).contains("credentials not found") {
                return nil
            }
            throw RegistryError(.credentials, "\(program) failed for \(server)")
        }
        // The output is a secret. Neither the output nor the decoder's error may enter our error message.
        guard let answer = try? JSONDecoder().decode(Answer.self, from: Data(outcome.output)) else {
            throw RegistryError(.credentials, "\(program) returned malformed credentials for \(server)")
        }
        // This user name, which no user can have, marks the secret as an identity token.
        if answer.Username == "<token>" { return .refreshToken(Registry.Secret(answer.Secret)) }
        return .password(user: answer.Username, password: Registry.Secret(answer.Secret))
    }

    private func locate(_ name: String) throws(RegistryError) -> String {
        let isPlain = { (byte: UInt8) in
            (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
                || byte == 0x2d || byte == 0x5f || byte == 0x2e
        }
        guard !name.isEmpty, name.utf8.count <= 128, name.utf8.allSatisfy(isPlain) else {
            throw RegistryError(.credentials, "\(quoted(name)) is not a valid name of a credential helper")
        }
        let program = "docker-credential-\(name)"
        for directory in directories where !directory.isEmpty {
            let path = directory + "/" + program
            if access(path, X_OK) == 0 { return path }
        }
        throw RegistryError(.credentials, "credential helper \(program) not found")
    }
}
