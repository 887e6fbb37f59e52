import Base
import CLinux
import Glibc
public import SystemPackage

/// A thread with a name for `top -H` and core dumps. The thread blocks all signals, because the daemon's service group
/// handles them.
///
/// The thread does not keep this object alive, and does not need it. If nobody calls ``join()``, the thread still runs
/// to its end, and the system then frees the thread's resources.
public final class NamedThread: Sendable {
    private struct Body {
        let name: String
        let run: @Sendable () -> Void
        let finished: Guarded<Bool>
    }

    /// An object that carries the thread's closure through the `void *` argument of pthread_create(3).
    private final class Box {
        let body: Body

        init(_ body: Body) {
            self.body = body
        }
    }

    private let thread: pthread_t
    private let finished: Guarded<Bool>
    private let joined = Guarded(false)

    /// Starts a thread that runs `body` on a stack of `stackBytes` bytes, at least 64 KiB. The thread's name is the
    /// first 15 bytes of `name`, the kernel's limit. Throws `EAGAIN` if no more threads can be created.
    public init(
        name: String, stackBytes: Int = 1 << 20, _ body: @escaping @Sendable () -> Void
    ) throws(Errno) {
        let finished = Guarded(false)
        let box = Unmanaged.passRetained(Box(Body(name: name, run: body, finished: finished)))
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, max(stackBytes, 64 << 10))
        // A thread inherits its creator's signal mask. Block here, so that no signal reaches the new thread before it
        // runs.
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, &before)
        var thread = pthread_t()
        let code = pthread_create(&thread, &attributes, Self.start, box.toOpaque())
        pthread_sigmask(SIG_SETMASK, &before, nil)
        guard code == 0 else {
            box.release()
            throw Errno(rawValue: code)
        }
        self.thread = thread
        self.finished = finished
    }

    // The closure of a static property is isolated to no actor, wherever the thread is started.
    private static let start: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { argument in
        guard let argument else { return nil }
        let body = Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body
        setName(body.name)
        body.run()
        body.finished.withLockBroadcasting { $0 = true }
        return nil
    }

    deinit {
        if !joined.withLock({ $0 }) { pthread_detach(thread) }
    }

    /// Waits until the thread's body has returned. Any number of threads may wait, except the thread itself.
    public func join() {
        precondition(pthread_equal(thread, pthread_self()) == 0, "a thread cannot join itself")
        finished.waitUntil { $0 ? () : nil }
        let first = joined.withLock { joined in
            defer { joined = true }
            return !joined
        }
        if first { pthread_join(thread, nil) }
    }

    /// True once the body has returned.
    public var isFinished: Bool { finished.withLock { $0 } }

    private static func setName(_ name: String) {
        var short = ""
        for character in name {
            guard short.utf8.count + character.utf8.count <= 15 else { break }
            short.append(character)
        }
        rv_set_thread_name(short)
    }
}
