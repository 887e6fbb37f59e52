public import Base

/// A heuristic that examines a file of an image, and finds out what a process that uses the file will read next.
///
/// An analyzer sees bytes that anybody may have written. It is total: whatever the bytes are, it returns after bounded
/// work, in bounded memory and depth. It reports its findings to the given start and keeps nothing itself.
public protocol FileAnalyzer: Sendable {
    /// Reacts to a mention of `file`, before any of the file's bytes have arrived. The default does nothing.
    ///
    /// - Parameter path: the path that named the file, possibly through links.
    func note(_ file: ImageFile, calledAs path: String, in start: inout StartPrediction)

    /// Handles an argument of the process that names no file.
    ///
    /// Returns true if the analyzer recognizes the argument; no other analyzer sees it then. The default returns false.
    func note(argument: String, in start: inout StartPrediction) -> Bool

    /// Returns the part of `file` that the analyzer reads first; `nil` if it does not handle this kind of file.
    func part(of file: ImageFile, in start: StartPrediction) -> ByteRange?

    /// Analyzes the part that ``part(of:in:)`` returned, after all of it has arrived.
    func analyze(_ bytes: [UInt8], of file: ImageFile, in start: inout StartPrediction)
}

extension FileAnalyzer {
    public func note(_ file: ImageFile, calledAs path: String, in start: inout StartPrediction) {}

    public func note(argument: String, in start: inout StartPrediction) -> Bool { false }
}
