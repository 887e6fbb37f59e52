public import Base
public import Concurrency
public import ContainerdAPI
public import GRPCCore
public import Images
import Linux
public import Logging
public import NodeDatabase
public import SwiftProtobuf
import SystemPackage

/// containerd's Snapshots v1 service.
///
/// The records are in ``SnapshotRecords``, the directories of local snapshots are beside the database, and
/// ``RemoteImages`` provides the remote layers. Every call answers within a time limit, because containerd sets no
/// deadlines. During garbage collection, containerd holds a lock while it calls `List` and `Remove`. So `Remove` only
/// records the deletion. Later, containerd calls `Cleanup` without the lock, and `Cleanup` deletes the directories.
public final class SnapshotService: Containerd_Services_Snapshots_V1_Snapshots.SimpleServiceProtocol {
    /// The limits of calls and preparations.
    public struct Limits: Sendable {
        /// The maximum time that a `Prepare` call waits for a remote layer. After this time, containerd downloads the
        /// layer.
        public var prepare: Duration = .seconds(30)
        /// The maximum time of one call, or of one message of a `List` call. A `Prepare` call may take this time plus
        /// ``prepare``. A `Cleanup` call has its own limit, ``cleanup``.
        public var request: Duration = .seconds(30)
        /// The maximum time until the answer to a `Cleanup` call. After this time, the cleanup continues in the
        /// background.
        public var cleanup: Duration = .seconds(60)
        /// The time after which a cleanup that left something is repeated. It is a little longer than an opened image
        /// stays in memory.
        public var cleanupRetry: Duration = .seconds(150)
        /// The maximum number of remote layers that are prepared at the same time.
        public var layersInPreparation = 512

        public init() {}
    }

    public let records: SnapshotRecords
    private let state: StateDatabase
    let remote: any RemoteImages
    let limits: Limits
    let clock: any TimeSource
    let logger: Logger
    let directories: SnapshotDirectories
    let overlayOptions: [String]
    /// The threads for short work. Measuring or deleting a directory tree takes long, so such work runs on the threads
    /// of `slow`.
    let quick = BlockingPool(threads: 3)
    let slow = BlockingPool(threads: 2)
    let preparations: SingleFlight<PreparationKey, Preparation>
    let cleanups: SingleFlight<Bool, Void>
    /// The scheduled repetition of a cleanup that left something; `nil` if there is none.
    let retry = Guarded<Task<Void, Never>?>(nil)
    let fallbacks = FallbackCounters()

    /// Creates the service. `state` holds the records, and `clock` measures the time limits.
    public init(
        state: StateDatabase, remote: any RemoteImages, limits: Limits = Limits(), logger: Logger,
        clock: any TimeSource = .system
    ) throws(SnapshotterError) {
        self.state = state
        records = SnapshotRecords(state)
        self.remote = remote
        self.limits = limits
        self.clock = clock
        self.logger = logger
        directories = try SnapshotDirectories(root: state.root)
        overlayOptions = KernelOverlay.mountOptions()
        preparations = SingleFlight(
            clock: clock, abandonAfter: limits.prepare * 4, limit: limits.layersInPreparation)
        cleanups = SingleFlight(clock: clock, abandonAfter: .seconds(3600), limit: 1)
        if let recovery = state.recovery {
            logger.error(
                "snapshot database unusable: starting with an empty one",
                metadata: [
                    "reason": "\(recovery.reason)", "quarantined": "\(recovery.quarantined.joined(separator: " "))",
                ])
        }
    }

    /// Reconciles records and directories after a crash. Call this once, before the first request.
    ///
    /// Leaves a directory without a record to the next `Cleanup`, which deletes it. If the directory of a committed
    /// snapshot is missing, this function only logs an error, and mounts on top of the snapshot will fail. If the
    /// directory of any other snapshot is missing, this function creates an empty directory.
    public func recover() async throws {
        try await quick.run { [self] in
            let (orphans, missing) = try records.reconcile(present: try directories.present())
            if !orphans.isEmpty {
                logger.notice("deleting directories without a snapshot", metadata: ["count": "\(orphans.count)"])
            }
            for record in missing {
                if record.kind == .committed {
                    logger.error(
                        "committed snapshot has no directory: remove and pull the images that use it",
                        metadata: ["snapshot": "\(record.key)", "directory": "\(directories.directory(record.id))"])
                } else {
                    logger.warning(
                        "active snapshot has no directory: creating an empty one",
                        metadata: ["snapshot": "\(record.key)"])
                    try directories.make(record.id, work: record.kind == .active, parent: nil)
                }
            }
        }
    }

