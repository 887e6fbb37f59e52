/// What every module's error type offers: which thing went wrong, for a machine; what to do about it, for a person; and
/// what lay beneath.
///
/// Each module has one such type, a struct whose `Code` is an enum of that module, and throws it typed. The gRPC status
/// is chosen in one place (`Snapshotter`), the errno in another (`LazyFileSystem`).
public protocol ModuleError: Error, CustomStringConvertible {
    associatedtype Code: Hashable, Sendable

    /// What went wrong, to branch on.
    var code: Code { get }
    /// What went wrong, for a person: names the file, key, image or digest, never a credential.
    var message: String { get }
    /// The error beneath, if there was one.
    var cause: (any Error)? { get }
}

extension ModuleError {
    public var description: String {
        guard let cause else { return message }
        return "\(message): \(cause)"
    }
}
