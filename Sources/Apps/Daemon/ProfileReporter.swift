import HTTPAPI
import Images
import Linux
import Logging
import NIOHTTP1
import ServiceLifecycle
import Streaming

/// A service that reports the first reads of containers to the conversion service, which makes startup packs from the
/// reports.
///
/// If the conversion service is unreachable, only the report is lost.
struct ProfileReporter: Service {
    /// The maximum number of queued reports. If another report arrives, the reporter drops the oldest one.
    private static let maximumWaiting = 64
    /// The largest accepted response, in bytes.
    private static let maximumAnswer = 64 << 10

    private let service: String
    private let tokenFile: String?
    private let logger: Logger
    private let waiting: AsyncStream<ReportedProfile>
    private let queue: AsyncStream<ReportedProfile>.Continuation

    /// Creates a reporter.
    ///
    /// - Parameters:
    ///   - service: the conversion service's URL.
    ///   - tokenFile: the file with the service's token; `nil` for no token. The reporter reads the file again for each
    ///     report, because tokens change.
    ///   - logger: the logger, which receives one line for each report.
    init(service: String, tokenFile: String?, logger: Logger) {
        self.service = service
        self.tokenFile = tokenFile
        self.logger = logger
        (waiting, queue) = AsyncStream.makeStream(
            of: ReportedProfile.self, bufferingPolicy: .bufferingNewest(Self.maximumWaiting))
    }

    /// Queues a report.
    func report(_ profile: ReportedProfile) {
        queue.yield(profile)
    }

    func run() async throws {
        await withGracefulShutdownHandler {
            for await profile in waiting where !Task.isShuttingDownGracefully { await send(profile) }
        } onGracefulShutdown: {
            queue.finish()
        }
    }

    private func send(_ profile: ReportedProfile) async {
        let image = "\(profile.file.repository)@\(profile.manifest)"
        do {
            var headers: HTTPHeaders = ["content-type": "application/json"]
            if let tokenFile {
                let token = String(decoding: try Sys.readFile(tokenFile, limit: 4096), as: UTF8.self)
                headers.add(name: "authorization", value: "Bearer \(token.filter { !$0.isWhitespace })")
            }
            let answer = try await HTTPCall.exchange(
                .POST, "\(service)/v1/profiles?image=\(image)", headers: headers, body: try profile.file.encoded(),
                maximum: Self.maximumAnswer)
            let isTaken = (200..<300).contains(answer.status)
            logger.log(
                level: isTaken ? .info : .warning, isTaken ? "profile reported" : "profile report refused",
                metadata: [
                    "image": "\(image)", "service": "\(service)", "status": "\(answer.status)",
                    "answer": "\(answer.firstLine)",
                ])
        } catch {
            logger.warning(
                "failed to report a profile",
                metadata: ["image": "\(image)", "service": "\(service)", "error": "\(error)"])
        }
    }
}
