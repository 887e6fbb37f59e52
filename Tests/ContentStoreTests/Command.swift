import Glibc
import SystemPackage
import Testing

/// Runs a command found in PATH. Fails the test unless the command exits with 0.
func run(_ command: String...) throws {
    var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) }
    arguments.append(nil)
    defer { for argument in arguments { free(argument) } }
    var process = pid_t()
    let code = posix_spawnp(&process, command[0], nil, nil, arguments, environ)
    guard code == 0 else { throw Errno(rawValue: code) }
    var status: Int32 = 0
    while waitpid(process, &status, 0) == -1 {
        guard errno == EINTR else { throw Errno(rawValue: errno) }
    }
    try #require(status == 0, "\(command.joined(separator: " ")) ended with status \(status)")
}
