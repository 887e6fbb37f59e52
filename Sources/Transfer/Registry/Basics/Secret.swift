/// A password or token. Printing, interpolating or dumping a secret shows only `[secret]`, and no encoder accepts a
/// secret. So a credential cannot reach a log, an error or a label by accident.
public struct Secret: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    private let text: String

    public init(_ text: String) {
        self.text = text
    }

    /// Returns the text of the secret. Call this method only to send the secret to a server.
    public func reveal() -> String { text }

    public var isEmpty: Bool { text.isEmpty }
    public var description: String { "[secret]" }
    public var debugDescription: String { "[secret]" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
