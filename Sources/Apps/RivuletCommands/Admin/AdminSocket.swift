import AsyncHTTPClient
import FoundationEssentials
import HTTPAPI
import NIOCore
import NIOHTTP1
import Streaming
import SystemPackage

/// The daemon's admin socket from the other side: HTTP/1.1 over a unix socket. `AdminRoutes` in `Daemon` says what it
/// answers.
struct AdminSocket: Sendable {
    /// Where the daemon listens unless its configuration says otherwise (`[admin] address`).
    static let defaultPath = "/run/rivulet/admin.sock"
    /// In bytes, of a body. The longest that the daemon gives is a profile.
    static let maximumAnswer = ProfileFile.maximumSize
    let path: String

    /// One request for `target` (`/profiles`) and its answer.
    func exchange(
        _ method: HTTPMethod, _ target: String, body: [UInt8]? = nil
    ) async throws(CommandFailure) -> HTTPCall.Answer {
        guard let url = URL(httpURLWithSocketPath: path, uri: target) else {
            throw CommandFailure(.unreachable, "cannot reach the daemon at \(path): no socket can have this name")
        }
        do {
            return try await HTTPCall.exchange(
                method, url.absoluteString, headers: ["host": "rivulet"], body: body, maximum: Self.maximumAnswer)
        } catch {
            throw translate(error)
        }
    }

    /// For an answer that is not the one that `what` should have had.
    func refusal(of what: String, _ answer: HTTPCall.Answer) -> CommandFailure {
        CommandFailure(.failed, "the daemon at \(path) answered \(what) with \(answer.status): \(answer.line)")
    }

    private func translate(_ error: any Error) -> CommandFailure {
        switch error {
        case is NIOTooManyBytesError:
            return CommandFailure(
                .failed, "the daemon at \(path) answered with more than \(Self.maximumAnswer) bytes")
        case let error as IOError:
            return unreachable(Errno(rawValue: error.errnoCode))
        case let error where HTTPCall.isTimeout(error):
            return CommandFailure(
                .unreachable,
                "the daemon at \(path) does not answer in time: look at systemctl status rivuletd and at its log")
        default:
            return CommandFailure(.unreachable, "no sensible answer from the daemon at \(path)", cause: error)
        }
    }

    private func unreachable(_ reason: Errno) -> CommandFailure {
        let advice =
            switch reason {
            case .permissionDenied, .notPermitted: "the socket is root's: try it with sudo"
            default:
                "is rivuletd running (systemctl status rivuletd)? If its configuration has another address under "
                    + "[admin], name that with --socket"
            }
        return CommandFailure(.unreachable, "cannot reach the daemon at \(path): \(reason): \(advice)")
    }
}
