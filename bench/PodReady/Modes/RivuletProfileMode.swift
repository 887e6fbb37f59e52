public import Base
public import Lab

/// The mode of Rivulet on a node that has never seen the image but has its profile from another node.
public final class RivuletProfileMode: Mode {
    public let name: String
    public let form: ImageForm
    /// The profiles, keyed by image. Each is recorded once in a run of the bench.
    private let profiles = Guarded<[String: [UInt8]]>([:])

    public init(name: String = "rivulet-profile", form: ImageForm = .estargz) {
        self.name = name
        self.form = form
    }

    public func snapshotter(_ programs: Programs) throws(LabError) -> Node.Snapshotter { .rivulet(options: "") }

    public func prepare(_ setting: Setting) async throws {
        guard let daemon = setting.node.daemon as? RivuletDaemon else { return }
        let reference = setting.image.recipe.reference(form)
        let known = profiles.withLock { $0[reference] }
        let profile: [UInt8]
        if let known { profile = known } else { profile = try await record(setting) }
        profiles.withLock { $0[reference] = profile }
        let socket = daemon.adminSocket
        try await blocking { try PlainHTTP.put("/profiles", profile, socketPath: socket) }
    }

    public func complete(_ setting: Setting, _ marks: Pod.Marks) async throws -> MonotonicTime? {
        try await RivuletMode.complete(setting)
    }

    private func record(_ setting: Setting) async throws -> [UInt8] {
        try await ProfileRecorder.record(
            setting.image.recipe, form, in: setting.lab, registry: setting.image.registry,
            pauseArchive: setting.image.pauseArchive, seconds: setting.seconds)
    }
}
