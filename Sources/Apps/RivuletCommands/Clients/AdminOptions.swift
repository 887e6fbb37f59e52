import ArgumentParser

/// The options of every subcommand that sends requests to the daemon.
struct AdminOptions: ParsableArguments {
    /// The longest path of a unix socket, in bytes. The kernel also needs room for the final NUL (unix(7), `sun_path`).
    private static let maximumSocketLength = 107

    @Option(help: ArgumentHelp("The daemon's admin socket.", valueName: "path"))
    var socket = AdminSocket.defaultPath

    @Option(help: "Format of the result.")
    var output = OutputFormat.table

    var client: AdminSocket { AdminSocket(path: socket) }

    func validate() throws {
        guard (1...Self.maximumSocketLength).contains(socket.utf8.count) else {
            throw ValidationError("--socket must be a path of 1 to \(Self.maximumSocketLength) bytes")
        }
    }
}
