import Base
import Glibc

/// A status line on standard error. Without a terminal, each step gets its own line.
public final class ProgressDisplay: Sendable {
    private struct State {
        var text = ""
        var began = MonotonicTime.now()
        var figures: (@Sendable () -> String)?
    }

    private let state = Guarded(State())
    private let isTerminal = isatty(2) == 1
    private let ticker: Guarded<Task<Void, Never>?> = Guarded(nil)

    public init() {}

    /// Starts the step `text`. The line shows the result of `figures` while the step runs.
    public func step(_ text: String, figures: (@Sendable () -> String)? = nil) {
        state.withLock { $0 = State(text: text, figures: figures ?? $0.figures) }
        if isTerminal { draw() } else { write("\(text)\n") }
    }

    /// Starts to redraw the line periodically.
    public func start() {
        guard isTerminal else { return }
        ticker.withLock { ticker in
            ticker = Task {
                while !Task.isCancelled {
                    draw()
                    try? await Task.sleep(for: .milliseconds(100))
                }
            }
        }
    }

    /// Clears the line.
    public func stop() {
        ticker.withLock { $0?.cancel() }
        state.withLock { $0 = State() }
        if isTerminal { write("\r\u{1B}[K") }
    }

    /// Writes a permanent line.
    public func note(_ text: String) {
        write(isTerminal ? "\r\u{1B}[K\(text)\n" : "\(text)\n")
        if isTerminal { draw() }
    }

    /// Removes the figures from the line.
    public func clearFigures() {
        state.withLock { $0.figures = nil }
    }

    private func draw() {
        let (text, began, figures) = state.withLock { ($0.text, $0.began, $0.figures) }
        guard !text.isEmpty else { return }
        let seconds = Format.seconds(Double(MonotonicTime.now().since(began)) / 1e9)
        write("\r\u{1B}[K\(text) · \(seconds) s\(figures.map { " · \($0())" } ?? "")")
    }

    private func write(_ text: String) {
        var text = text
        text.withUTF8 { _ = Glibc.write(2, $0.baseAddress, $0.count) }
    }
}
