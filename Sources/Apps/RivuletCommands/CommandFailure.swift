import ArgumentParser
import Artifacts
import Registry

/// Why a command failed, and the code that it exits with (sysexits.h, but for 1).
struct CommandFailure: Error {
    enum Code: Int32 {
        case failed = 1
        case usage = 64
        /// No such image, profile or file.
        case missing = 66
        /// The daemon or the registry cannot be reached.
        case unreachable = 69
        /// The registry does not let us in.
        case denied = 77
    }

    let code: Code
    let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// With what lay beneath.
    init(_ code: Code, _ message: String, cause: any Error) {
        self.init(code, "\(message): \(cause)".printable)
    }

    /// For an error of any of our modules.
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

/// Runs the body of a command; what it throws is told on standard error in one line.
func reporting(_ body: () async throws -> Void) async throws {
    do {
        try await body()
    } catch {
        let failure = CommandFailure(error)
        Output.error("rivulet: \(failure.message)")
        throw ExitCode(failure.code.rawValue)
    }
}