    /// Stops the threads and closes the database. No request may be running.
    public func shutDown() async throws {
        retry.withLock { $0 }?.cancel()
        await quick.shutDown()
        await slow.shutDown()
        try state.close()
    }

    // MARK: - Calls that change nothing

    public func mounts(
        request: Containerd_Services_Snapshots_V1_MountsRequest, context: ServerContext
    ) async throws -> Containerd_Services_Snapshots_V1_MountsResponse {
        try await answer("Mounts") { [self] in
            let (record, stack) = try await quick.run { [records] in try records.recordAndStack(key: request.key) }
            guard record.kind != .committed else {
                throw SnapshotterError(.failedPrecondition, "snapshot \(request.key) is committed: it has no mounts")
            }
            let plan = try await mountPlan(of: record, stack: stack)
            return .with { $0.mounts = plan.mounts }
        }
    }

    public func stat(
        request: Containerd_Services_Snapshots_V1_StatSnapshotRequest, context: ServerContext
    ) async throws -> Containerd_Services_Snapshots_V1_StatSnapshotResponse {
        try await answer("Stat") { [self] in
            let record = try await quick.run { [records] in try records.record(key: request.key) }
            return .with { $0.info = Containerd_Services_Snapshots_V1_Info(record) }
        }
    }

    public func list(
        request: Containerd_Services_Snapshots_V1_ListSnapshotsRequest,
        response: RPCWriter<Containerd_Services_Snapshots_V1_ListSnapshotsResponse>, context: ServerContext
    ) async throws {
        let filter = try SnapshotFilter(request.filters)
        var listing = SnapshotListing(filter: filter)
        // Each frame shows one state of the database. No lock or transaction is held between frames, because the client
        // may be slow. Snapshot numbers only grow, and a snapshot keeps its number. So a snapshot that exists during
        // the whole call appears exactly once.
        while !listing.isAtEnd {
            let before = listing
            let (frame, after) = try await answer("List") { [self] in
                try await quick.run { [records] in
                    var listing = before
                    return (try listing.nextFrame(from: records), listing)
                }
            }
            listing = after
            if !frame.isEmpty {
                try await response.write(.with { $0.info = frame.map { .init($0) } })
            }
            if context.cancellation.isCancelled { return }
        }
    }

    public func usage(
        request: Containerd_Services_Snapshots_V1_UsageRequest, context: ServerContext
    ) async throws -> Containerd_Services_Snapshots_V1_UsageResponse {
        try await answer("Usage") { [self] in
            let record = try await quick.run { [records] in try records.record(key: request.key) }
            let usage = try await usage(of: record)
            return .with {
                $0.size = usage.size
                $0.inodes = usage.inodes
            }
        }
    }

    private func usage(of record: SnapshotRecord) async throws -> SnapshotUsage {
        if record.kind == .committed, let usage = record.usage { return usage }
        guard record.hasDirectory else { return SnapshotUsage(size: 0, inodes: 0) }
        // containerd commits inside its own transaction, so a commit must not walk a directory tree. Instead, the first
        // `Usage` request for a committed snapshot measures it.
        return try await slow.run { [records, directories] in
            let measured: DirectoryUsage
            do throws(Errno) {
                measured = try DirectoryUsage.measure(directories.upper(record.id))
            } catch .noSuchFileOrDirectory {
                return SnapshotUsage(size: 0, inodes: 0)
            }
            if record.kind == .committed, measured.isComplete { try records.setUsage(id: record.id, measured.usage) }
            return measured.usage
        }
    }

    // MARK: - Calls that change records

    public func commit(
        request: Containerd_Services_Snapshots_V1_CommitSnapshotRequest, context: ServerContext
    ) async throws -> Google_Protobuf_Empty {
        try await answer("Commit") { [self] in
            try SnapshotLabels.check(key: request.name, "name")
            try SnapshotLabels.check(request.labels)
            try await quick.run { [records] in
                try records.commit(
                    name: request.name, key: request.key, labels: SnapshotLabels.stored(request.labels),
                    parent: request.parent)
            }
            return Google_Protobuf_Empty()
        }
    }

