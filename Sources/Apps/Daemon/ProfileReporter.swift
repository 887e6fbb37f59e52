import HTTPAPI
import Images
import Linux
import Logging
import NIOHTTP1
import ServiceLifecycle
import Streaming

/// Tells the conversion service what containers have read first, so that it can make startup packs of that. That it cannot be
/// reached costs nothing but the report.
struct ProfileReporter: Service {
    /// Reports that wait; of more the oldest are forgotten.
    private static let maximumWaiting = 64
    /// In bytes, of an answer.
    private static let maximumAnswer = 64 << 10

    private let service: String
    private let tokenFile: String?
    private let logger: Logger
    private let waiting: AsyncStream<ReportedProfile>
    private let queue: AsyncStream<ReportedProfile>.Continuation

    /// - Parameters:
    ///   - service: its URL.
    ///   - tokenFile: read for each report, as tokens change.
    init(service: String, tokenFile: String?, logger: Logger) {
        self.service = service
        self.tokenFile = tokenFile
        self.logger = logger
        (waiting, queue) = AsyncStream.makeStream(
            of: ReportedProfile.self, bufferingPolicy: .bufferingNewest(Self.maximumWaiting))
    }

    /// Has it sent soon.
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
                level: isTaken ? .info : .warning, isTaken ? "profile is reported" : "a profile is not taken",
                metadata: [
                    "image": "\(image)", "service": "\(service)", "status": "\(answer.status)",
                    "answer": "\(answer.firstLine)",
                ])
        } catch {
            logger.warning(
                "a profile cannot be reported",
                metadata: ["image": "\(image)", "service": "\(service)", "error": "\(error)"])
        }
    }
}
