import Lab

extension Lab {
    /// Runs `body` with a lab, like ``with(parent:_:)``. A signal also removes the lab.
    static func guarded<Result: Sendable>(
        parent: String, _ body: @Sendable (Lab) async throws -> Result
    ) async throws -> Result {
        try await with(parent: parent) { lab in
            try SignalGuard.install(lab.teardown)
            return try await body(lab)
        }
    }
}
