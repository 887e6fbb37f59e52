public import Base
public import Lab

/// The mode of stargz-snapshotter with its defaults, prefetch and background fetch, on an image without optimization.
public struct StargzMode: Mode {
    public let name = "stargz"
    public let form = ImageForm.estargz

    public init() {}

    public func snapshotter(_ programs: Programs) throws(LabError) -> Node.Snapshotter {
        guard let stargz = programs.stargz else {
            throw LabError(.usage, "the modes of stargz-snapshotter require --stargz, the path of its daemon")
        }
        return .stargz(program: stargz)
    }

    public func complete(_ setting: Setting, _ marks: Pod.Marks) async throws -> MonotonicTime? {
        try await Self.complete(setting)
    }

    /// Waits until the daemon's log has one line about completion for each layer.
    static func complete(_ setting: Setting) async throws -> MonotonicTime? {
        guard let daemon = setting.node.daemon as? StargzDaemon, let manifest = setting.image.manifests[setting.form]
        else { return nil }
        let layers = Set(manifest.layers).count
        let log = daemon.process.logPath
        return try await setting.moment {
            let text = try await blocking { () throws(LabError) in try Files.text(log) }
            return text.ranges(of: "completed to fetch all layer data in background").count >= layers
        }
    }
}