    public func update(
        request: Containerd_Services_Snapshots_V1_UpdateSnapshotRequest, context: ServerContext
    ) async throws -> Containerd_Services_Snapshots_V1_UpdateSnapshotResponse {
        try await answer("Update") { [self] in
            let name = request.info.name
            try SnapshotLabels.check(key: name, "name")
            let fields = try LabelFields(
                paths: request.hasUpdateMask ? request.updateMask.paths : [], snapshot: name)
            let record = try await quick.run { [records] in
                try records.update(key: name) { fields.apply(request.info.labels, to: &$0) }
            }
            return .with { $0.info = Containerd_Services_Snapshots_V1_Info(record) }
        }
    }

    public func remove(
        request: Containerd_Services_Snapshots_V1_RemoveSnapshotRequest, context: ServerContext
    ) async throws -> Google_Protobuf_Empty {
        try await answer("Remove") { [self] in
            do {
                try await quick.run { [records] in try records.remove(key: request.key) }
            } catch let error as NodeDatabaseError where [.unavailable, .storage].contains(error.code) {
                // With any other code, containerd aborts its whole garbage collection of this snapshotter.
                throw SnapshotterError(.failedPrecondition, "cannot remove snapshot \(request.key) now", cause: error)
            }
            return Google_Protobuf_Empty()
        }
    }

    public func cleanup(
        request: Containerd_Services_Snapshots_V1_CleanupRequest, context: ServerContext
    ) async throws -> Google_Protobuf_Empty {
        await cleanUp()
        return Google_Protobuf_Empty()
    }

    // MARK: - Bounds

    /// Runs `body`, the work of one gRPC call, within the time limit of one request. Throws only errors that have a
    /// gRPC status code.
    ///
    /// - Parameters:
    ///   - call: the name of the gRPC method, for error messages and the log. A `Remove` call that exceeds the time
    ///     limit fails with `failedPrecondition` instead of `deadlineExceeded`.
    ///   - waiting: the time by which this call may exceed ``Limits/request``.
    func answer<Value: Sendable>(
        _ call: String, waiting: Duration = .zero, _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        do {
            return try await answer(within: limits.request + waiting, body)
        } catch {
            let failure = SnapshotterError.wrapping(error, call)
            if failure.code == .storage {
                logger.error("\(call) failed", metadata: ["error": "\(failure)"])
            }
            if call == "Remove", failure.code == .deadlineExceeded {
                throw SnapshotterError(.failedPrecondition, "cannot remove the snapshot now", cause: failure)
            }
            throw failure
        }
    }

    /// Returns the result of `body`, or throws ``TimeoutError`` after `limit`.
    ///
    /// containerd sets no deadlines and holds a lock during some calls, so the service must answer in time. This
    /// function cancels the task of `body` after the limit, or when the RPC or the server is canceled. It does not wait
    /// for the canceled task. A database transaction that has begun runs to its end.
    private func answer<Value: Sendable>(
        within limit: Duration, _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        let work = Task { try await withTimeout(limit, clock: clock, body) }
        return try await withRPCCancellationHandler {
            try await withTaskCancellationHandler {
                try await work.value
            } onCancel: {
                work.cancel()
            }
        } onCancelRPC: {
            work.cancel()
        }
    }
}

extension Containerd_Services_Snapshots_V1_Info {
    init(_ record: SnapshotRecord) {
        self.init()
        name = record.key
        parent = record.parentKey
        switch record.kind {
        case .view: kind = .view
        case .active: kind = .active
        case .committed: kind = .committed
        }
        createdAt = Google_Protobuf_Timestamp(nanoseconds: record.created)
        updatedAt = Google_Protobuf_Timestamp(nanoseconds: record.updated)
        labels = record.labels
    }
}

extension Google_Protobuf_Timestamp {
    /// Creates a timestamp from nanoseconds since 1970.
    init(nanoseconds: Int64) {
        let (seconds, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        self.init(seconds: seconds, nanos: Int32(rest))
    }
}
