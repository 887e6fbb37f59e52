import AsyncHTTPClient
import FoundationEssentials
import HTTPAPI
import NIOCore
import NIOHTTP1
import Streaming
import SystemPackage

/// A client of the daemon's admin socket, which speaks HTTP/1.1 over a unix socket. `AdminRoutes` in `Daemon` is the
/// server.
struct AdminSocket: Sendable {
    /// The default path of the daemon's admin socket (`[admin] address` in its configuration).
    static let defaultPath = "/run/rivulet/admin.sock"
    /// The largest accepted response body, in bytes. The daemon's largest response is a profile.
    static let maximumAnswer = ProfileFile.maximumSize
    let path: String

    /// Sends one request for `target`, such as `/profiles`, and returns the response.
    func exchange(
        _ method: HTTPMethod, _ target: String, body: [UInt8]? = nil
    ) async throws(CommandFailure) -> HTTPCall.Answer {
        guard let url = URL(httpURLWithSocketPath: path, uri: target) else {
            throw CommandFailure(.unreachable, "cannot reach the daemon at \(path): not a valid name of a socket")
        }
        do {
            return try await HTTPCall.exchange(
                method, url.absoluteString, headers: ["host": "rivulet"], body: body, maximum: Self.maximumAnswer)
        } catch {
            throw translate(error)
        }
    }

    /// Returns the error for an unexpected response to the request `what`, such as `GET /profiles`.
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
                "the daemon at \(path) does not answer in time: check systemctl status rivuletd and its log")
        default:
            return CommandFailure(.unreachable, "invalid response from the daemon at \(path)", cause: error)
        }
    }

    private func unreachable(_ reason: Errno) -> CommandFailure {
        let advice =
            switch reason {
            case .permissionDenied, .notPermitted: "the socket belongs to root: try sudo"
            default:
                "check that rivuletd is running (systemctl status rivuletd). If its configuration has another "
                    + "[admin] address, set --socket to it"
            }
        return CommandFailure(.unreachable, "cannot reach the daemon at \(path): \(reason): \(advice)")
    }
}
