import Base
import Glibc
public import LazyFileSystem
import Linux
import SystemPackage

/// Serves a ``LazyFileSystem`` at a mount point: one connection, one descriptor, several threads that never wait for the
/// network.
///
/// Starts once and stops once. Nothing here blocks but ``start()`` and ``stop()``, both for a bounded time; neither may
/// be called on an event loop or in the cooperative pool.
public final class FUSEServer: Sendable {
    private struct Running: Sendable {
        let session: Session
        let workers: Workers
        /// `st_dev` of the mount: names its connection.
        let device: UInt64
    }

    private enum State: Sendable {
        case idle
        case starting
        case running(Running)
        case stopped
    }

    private let fileSystem: LazyFileSystem
    /// Where the file system is mounted. The directory must exist and be empty.
    public let mountPoint: String
    private let options: FUSEOptions
    private let state = Guarded(State.idle)
    /// Lives on after the server has stopped.
    public let statistics = FUSEStatistics()

    public init(fileSystem: LazyFileSystem, mountPoint: String, options: FUSEOptions = FUSEOptions()) {
        self.fileSystem = fileSystem
        self.mountPoint = mountPoint
        self.options = options
    }

    deinit {
        stop()
    }

    /// Mounts, and returns when the kernel and we have come to terms: from then on every path below the mount point works.
    /// A mount that an earlier process left behind when it died is taken away first. Bounded: ten seconds.
    public func start() throws(FUSEError) {
        let first = state.withLock { state in
            guard case .idle = state else { return false }
            state = .starting
            return true
        }
        guard first else { throw FUSEError(.alreadyStarted, "the file system has been started before") }
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
            // Aborts the connection, which ends the workers.
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

    /// The kernel takes the smaller of its own limit and ours in the INIT exchange; only this raises its own.
    private func setReadAhead(_ bytes: Int, device: UInt64) {
        let name = "0:\((device & 0xff) | ((device >> 12) & 0xfff00))"
        do {
            let file = try Sys.open("/sys/class/bdi/\(name)/read_ahead_kb", .writeOnly)
            let text = Array("\(bytes >> 10)".utf8)
            try text.withUnsafeBytes { try Sys.writeAll(file.raw, $0) }
        } catch {
            options.log("the kernel's read-ahead could not be set: \(error)")
        }
    }

    /// Whether the file system is mounted and served.
    public var isMounted: Bool {
        state.withLock { state in
            guard case .running(let running) = state else { return false }
            return running.workers.areRunning
        }
    }

    /// Reads that wait for chunks at this moment.
    public var parkedReads: Int {
        state.withLock { state in
            guard case .running(let running) = state else { return 0 }
            return running.session.parked.withLock { $0.count }
        }
    }

    /// Unmounts and ends. Every read that waits is answered with EIO; whoever still uses the mount gets errors; when a thread
    /// hangs in the disk, it is left behind. Bounded by ``FUSEOptions/stopTimeout``, about twice. Calling it again, or
    /// without a start, does nothing.
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
        // Out of the tree at once, and the connection aborted: also when a container holds files open, or when
        // another mount namespace has a copy.
        do {
            try Sys.unmount(mountPoint, [.force, .detach])
        } catch {
            // Somebody else unmounted it, or it was never ours alone: the connection itself can still be ended.
            try? FUSEConnection.abort(device: running.device)
        }
        if !running.workers.join(timeout: options.stopTimeout / 4) {
            try? FUSEConnection.abort(device: running.device)
        }
        let joined = running.workers.join(timeout: options.stopTimeout)
        if !answered || !joined { options.log("a request on \(mountPoint) did not end in time and was left behind") }
    }
}
