import Base
import Glibc
import Lab

/// One line on standard error that says what is going on; when that is no terminal, a line for each new thing.
final class ProgressDisplay: Sendable {
    private struct State {
        var text = ""
        var began = MonotonicTime.now()
        var figures: (@Sendable () -> String)?
    }

    private let state = Guarded(State())
    private let isTerminal = isatty(2) == 1
    private let ticker: Guarded<Task<Void, Never>?> = Guarded(nil)

    /// From now on `text` is what is being done; `figures` are asked for as it goes on.
    func step(_ text: String, figures: (@Sendable () -> String)? = nil) {
        state.withLock { $0 = State(text: text, figures: figures ?? $0.figures) }
        if isTerminal { draw() } else { write("\(text)\n") }
    }

    /// Begins to redraw the line as time passes.
    func start() {
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
    func stop() {
        ticker.withLock { $0?.cancel() }
        state.withLock { $0 = State() }
        if isTerminal { write("\r\u{1B}[K") }
    }

    /// Figures no longer apply.
    func clearFigures() {
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

/// Numbers for people.
enum Format {
    /// Two decimals.
    static func seconds(_ value: Double) -> String {
        let hundredths = Int((value * 100).rounded())
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
    }

    /// Megabytes (10^6) with one decimal.
    static func megabytes(_ bytes: UInt64) -> String {
        let tenths = (bytes + 50_000) / 100_000
        return "\(tenths / 10).\(tenths % 10) MB"
    }

    /// `text` with spaces before it, up to `width`.
    static func right(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }

    /// `text` with spaces after it, up to `width`.
    static func left(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }
}
