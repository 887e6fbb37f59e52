import ArgumentParser
import Streaming

/// `rivulet profile import`: has the daemon keep profiles from files.
struct ProfileImport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Has the daemon keep profiles from files.",
        discussion: """
            A profile replaces the one that its chain has. All files are read before the first is sent: if one of them \
            is no profile, nothing is imported. The answer says what was imported, with --output json as an array: file, \
            chain (not for a profile that is one for all images of its repository), repository, entries, bytes.

            Examples:
              rivulet profile import app.profile web.profile
              ssh node1 rivulet profile export 83b8a1f0 | rivulet profile import -

            Exit codes: 66 a file cannot be read; the others as rivulet --help says.
            """)

    @Argument(help: ArgumentHelp("Profile files; - is standard input.", valueName: "file"))
    var files: [String]

    @OptionGroup var admin: AdminOptions

    func validate() throws {
        guard files.filter({ $0 == CommandFile.standard }).count <= 1 else {
            throw ValidationError("standard input (-) can be read once only")
        }
    }

    func run() async throws {
        try await reporting {
            try await importAll()
        }
    }

    private func importAll() async throws {
        let client = admin.client
        let profiles = try files.map { name in
            let bytes = try CommandFile.read(name, limit: ProfileFile.maximumSize)
            return (name, bytes, try Self.contents(of: bytes, name))
        }
        var imported: [TransferredProfile] = []
        for (name, bytes, contents) in profiles {
            do throws(CommandFailure) {
                try await client.keep(bytes)
            } catch {
                throw CommandFailure(
                    error.code,
                    "\(CommandFile.title(name)) was not imported, \(imported.count) of \(files.count) were: "
                        + error.message)
            }
            imported.append(TransferredProfile(name, contents))
        }
        try TransferredProfile.report(imported, admin.output)
    }

    private static func contents(of bytes: [UInt8], _ name: String) throws(CommandFailure) -> ProfileFile {
        do throws(StreamingError) {
            return try ProfileFile(bytes: bytes)
        } catch {
            throw CommandFailure(.failed, "nothing was imported: \(CommandFile.title(name))", cause: error)
        }
    }
}
