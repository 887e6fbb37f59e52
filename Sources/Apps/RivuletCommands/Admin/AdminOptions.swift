import ArgumentParser

/// What every subcommand has that asks the daemon.
struct AdminOptions: ParsableArguments {
    /// Bytes of a unix socket's path that the kernel takes, without the NUL behind it (unix(7), `sun_path`).
    private static let maximumSocketLength = 107

    @Option(help: ArgumentHelp("The daemon's admin socket.", valueName: "path"))
    var socket = AdminSocket.defaultPath

    @Option(help: "How the answer is written: for a person, or for a program.")
    var output = OutputFormat.table

    var client: AdminSocket { AdminSocket(path: socket) }

    func validate() throws {
        guard (1...Self.maximumSocketLength).contains(socket.utf8.count) else {
            throw ValidationError("the path of a socket has 1 to \(Self.maximumSocketLength) bytes")
        }
    }
}
