public import Logging

extension Logger {
    /// A logger that drops everything.
    public static let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
}
