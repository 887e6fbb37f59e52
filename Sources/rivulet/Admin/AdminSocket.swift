import AsyncHTTPClient
import FoundationEssentials
import NIOCore
import NIOHTTP1
import NIOPosix
import Streaming
import SystemPackage

/// The daemon's admin socket from the other side: HTTP/1.1 over a unix socket. `AdminRoutes` in `Daemon` says what it
/// answers.
///
/// Each request has a connection of its own: a command makes few.
struct AdminSocket: Sendable {
    /// Where the daemon listens unless its configuration says otherwise (`[admin] address`).
    static let defaultPath = "/run/rivulet/admin.sock"
    /// In bytes, of a body. The longest that the daemon gives is a profile.
    static let maximumAnswer = ProfileFile.maximumSize
    /// Until the head of an answer, and again from one piece of its body to the next.
    private static let patience = TimeAmount.seconds(30)

    let path: String

    /// What came back, whatever the status.
    struct Answer: Sendable {
        let status: UInt
        let body: [UInt8]
    }

    /// One request for `target` (`/profiles`) and its answer.
    func exchange(
        _ method: HTTPMethod, _ target: String, body: [UInt8]? = nil
    ) async throws(CommandFailure) -> Answer {
        guard let url = URL(httpURLWithSocketPath: path, uri: target) else {
            throw CommandFailure(.unreachable, "cannot reach the daemon at \(path): no socket can have this name")
        }
        var request = HTTPClientRequest(url: url.absoluteString)
        request.method = method
        request.headers = ["host": "rivulet"]
        if let body { request.body = .bytes(ByteBuffer(bytes: body)) }
        let client = HTTPClient(
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton, configuration: Self.makeConfiguration())
        let outcome: Result<Answer, any Error>
        do {
            let response = try await client.execute(request, deadline: .now() + Self.patience)
            let bytes = try await response.body.collect(upTo: Self.maximumAnswer)
            outcome = .success(Answer(status: response.status.code, body: Array(bytes.readableBytesView)))
        } catch {
            outcome = .failure(error)
        }
        try? await client.shutdown()
        switch outcome {
        case .success(let answer): return answer
        case .failure(let error): throw translate(error)
        }
    }

    /// For an answer that is not the one that `what` should have had.
    func refusal(of what: String, _ answer: Answer) -> CommandFailure {
        let line = String(decoding: answer.body.prefix(1000).prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        return CommandFailure(
            .failed, "the daemon at \(path) answered \(what) with \(answer.status): \(line.printable)")
    }

    private static func makeConfiguration() -> HTTPClient.Configuration {
        var made = HTTPClient.Configuration()
        made.redirectConfiguration = .disallow
        made.timeout = .init(connect: .seconds(5), read: patience)
        made.httpVersion = .http1Only
        // A daemon that is not there is to be reported at once.
        made.connectionPool.retryConnectionEstablishment = false
        return made
    }

    private func translate(_ error: any Error) -> CommandFailure {
        switch error {
        case is NIOTooManyBytesError:
            return CommandFailure(
                .failed, "the daemon at \(path) answered with more than \(Self.maximumAnswer) bytes")
        case let error as IOError:
            return unreachable(Errno(rawValue: error.errnoCode))
        case let error as HTTPClientError
        where error == .deadlineExceeded || error == .readTimeout || error == .connectTimeout:
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
