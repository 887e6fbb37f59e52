import Base

/// Records the reads of an image until it is ready, with a node's daemon.
public enum ProfileRecorder {
    /// Runs the image on a separate node until the node's daemon has stored a profile, and returns the profile as a
    /// file.
    ///
    /// - Parameter seconds: the time limit for the image to be ready.
    public static func record(
        _ recipe: ImageRecipe, _ form: ImageForm, in lab: Lab, registry: RegistryServer, pauseArchive: String,
        seconds: UInt64
    ) async throws -> [UInt8] {
        try await Node.with(
            // The quiet time must exceed a pause of jupyter, which computes for more than a second in the middle of its
            // start.
            "profile-source", in: lab, snapshotter: .rivulet(options: "[streaming]\nprofile_quiet = 5\n"),
            registry: registry, pauseArchive: pauseArchive
        ) { node in
            guard let daemon = node.daemon as? RivuletDaemon else { return [] }
            let pod = try await Pod(
                .init(name: lab.nextPodName(), image: recipe.reference(form)), in: lab, client: node.client,
                pullSeconds: Int64(seconds))
            _ = try await pod.waitUntilReady(recipe.probe, seconds: seconds)
            let profile = try await recorded(daemon.adminSocket, recipe.name)
            try await pod.remove()
            return profile
        }
    }

    private static func recorded(_ socket: String, _ name: String) async throws -> [UInt8] {
        let deadline = MonotonicTime.now().advanced(by: 60_000_000_000)
        while MonotonicTime.now() < deadline {
            let found = try await blocking { () throws -> [UInt8]? in
                let list = String(decoding: try PlainHTTP.get("/profiles", socketPath: socket), as: UTF8.self)
                // The list has one profile, because this node has run no other image.
                guard let mark = list.firstRange(of: "\"chain\":\"") else { return nil }
                let chain = list[mark.upperBound...].prefix { $0 != "\"" }
                return try PlainHTTP.get("/profiles/\(chain)", socketPath: socket)
            }
            if let found { return found }
            try? await Task.sleep(for: .milliseconds(100))
        }
        throw LabError(.timedOut, "no profile of \(name) was recorded")
    }
}
