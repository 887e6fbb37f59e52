public import Base
public import Lab

/// Rivulet on a node that has never seen the image but has its profile, from another node that has run it once.
public final class RivuletProfileMode: Mode {
    public let name: String
    public let form: ImageForm
    /// By image: recorded once in a run of the bench.
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

    /// Runs the image on a node of its own until its daemon has kept a profile.
    private func record(_ setting: Setting) async throws -> [UInt8] {
        try await Node.with(
            "profile-source", in: setting.lab, snapshotter: .rivulet(options: "[streaming]\nprofile_quiet = 1\n"),
            registry: setting.image.registry, pauseArchive: setting.image.pauseArchive
        ) { node in
            guard let daemon = node.daemon as? RivuletDaemon else { return [] }
            let there = Setting(
                lab: setting.lab, node: node, image: setting.image, form: form, link: .unshaped, needs: nil,
                seconds: setting.seconds)
            let pod = try await there.startPod()
            _ = try await pod.waitUntilReady(setting.image.recipe.probe, seconds: setting.seconds)
            let socket = daemon.adminSocket
            let deadline = MonotonicTime.now().advanced(by: 60_000_000_000)
            while MonotonicTime.now() < deadline {
                let found = try await blocking { () throws -> [UInt8]? in
                    let list = String(decoding: try PlainHTTP.get("/profiles", socketPath: socket), as: UTF8.self)
                    // The one image that this node has run.
                    guard let mark = list.firstRange(of: "\"chain\":\"") else { return nil }
                    let chain = list[mark.upperBound...].prefix { $0 != "\"" }
                    return try PlainHTTP.get("/profiles/\(chain)", socketPath: socket)
                }
                if let found {
                    try await pod.remove()
                    return found
                }
                try await Task.sleep(for: .milliseconds(100))
            }
            throw LabError(.timedOut, "no profile of \(setting.image.recipe.name) was recorded")
        }
    }
}
