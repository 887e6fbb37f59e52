/// The common interface of all modules' error types: a code for the program, a message for the operator, and the cause.
///
/// Each module has one such type, a struct whose `Code` is an enum of that module, and throws it typed. One place maps
/// errors to gRPC status (`Snapshotter`), another to errno (`LazyFileSystem`).
public protocol ModuleError: Error, CustomStringConvertible {
    associatedtype Code: Hashable, Sendable

    /// The kind of failure, to branch on.
    var code: Code { get }
    /// A description for the operator: it names the file, key, image or digest, never a credential.
    var message: String { get }
    /// The underlying error, if any.
    var cause: (any Error)? { get }
}

extension ModuleError {
    public var description: String {
        guard let cause else { return message }
        return "\(message): \(cause)"
    }
}
