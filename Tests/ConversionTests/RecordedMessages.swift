import Base
import Logging

/// A logger's messages, for a test to look at.
final class RecordedMessages: Sendable {
    private struct Handler: LogHandler {
        let messages: Guarded<[String]>
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            messages.withLock { $0.append("\(event.message)") }
        }
    }

    private let messages = Guarded<[String]>([])

    var all: [String] { messages.withLock { $0 } }

    var logger: Logger {
        let messages = messages
        return Logger(label: "test") { _ in Handler(messages: messages) }
    }
}
