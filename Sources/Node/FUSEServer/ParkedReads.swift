public import ContentStore

/// The rules for waiting reads, without a lock, a request or a thread.
///
/// A read is opened, then waits (``wait(_:for:attempt:)``) until one of three events takes it: its demand completes,
/// its reader dies, or the server stops. The event's handler answers and closes the read. After a completed demand it
/// may instead let the read wait again.
///
/// An interrupt means that some signal is pending for the reader. Only a fatal signal may end the read of a file:
/// programs do not expect other interruptions, and a failing page fault raises SIGBUS. So an interrupted read is
/// watched until it ends or its reader dies.
public struct ParkedReads<Read> {
    /// The result of letting a read wait.
    public enum Admission: Hashable, Sendable {
        case waiting
        /// The server is stopping, so answer EIO.
        case stopping
    }

    private struct Entry {
        var read: Read?
        var attempt = 0
        var demand: DemandID?
        var interrupted = false
    }

    private var entries: [UInt64: Entry] = [:]
    private var nextID: UInt64 = 1
    private var stopping = false
    private var isWatched = false

    public init() {}

    /// The number of open reads.
    public var count: Int { entries.count }

    /// Returns a number for a read that is about to wait, or `nil` if the server is stopping.
    public mutating func open() -> UInt64? {
        guard !stopping else { return nil }
        defer { nextID += 1 }
        entries[nextID] = Entry()
        return nextID
    }

    /// Lets `read` wait for the chunks of attempt `attempt`, the first or a later one.
    public mutating func wait(_ id: UInt64, for read: Read, attempt: Int) -> Admission {
        guard let entry = entries[id], !stopping else { return .stopping }
        entries[id] = Entry(read: read, attempt: attempt, demand: nil, interrupted: entry.interrupted)
        return .waiting
    }

    /// Records the demand that the read waits for.
    /// - Returns: false if the read no longer waits in this attempt. Then the caller must cancel the demand.
    public mutating func demanded(_ id: UInt64, as demand: DemandID, attempt: Int) -> Bool {
        guard let entry = entries[id], entry.read != nil, entry.attempt == attempt else { return false }
        entries[id]?.demand = demand
        return true
    }

    /// Ends the wait of attempt `attempt`. Returns the read, or `nil` if the read no longer waits in this attempt.
    public mutating func complete(_ id: UInt64, attempt: Int) -> Read? {
        guard let entry = entries[id], let read = entry.read, entry.attempt == attempt else { return nil }
        entries[id]?.read = nil
        return read
    }

    /// Records that a signal is pending for the reader.
    /// - Returns: true if the caller must start the watch: it calls ``interrupted()`` repeatedly until that returns
    ///   `nil`.
    public mutating func interrupt(_ id: UInt64) -> Bool {
        guard entries[id] != nil else { return false }
        entries[id]?.interrupted = true
        defer { isWatched = true }
        return !isWatched
    }

    /// Returns the interrupted reads that wait now. Returns `nil` if no open read is interrupted, and so ends the
    /// watch.
    public mutating func interrupted() -> [(id: UInt64, read: Read)]? {
        let marked = entries.filter { $0.value.interrupted }
        guard !marked.isEmpty else {
            isWatched = false
            return nil
        }
        return marked.compactMap { id, entry in entry.read.map { (id, $0) } }
    }

    /// Records that the watch did not start. The next interrupt then asks for it again.
    public mutating func abandonWatch() {
        isWatched = false
    }

    /// Takes a read whose reader is dying, together with the demand to cancel. Returns `nil` if the read has been taken
    /// or closed.
    public mutating func take(_ id: UInt64) -> (read: Read, demand: DemandID?)? {
        guard let entry = entries[id], let read = entry.read else { return nil }
        entries[id]?.read = nil
        return (read, entry.demand)
    }

    /// Closes a read that has been answered.
    public mutating func close(_ id: UInt64) {
        entries[id] = nil
    }

    /// Refuses further reads. Returns all waiting reads, which the caller must answer and close, with the demands to
    /// cancel.
    public mutating func stop() -> [(id: UInt64, read: Read, demand: DemandID?)] {
        stopping = true
        var taken: [(id: UInt64, read: Read, demand: DemandID?)] = []
        for (id, entry) in entries {
            guard let read = entry.read else { continue }
            taken.append((id, read, entry.demand))
            entries[id]?.read = nil
        }
        return taken
    }
}
