import Base
import Glibc
import Linux
import Synchronization
import SystemPackage

/// The role in which a program runs as a confined child process. In this role, the process examines the files of a
/// container's image, and predicts which of these files the container will read.
public enum Analyzer {
    /// The `argv[0]` of a process in this role. ``runIfRequested(adding:)`` recognizes the role by this name.
    static let role = "rivulet-analyzer"

    /// The resource limits of an analyzer. Each container start that it follows takes some megabytes. Trees are mapped
    /// files, which count only as address space.
    static let limits = ConfinedProcess.Limits(
        memory: 384 << 20, addressSpace: 16 << 30, descriptors: 16_384, processorSeconds: 3600)

    private static let isReady = Atomic(false)

    /// True if this program can be started as an analyzer, because its `main` has called ``runIfRequested(adding:)``.
    static var isAvailable: Bool { isReady.load(ordering: .relaxed) }

    /// Runs as an analyzer and does not return, if this process was started as one. Otherwise, returns at once.
    ///
    /// Call this function first in `main`: before a second thread exists, and before the process holds anything that an
    /// analyzer must not have.
    ///
    /// - Parameter extra: file analyzers in addition to the standard ones.
    public static func runIfRequested(adding extra: [any FileAnalyzer] = []) {
        isReady.store(true, ordering: .relaxed)
        guard CommandLine.arguments.first == role else { return }
        let socket = PacketSocket(OwnedDescriptor(taking: 0))
        do throws(Errno) {
            try ConfinedProcess.confine(limits)
        } catch {
            try? socket.send(AnalyzerReply.unconfined(error.rawValue).encoded, waits: true)
            _exit(71)
        }
        var server = AnalyzerServer(socket, FileAnalyzers.standard + extra)
        _exit(server.run())
    }
}
