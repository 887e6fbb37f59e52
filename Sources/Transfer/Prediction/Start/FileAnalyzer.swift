public import Base

/// A heuristic that examines a file of an image, and finds the files that a process reads after that file.
///
/// The image is untrusted, so the bytes of the file may be hostile. Whatever the bytes are, a file analyzer returns
/// after bounded work, in bounded memory and with bounded recursion. A file analyzer keeps no state of its own. It
/// reports its findings to the given ``StartPrediction``, which also stores state for it
/// (``StartPrediction/subscript(_:)``).
public protocol FileAnalyzer: Sendable {
    /// Reacts to `file` when the prediction first takes notice of it: when the configuration or another file names
    /// `file`, or when the process reads it. The file's bytes may not have arrived yet. The default does nothing.
    ///
    /// - Parameter path: the path by which the configuration, the other file or the process refers to `file`. The path
    ///   may lead through symbolic links.
    func note(_ file: ImageFile, calledAs path: String, in start: inout StartPrediction)

    /// Handles `argument`, a command-line argument of the process. The argument is not the path of a file. The default
    /// returns false.
    ///
    /// - Returns: true if the file analyzer recognizes the argument. No other file analyzer sees the argument then.
    func note(argument: String, in start: inout StartPrediction) -> Bool

    /// Returns the part of `file` that this file analyzer reads first; `nil` if it does not handle this kind of file.
    func part(of file: ImageFile, in start: StartPrediction) -> ByteRange?

    /// Analyzes `bytes`, a part of `file` that has arrived. This is the part that ``part(of:in:)`` returned, or the
    /// part that the file analyzer passed to ``StartPrediction/wait(for:of:then:)``.
    func analyze(_ bytes: [UInt8], of file: ImageFile, in start: inout StartPrediction)
}

extension FileAnalyzer {
    public func note(_ file: ImageFile, calledAs path: String, in start: inout StartPrediction) {}

    public func note(argument: String, in start: inout StartPrediction) -> Bool { false }
}
