public import Logging

extension Logger {
    /// A logger that drops all messages.
    public static let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
}
