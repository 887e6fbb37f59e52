public import Base

/// A heuristic that examines a file of an image, and finds the files that a process reads after it.
///
/// A file analyzer sees bytes that anybody may have written. Whatever the bytes are, it returns after bounded work, in
/// bounded memory and with bounded recursion. It reports its findings to the given ``StartPrediction`` and keeps no
/// state of its own.
public protocol FileAnalyzer: Sendable {
    /// Reacts to a mention of `file`, before any of the file's bytes have arrived. The default does nothing.
    ///
    /// - Parameter path: the path by which something named the file. It may lead through symbolic links.
    func note(_ file: ImageFile, calledAs path: String, in start: inout StartPrediction)

    /// Handles an argument of the process that names no file. The default returns false.
    ///
    /// - Returns: true if the file analyzer recognizes the argument. No other file analyzer sees the argument then.
    func note(argument: String, in start: inout StartPrediction) -> Bool

    /// Returns the part of `file` that this file analyzer reads first; `nil` if it does not handle this kind of file.
    func part(of file: ImageFile, in start: StartPrediction) -> ByteRange?

    /// Analyzes the part that ``part(of:in:)`` returned, after all of it has arrived.
    func analyze(_ bytes: [UInt8], of file: ImageFile, in start: inout StartPrediction)
}

extension FileAnalyzer {
    public func note(_ file: ImageFile, calledAs path: String, in start: inout StartPrediction) {}

    public func note(argument: String, in start: inout StartPrediction) -> Bool { false }
}
