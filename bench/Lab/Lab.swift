public import Base
import Glibc
import Linux
import Synchronization
import SystemPackage

/// A scratch directory with everything that runs in it: sockets, roots, states and logs.
///
/// The lab does not touch the machine's own containerd and registry. ``Teardown/run()`` on ``teardown`` removes
/// everything in any case: processes, mounts (even hung ones), control groups, and the directory. If the process is
/// killed, the next lab removes the leftovers.
public final class Lab: Sendable {
    /// The path of the scratch directory. It is short, because unix socket paths have at most 107 bytes.
    public let directory: String
    public let teardown: Teardown
    /// The parent control group of every pod. It identifies the lab's processes.
    public let controlGroup: String
    /// The directory of the logs, which is kept after a failure.
    public let logDirectory: String

    private let logs = Atomic<Int>(0)
    private let pods = Atomic<Int>(0)

    /// Creates a scratch directory in `parent`, which must be on a file system on which overlayfs can write. Needs
    /// root.
    public init(parent: String = "/var/tmp") throws(LabError) {
        Self.keepInheritedFiles()
        do {
            directory = try Self.make(in: parent)
        } catch let error as LabError {
            throw error
        } catch {
            throw LabError(.files, "cannot create a scratch directory in \(parent)", cause: error)
        }
        teardown = Teardown()
        let name = directory.split(separator: "/").last.map(String.init) ?? ""
        controlGroup = "/\(name)"
        logDirectory = "\(directory)/log"
        let sweep = Sweep(directory: directory, controlGroup: controlGroup)
        try teardown.add("scratch directory") { sweep.run() }
        try Files.makeDirectory(logDirectory)
    }

    /// Runs `body` with a lab, and removes the lab in any case.
    public static func with<Result: Sendable>(
        parent: String = "/var/tmp", _ body: @Sendable (Lab) async throws -> Result
    ) async throws -> Result {
        let lab = try Lab(parent: parent)
        let outcome: Swift.Result<Result, any Error>
        do {
            outcome = .success(try await body(lab))
        } catch {
            outcome = .failure(error)
        }
        await blocking { lab.teardown.run() }
        return try outcome.get()
    }

    /// Returns the path of the next command's output files, without extension.
    func nextLogName(_ name: String) -> String {
        let number = logs.wrappingAdd(1, ordering: .relaxed).newValue
        return "\(logDirectory)/\(number)-\(name)"
    }

    /// Returns a new name for a pod of this lab.
    public func nextPodName() -> String {
        "pod-\(pods.wrappingAdd(1, ordering: .relaxed).newValue)"
    }

    /// Marks inherited descriptors as close-on-exec. A lock, for example, would otherwise outlive this process in a
    /// daemon.
    ///
    /// Our own descriptors are close-on-exec anyway.
    private static func keepInheritedFiles() {
        for entry in (try? Sys.list("/proc/self/fd")) ?? [] {
            if let descriptor = Int32(entry.text), descriptor > 2 { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        }
    }

    private static let prefix = "rivulet-lab-"

    private static func make(in parent: String) throws -> String {
        try Sys.makeDirectories(parent, permissions: 0o755)
        for entry in try Sys.list(parent) where entry.text.hasPrefix(prefix) {
            Sweep.abandoned("\(parent)/\(entry.text)", controlGroup: "/\(entry.text)")
        }
        let directory = try Sys.makeTemporaryDirectory(in: parent, prefix: prefix)
        // The lock is held until this process exits in any way. It marks the directory as in use.
        let lock = try Sys.open("\(directory)/lock", [.readWrite, .create], permissions: 0o600)
        guard try Sys.tryLock(lock.raw) else { throw LabError(.files, "\(directory) is in use") }
        _ = lock.release()
        return directory
    }
}
