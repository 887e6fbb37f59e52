import ArgumentParser
import Streaming

/// `rivulet profile import`: reads profiles from files, and stores them in the daemon.
struct ProfileImport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Import profiles from files into the daemon.",
        discussion: """
            A profile replaces the existing one of its chain. The command reads all files before it sends the first: if one of \
            them is not a profile, it imports nothing. It prints the imported profiles; with --output json an array of: file, \
            chain (absent for a profile of a whole repository), repository, entries, bytes.

            Examples:
              rivulet profile import app.profile web.profile
              ssh node1 rivulet profile export 83b8a1f0 | rivulet profile import -

            Exit codes: 66 file not readable; the others are in rivulet --help.
            """)

    @Argument(help: ArgumentHelp("Profile files; - is standard input.", valueName: "file"))
    var files: [String]

    @OptionGroup var admin: AdminOptions

    func validate() throws {
        guard files.filter({ $0 == CommandFile.standard }).count <= 1 else {
            throw ValidationError("standard input (-) can be read only once")
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
                    "failed to import \(CommandFile.title(name)) after \(imported.count) of \(files.count) files: "
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
