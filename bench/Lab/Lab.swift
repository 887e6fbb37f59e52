import Base
import Glibc
import Linux
import Synchronization
import SystemPackage

/// One scratch directory with everything that is started in it: sockets, roots, states, logs. Nothing of the machine's
/// own containerd or registry is touched.
///
/// Whatever happens, ``Teardown/run()`` on ``teardown`` leaves nothing behind: no process, no mount (hung ones neither),
/// no control group, no directory. A lab whose process was killed outright is cleared away by the next one.
public final class Lab: Sendable {
    /// The scratch directory. Short, since unix socket paths are at most 107 bytes long.
    public let directory: String
    public let teardown: Teardown
    /// Every pod's control group lies below this one, which tells the lab's processes from all others.
    public let controlGroup: String
    /// Kept when the work failed, for a person to read.
    public let logDirectory: String

    private let logs = Atomic<Int>(0)
    private let pods = Atomic<Int>(0)

    /// Makes a scratch directory in `parent`, which must lie on a file system that overlayfs can write to.
    /// Needs root.
    public init(parent: String = "/var/tmp") throws(LabError) {
        Self.keepInheritedFiles()
        do {
            directory = try Self.make(in: parent)
        } catch let error as LabError {
            throw error
        } catch {
            throw LabError(.files, "no scratch directory can be made in \(parent)", cause: error)
        }
        teardown = Teardown()
        let name = directory.split(separator: "/").last.map(String.init) ?? ""
        controlGroup = "/\(name)"
        logDirectory = "\(directory)/log"
        let sweep = Sweep(directory: directory, controlGroup: controlGroup)
        try teardown.add("scratch directory") { sweep.run() }
        try Files.makeDirectory(logDirectory)
    }

    /// Runs `body` with a lab and takes the lab down whatever happens.
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

    /// Where the output of the next command goes, without extension.
    func nextLogName(_ name: String) -> String {
        let number = logs.wrappingAdd(1, ordering: .relaxed).newValue
        return "\(logDirectory)/\(number)-\(name)"
    }

    /// A name that no pod of this lab has had.
    public func nextPodName() -> String {
        "pod-\(pods.wrappingAdd(1, ordering: .relaxed).newValue)"
    }

    /// What we were started with is not handed on: a lock, say, that would outlive us in a daemon. Whatever is opened here
    /// is not handed on anyway.
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
        // Held until this process ends, however it ends: the sign that the directory is in use.
        let lock = try Sys.open("\(directory)/lock", [.readWrite, .create], permissions: 0o600)
        guard try Sys.tryLock(lock.raw) else { throw LabError(.files, "\(directory) is in use") }
        _ = lock.release()
        return directory
    }
}
