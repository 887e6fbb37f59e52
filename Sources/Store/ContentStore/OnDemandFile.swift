import Concurrency
import Glibc
import Linux
import Synchronization
import SystemPackage

/// A file of a layer that is opened when it is used, and closed again while the store has too many open files.
///
/// A node may have thousands of layers, each of them with several files, and most layers are idle. All methods may be
/// called from any thread.
final class OnDemandFile: Sendable {
    /// The time between two attempts to open the file while the process has no free descriptor, in microseconds.
    private static let openingPause: UInt32 = 20_000
    /// The maximum number of these attempts. The keeper of the store closes files each second.
    private static let openingAttempts = 100

    let path: String
    /// The number of the inode. The file under ``path`` must not become another one.
    private let inode: UInt64
    /// The descriptor; -1 while the file is closed.
    private let descriptor: Atomic<Int32>
    private let wasUsed = Atomic<Bool>(true)
    private let uses = OperationBarrier()
    private let opening = BlockingLock()
    private let budget: DescriptorBudget

    /// - Parameter file: the file, open for reading and writing.
    init(_ file: consuming OwnedDescriptor, path: String, budget: DescriptorBudget) throws(Errno) {
        inode = try Sys.fstat(file.raw).inode
        self.path = path
        self.budget = budget
        descriptor = Atomic(file.release())
        budget.add()
    }

    deinit { close { _ in } }

    /// True while the file has a descriptor.
    var isOpen: Bool { descriptor.load(ordering: .relaxed) >= 0 }

    /// Runs `body` with the file's descriptor, which is valid until `body` returns. Opens the file if it is closed.
    ///
    /// - Throws: the error of `body`, or of open(2); `EIO` if the file was replaced by another one.
    @inline(__always)
    func use<Result>(_ body: (Int32) throws(Errno) -> Result) throws(Errno) -> Result {
        // The descriptor is closed only after the end of all uses that saw it.
        try uses.during { () throws(Errno) in
            if !wasUsed.load(ordering: .relaxed) { wasUsed.store(true, ordering: .relaxed) }
            let open = descriptor.load(ordering: .sequentiallyConsistent)
            return try body(open >= 0 ? open : try opened())
        }
    }

    /// Opens the file, unless another thread has opened it in the meantime.
    private func opened() throws(Errno) -> Int32 {
        try opening.withLock { () throws(Errno) in
            let other = descriptor.load(ordering: .sequentiallyConsistent)
            guard other < 0 else { return other }
            let file = try waitingForDescriptor { () throws(Errno) in
                try Sys.open(path, [.readWrite, .noFollow, .nonBlocking])
            }
            guard try Sys.fstat(file.raw).inode == inode else { throw .ioError }
            let raw = file.release()
            budget.add()
            descriptor.store(raw, ordering: .sequentiallyConsistent)
            return raw
        }
    }

    /// Returns the result of `open`. While the process has too many open files, waits until the store has closed some.
    private func waitingForDescriptor(
        _ open: () throws(Errno) -> OwnedDescriptor
    ) throws(Errno) -> OwnedDescriptor {
        for _ in 1..<Self.openingAttempts {
            do throws(Errno) {
                return try open()
            } catch .tooManyOpenFiles {
                usleep(Self.openingPause)
            }
        }
        return try open()
    }

    /// Returns true if the file is open and was not used since the last call.
    func becameIdle() -> Bool { isOpen && !wasUsed.exchange(false, ordering: .relaxed) }

    /// Closes the file until it is used again. Waits for the uses that are running. Only one thread at a time may call
    /// this method.
    ///
    /// - Parameter last: runs with the descriptor before it is closed. Not called if the file is closed.
    func close<Failure: Error>(_ last: (Int32) throws(Failure) -> Void) throws(Failure) {
        let raw = descriptor.exchange(-1, ordering: .sequentiallyConsistent)
        guard raw >= 0 else { return }
        uses.waitForEarlier()
        let file = OwnedDescriptor(taking: raw)
        budget.remove()
        try last(file.raw)
    }
}

/// The number of files that a store has open for its layers, and the limit.
///
/// Opening a file never fails for the limit: ``ContentStore/closeFiles(waitsForDisk:)`` closes files afterwards.
final class DescriptorBudget: Sendable {
    let limit: Int
    private let open = Atomic<Int>(0)

    init(limit: Int) { self.limit = limit }

    /// The number of open files.
    var count: Int { open.load(ordering: .relaxed) }

    func add() { open.wrappingAdd(1, ordering: .relaxed) }

    func remove() { open.wrappingSubtract(1, ordering: .relaxed) }
}
