public import Base
import Glibc
public import LazyFileSystem
import Linux
import SystemPackage

/// The server of a ``LazyFileSystem`` at one mount point. It has one connection to the kernel, one file descriptor of
/// /dev/fuse, and several threads that never wait for the network.
///
/// A server starts once and stops once. Only ``start()`` and ``stop()`` block, both for a bounded time. Call neither of
/// them on an event loop or in the cooperative pool.
public final class FUSEServer: Sendable {
    private struct Running: Sendable {
        let session: Session
        let workers: Workers
        /// `st_dev` of the mount, which identifies its connection.
        let device: UInt64
    }

    private enum State: Sendable {
        case idle
        case starting
        case running(Running)
        case stopped
    }

    private let fileSystem: LazyFileSystem
    /// The mount point. The directory must exist and be empty.
    public let mountPoint: String
    private let options: FUSEOptions
    private let state = Guarded(State.idle)
    /// The counters of the server. They remain readable after the server has stopped.
    public let statistics = FUSEStatistics()

    public init(fileSystem: LazyFileSystem, mountPoint: String, options: FUSEOptions = FUSEOptions()) {
        self.fileSystem = fileSystem
        self.mountPoint = mountPoint
        self.options = options
    }

    deinit {
        stop()
    }

    /// Mounts the file system, and returns after the INIT exchange with the kernel. From then on, every path below the
    /// mount point works.
    ///
    /// Before it mounts, this function removes mounts that dead servers left at the mount point. It waits at most ten
    /// seconds for the kernel's INIT request.
    public func start() throws(FUSEError) {
        let first = state.withLock { state in
            guard case .idle = state else { return false }
            state = .starting
            return true
        }
        guard first else { throw FUSEError(.alreadyStarted, "the file system was started before") }
        do throws(FUSEError) {
            let running = try launch()
            state.withLock { $0 = .running(running) }
        } catch {
            state.withLock { $0 = .stopped }
            throw error
        }
    }

    private func launch() throws(FUSEError) -> Running {
        let descriptor = try FUSEMount.mount(on: mountPoint, options: options)
        do throws(FUSEError) {
            let session = try Session(
                device: descriptor, fileSystem: fileSystem, statistics: statistics, options: options)
            let workers = try Workers(session, count: options.threads, lost: options.connectionLost)
            let agreed = session.handshake.waitUntil(timeout: 10_000_000_000) { $0 != nil ? true : nil }
            guard agreed == true else {
                workers.expectEnd()
                throw FUSEError(.handshakeFailed, "the kernel did not answer on \(mountPoint)")
            }
            let device = try deviceNumber()
            fileSystem.onChange { [weak session] in session?.invalidate($0) }
            if let readAhead = options.readAhead { setReadAhead(readAhead, device: device) }
            return Running(session: session, workers: workers, device: device)
        } catch {
            // Abort the connection, which ends the workers.
            try? Sys.unmount(mountPoint, [.force, .detach])
            throw error
        }
    }

    private func deviceNumber() throws(FUSEError) -> UInt64 {
        do {
            return try Sys.stat(mountPoint).device
        } catch {
            throw FUSEError(.handshakeFailed, "the mount on \(mountPoint) does not answer", cause: error)
        }
    }

    /// Sets the kernel's read-ahead through sysfs. The INIT exchange can only lower the read-ahead, because the kernel
    /// takes the smaller of its own value and the value in our INIT reply.
    private func setReadAhead(_ bytes: Int, device: UInt64) {
        let name = "0:\((device & 0xff) | ((device >> 12) & 0xfff00))"
        do {
            let file = try Sys.open("/sys/class/bdi/\(name)/read_ahead_kb", .writeOnly)
            let text = Array("\(bytes >> 10)".utf8)
            try text.withUnsafeBytes { try Sys.writeAll(file.raw, $0) }
        } catch {
            options.log("failed to set the kernel's read-ahead: \(error)")
        }
    }

    /// True while the file system is mounted and all threads of the server run.
    public var isMounted: Bool {
        state.withLock { state in
            guard case .running(let running) = state else { return false }
            return running.workers.areRunning
        }
    }

    /// The number of parked reads: those that wait for missing chunks, and those that are being answered after such a
    /// wait.
    public var parkedReads: Int {
        state.withLock { state in
            guard case .running(let running) = state else { return 0 }
            return running.session.parked.withLock { $0.count }
        }
    }

    /// Unmounts the file system and stops the server. Every waiting read fails with EIO, and every other use of the
    /// mount fails, too. A thread that hangs in a disk access is left behind.
    ///
    /// This function takes at most about 2.25 times ``FUSEOptions/stopTimeout``. A further call, or a call during
    /// ``start()``, does nothing. A server that is stopped before its start cannot be started.
    public func stop() {
        let running: Running? = state.withLock { state in
            defer { if case .starting = state {} else { state = .stopped } }
            if case .running(let running) = state { return running }
            return nil
        }
        guard let running else { return }
        fileSystem.onChange(nil)
        running.workers.expectEnd()
        let answered = running.session.stopParking(timeout: options.stopTimeout)
        // Detach the mount at once and abort the connection. A container may still have open files, or another mount
        // namespace a copy of the mount.
        do {
            try Sys.unmount(mountPoint, [.force, .detach])
        } catch {
            // The mount is already gone, or it is visible in other places too. The connection itself can still be
            // aborted.
            try? FUSEConnection.abort(device: running.device)
        }
        if !running.workers.join(timeout: options.stopTimeout / 4) {
            try? FUSEConnection.abort(device: running.device)
        }
        let joined = running.workers.join(timeout: options.stopTimeout)
        if !answered || !joined { options.log("a request on \(mountPoint) did not end in time and was left behind") }
    }
}
