/// The error of a module: a code for the program, a message for the operator, and the cause.
///
/// Each module has its own enum of codes. Its error type is an alias of this type with that enum, and its functions
/// throw that alias. `Snapshotter` maps these errors to gRPC status codes, and `LazyFileSystem` maps them to errno.
public struct Failure<FailureCode: Hashable & Sendable>: Error, CustomStringConvertible {
    public typealias Code = FailureCode

    /// The kind of failure. A program can branch on it.
    public let code: Code
    /// A description for the operator. It names the file, key, image or digest, and never contains a credential.
    public let message: String
    /// The underlying error; `nil` if there is none.
    public let cause: (any Error)?

    public init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    public var description: String {
        guard let cause else { return message }
        return "\(message): \(cause)"
    }
}
