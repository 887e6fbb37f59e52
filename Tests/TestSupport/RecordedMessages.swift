import Base
public import Logging

/// A logger's messages with their metadata, for a test to inspect.
public final class RecordedMessages: Sendable {
    private struct Handler: LogHandler {
        let messages: Guarded<[String]>
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let fields = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }
            messages.withLock { $0.append("\(event.message)\(fields.joined())") }
        }
    }

    private let messages = Guarded<[String]>([])

    public init() {}

    public var all: [String] { messages.withLock { $0 } }

    public var logger: Logger {
        let messages = messages
        return Logger(label: "test") { _ in Handler(messages: messages) }
    }
}
