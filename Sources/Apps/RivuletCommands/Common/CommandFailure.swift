import ArgumentParser
import Artifacts
import Base
import Registry

/// A failure of a command: a message, and an exit code. The exit code is 1 or a code from sysexits.h.
struct CommandFailure: Error {
    enum Code: Int32 {
        case failed = 1
        case usage = 64
        /// The image, profile, operation or file does not exist, or the file cannot be read.
        case missing = 66
        /// The daemon, the registry, the conversion service or containerd is unreachable.
        case unreachable = 69
        /// The registry or the conversion service refuses the credentials.
        case denied = 77
    }

    let code: Code
    let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// Creates a failure whose message includes an underlying error.
    init(_ code: Code, _ message: String, cause: any Error) {
        self.init(code, "\(message): \(cause)".printable)
    }

    /// Creates a failure from any error. If `error` is a `CommandFailure`, the new failure is a copy of it.
    ///
    /// The code follows from a `RegistryError`, which is either `error` itself or the cause of an `ArtifactError`.
    /// Other errors get ``Code/failed``.
    init(_ error: any Error) {
        if let failure = error as? CommandFailure {
            self = failure
            return
        }
        let registry = error as? RegistryError ?? (error as? ArtifactError)?.cause as? RegistryError
        let code: Code =
            switch registry?.code {
            case .notFound: .missing
            case .unauthorized, .credentials: .denied
            case .connection, .timedOut, .rateLimited, .serverError: .unreachable
            case .invalidReference: .usage
            default: .failed
            }
        self.init(code, "\(error)")
    }
}

/// Runs the body of a command. If the body throws an error, writes the error's message to standard error as one line,
/// and throws the matching exit code.
func reporting(_ body: () async throws -> Void) async throws {
    do {
        try await body()
    } catch {
        let failure = CommandFailure(error)
        Output.error("rivulet: \(failure.message)")
        throw ExitCode(failure.code.rawValue)
    }
}
