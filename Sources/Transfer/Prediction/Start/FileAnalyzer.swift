public import Base

/// A heuristic that examines a file of an image, and finds the files that a process reads after that file.
///
/// The image is untrusted, so the bytes of the file may be hostile. Whatever they are, a file analyzer returns after
/// bounded work, in bounded memory and with bounded recursion. It reports its findings to the given ``StartPrediction``
/// and keeps no state of its own.
public protocol FileAnalyzer: Sendable {
    /// Reacts to the first reference to `file` by the configuration, by another file, or by a read of the process. The
    /// file's bytes may not have arrived yet. The default does nothing.
    ///
    /// - Parameter path: the path by which the file was referred to. It may lead through symbolic links.
    func note(_ file: ImageFile, calledAs path: String, in start: inout StartPrediction)

    /// Handles a command-line argument of the process that is not the path of a file. The default returns false.
    ///
    /// - Returns: true if the file analyzer recognizes the argument. No other file analyzer sees the argument then.
    func note(argument: String, in start: inout StartPrediction) -> Bool

    /// Returns the part of `file` that this file analyzer reads first; `nil` if it does not handle this kind of file.
    func part(of file: ImageFile, in start: StartPrediction) -> ByteRange?

    /// Analyzes `bytes`, a part of `file` that has arrived. It is the part that ``part(of:in:)`` returned, or the part
    /// that was passed to ``StartPrediction/wait(for:of:then:)``.
    func analyze(_ bytes: [UInt8], of file: ImageFile, in start: inout StartPrediction)
}

extension FileAnalyzer {
    public func note(_ file: ImageFile, calledAs path: String, in start: inout StartPrediction) {}

    public func note(argument: String, in start: inout StartPrediction) -> Bool { false }
}
