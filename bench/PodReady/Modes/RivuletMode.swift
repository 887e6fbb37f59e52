public import Base
public import Lab

/// The mode of Rivulet on a node that has never seen the image and has no profile of it.
public struct RivuletMode: Mode {
    /// The mode's name: `rivulet`, or another name for the same mode. Two names of one mode show the effect of chance.
    public let name: String
    public let form: ImageForm

    private let options: String

    /// Creates a mode.
    ///
    /// - Parameter options: TOML lines for the daemon's configuration.
    public init(name: String = "rivulet", form: ImageForm = .estargz, options: String = "") {
        self.name = name
        self.form = form
        self.options = options
    }

    public func snapshotter(_ programs: Programs) throws(LabError) -> Node.Snapshotter { .rivulet(options: options) }

    public func complete(_ setting: Setting, _ marks: Pod.Marks) async throws -> MonotonicTime? {
        try await Self.complete(setting)
    }

    /// Waits until the daemon's metrics report all layers as complete.
    static func complete(_ setting: Setting) async throws -> MonotonicTime? {
        guard let daemon = setting.node.daemon as? RivuletDaemon else { return nil }
        return try await setting.moment {
            let metrics = try await daemon.metrics()
            guard let layers = metrics["rivulet_attached_layers"] else { return false }
            return layers > 0 && metrics["rivulet_complete_layers"] == layers
        }
    }
}
