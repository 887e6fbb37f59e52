public import Base

/// Finds out from a file of an image what a process that uses the file will read next.
///
/// An analyzer sees bytes that anybody may have written. It is total: whatever the bytes are, it returns after bounded
/// work, in bounded memory and depth. It reports what it finds to the start that it is given and keeps nothing itself.
public protocol FileAnalyzer: Sendable {
    /// Reacts to `file` being named, before any byte of it is there. The default does nothing.
    ///
    /// - Parameter path: the path that named the file, perhaps through links.
    func note(_ file: ImageFile, calledAs path: String, in start: inout StartPrediction)

    /// Reacts to an argument of the process that names no file, and returns true if it is of the analyzer's kind: no
    /// other analyzer sees it then. The default returns false.
    func note(argument: String, in start: inout StartPrediction) -> Bool

    /// Returns the part of `file` that the analyzer reads first; `nil` for a file of another kind.
    func part(of file: ImageFile, in start: StartPrediction) -> ByteRange?

    /// Analyzes that part, after all of it has come.
    func analyze(_ bytes: [UInt8], of file: ImageFile, in start: inout StartPrediction)
}

extension FileAnalyzer {
    public func note(_ file: ImageFile, calledAs path: String, in start: inout StartPrediction) {}

    public func note(argument: String, in start: inout StartPrediction) -> Bool { false }
}
