import Lab

extension Lab {
    /// As ``with(parent:_:)``, and a signal takes the lab down too.
    static func guarded<Result: Sendable>(
        parent: String, _ body: @Sendable (Lab) async throws -> Result
    ) async throws -> Result {
        try await with(parent: parent) { lab in
            try SignalGuard.install(lab.teardown)
            return try await body(lab)
        }
    }
}
