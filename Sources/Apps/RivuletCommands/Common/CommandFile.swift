import Glibc
import Linux
import SystemPackage

/// The files that are named on the command line.
enum CommandFile {
    /// The name that means standard input or standard output.
    static let standard = "-"

    /// Returns the name of an input file for use in messages.
    static func title(_ name: String) -> String {
        name == standard ? "standard input" : name
    }

    /// Reads the whole file `name`, or standard input for `-`. Throws if there are more than `limit` bytes.
    static func read(_ name: String, limit: Int) throws(CommandFailure) -> [UInt8] {
        do throws(Errno) {
            return try name == standard ? readStandardInput(limit: limit) : Sys.readFile(name, limit: limit)
        } catch .fileTooLarge {
            throw CommandFailure(.failed, "\(title(name)) is larger than \(limit) bytes")
        } catch {
            throw CommandFailure(.missing, "cannot read \(title(name)): \(error)")
        }
    }

    /// Writes `bytes` to the file `name`, or to standard output for `-`. Overwrites an existing file in place and does
    /// not replace it, because it may be a device or a pipe.
    static func write(_ name: String, _ bytes: [UInt8]) throws(CommandFailure) {
        do throws(Errno) {
            try name == standard ? writeStandardOutput(bytes) : Sys.writeFile(name, bytes, permissions: 0o644)
        } catch {
            throw CommandFailure(
                .failed, "cannot write \(name == standard ? "to standard output" : name): \(error)")
        }
    }

    private static func writeStandardOutput(_ bytes: [UInt8]) throws(Errno) {
        // NIO ignores SIGPIPE. But if a reader such as `| head` closes the pipe, this program must end silently.
        signal(SIGPIPE, SIG_DFL)
        let outcome = bytes.withUnsafeBytes { buffer -> Result<Void, Errno> in
            Result { () throws(Errno) in try Sys.writeAll(STDOUT_FILENO, buffer) }
        }
        try outcome.get()
    }

    private static func readStandardInput(limit: Int) throws(Errno) -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let outcome = buffer.withUnsafeMutableBytes { chunk -> Result<Int, Errno> in
                Result { () throws(Errno) in try Sys.read(STDIN_FILENO, into: chunk) }
            }
            let count = try outcome.get()
            if count == 0 { return bytes }
            guard bytes.count + count <= limit else { throw .fileTooLarge }
            bytes += buffer[..<count]
        }
    }
}
