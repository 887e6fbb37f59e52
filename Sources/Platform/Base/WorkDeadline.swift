/// A time limit that a piece of work checks itself.
///
/// Nothing can stop a thread from outside. So a long loop over outside data asks ``isOver`` from time to time.
public struct WorkDeadline: Sendable {
    /// A deadline that is never over.
    public static let never = WorkDeadline(check: nil)

    private let check: (@Sendable () -> Bool)?

    private init(check: (@Sendable () -> Bool)?) {
        self.check = check
    }

    /// Creates a deadline that is over as soon as `isOver` returns true.
    public init(_ isOver: @escaping @Sendable () -> Bool) {
        check = isOver
    }

    /// True if the work must stop.
    public var isOver: Bool { check?() ?? false }
}
