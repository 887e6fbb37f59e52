public import Base
import Glibc

/// Functions that run a program to its end.
public enum Command {
    /// Runs `arguments` and returns the standard output. The output files are in the lab's log directory.
    ///
    /// The program is killed after `timeout` seconds, or by the teardown of the lab.
    /// - Throws: `failed` with the end of the program's standard error if it exits with anything but 0; `timedOut`.
    @discardableResult
    public static func run(
        _ arguments: [String], in lab: Lab, environment: [String: String] = [:], timeout: UInt64 = 300
    ) async throws(LabError) -> String {
        let (exit, output, log) = try await attempt(
            arguments, in: lab, environment: environment, timeout: timeout)
        guard exit == .code(0) else {
            throw LabError(
                .failed,
                "\(arguments.joined(separator: " ")): \(exit)\n\(Files.tail(log, lines: 20))")
        }
        return try Files.text(output)
    }

    /// Runs `arguments` like ``run(_:in:environment:timeout:)``, but accepts any exit code or signal.
    public static func attempt(
        _ arguments: [String], in lab: Lab, environment: [String: String] = [:], timeout: UInt64 = 300
    ) async throws(LabError) -> (exit: ChildProcess.Exit, outputPath: String, logPath: String) {
        let name = arguments.first.map { $0.split(separator: "/").last.map(String.init) ?? $0 } ?? "nothing"
        let base = lab.nextLogName(name)
        let child = try ChildProcess(
            name, arguments, log: "\(base).err", standardOutput: "\(base).out", environment: environment)
        try lab.teardown.add(name) {
            // Give the program time to clean up: mmdebstrap, for example, has mounts to remove.
            child.signal(SIGTERM, group: true)
            if child.wait(timeout: 5_000_000_000) == nil { child.signal(SIGKILL, group: true) }
        }
        guard let exit = await child.ending(timeout: timeout * 1_000_000_000) else {
            child.signal(SIGKILL, group: true)
            throw LabError(
                .timedOut,
                "\(arguments.joined(separator: " ")) did not end within \(timeout) s\n\(child.logTail())")
        }
        return (exit, "\(base).out", "\(base).err")
    }
}
