public import ContentStore

/// The state machine of reads that wait for missing chunks. The caller provides the lock, the requests and the threads.
///
/// A read is opened, then waits (``wait(_:for:attempt:)``). Its wait ends with one of three events: its demand (the
/// request for its chunks) completes, its reader dies, or the server stops. The method for the event returns the read
/// to its caller, which answers and closes it. After a completed demand, the caller may instead let the read wait
/// again.
///
/// An interrupt means that some signal is pending for the reader. Only a fatal signal may end the read of a file:
/// programs do not expect other interruptions, and a page fault that fails raises SIGBUS. So the server watches an
/// interrupted read until the read ends or its reader dies.
public struct ParkedReads<Read> {
    /// The result of ``ParkedReads/wait(_:for:attempt:)``.
    public enum Admission: Hashable, Sendable {
        case waiting
        /// The read does not wait, because the server is stopping. The caller must answer EIO.
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

    /// The number of reads that are open and not yet closed.
    public var count: Int { entries.count }

    /// Opens a read that is about to wait, and returns its ID; `nil` if the server is stopping.
    public mutating func open() -> UInt64? {
        guard !stopping else { return nil }
        defer { nextID += 1 }
        entries[nextID] = Entry()
        return nextID
    }

    /// Lets `read` wait for its chunks.
    ///
    /// - Parameter attempt: the number of times that the read has waited, including this time.
    public mutating func wait(_ id: UInt64, for read: Read, attempt: Int) -> Admission {
        guard let entry = entries[id], !stopping else { return .stopping }
        entries[id] = Entry(read: read, attempt: attempt, demand: nil, interrupted: entry.interrupted)
        return .waiting
    }

    /// Records the demand (the request for chunks) that the read waits for.
    /// - Returns: false if the read no longer waits in this attempt. Then the caller must cancel the demand.
    public mutating func demanded(_ id: UInt64, as demand: DemandID, attempt: Int) -> Bool {
        guard let entry = entries[id], entry.read != nil, entry.attempt == attempt else { return false }
        entries[id]?.demand = demand
        return true
    }

    /// Ends the wait of the read in attempt `attempt`, because its demand has completed.
    /// - Returns: the read; `nil` if it no longer waits in this attempt.
    public mutating func complete(_ id: UInt64, attempt: Int) -> Read? {
        guard let entry = entries[id], let read = entry.read, entry.attempt == attempt else { return nil }
        entries[id]?.read = nil
        return read
    }

    /// Records that a signal is pending for the reader.
    /// - Returns: true if the caller must start the watch, a loop that calls ``interrupted()`` until the result is
    ///   `nil`.
    public mutating func interrupt(_ id: UInt64) -> Bool {
        guard entries[id] != nil else { return false }
        entries[id]?.interrupted = true
        defer { isWatched = true }
        return !isWatched
    }

    /// Returns the interrupted reads that wait now. If no open read is interrupted, returns `nil`. The watch, the loop
    /// that calls this function, then ends.
    public mutating func interrupted() -> [(id: UInt64, read: Read)]? {
        let marked = entries.filter { $0.value.interrupted }
        guard !marked.isEmpty else {
            isWatched = false
            return nil
        }
        return marked.compactMap { id, entry in entry.read.map { (id, $0) } }
    }

    /// Records that the caller could not start the watch of interrupted reads. The next ``interrupt(_:)`` of an open
    /// read then returns true, so that its caller tries again.
    public mutating func abandonWatch() {
        isWatched = false
    }

    /// Ends the wait of a read whose reader is dying. Returns the read and the demand to cancel; `nil` if the read does
    /// not wait any more.
    public mutating func take(_ id: UInt64) -> (read: Read, demand: DemandID?)? {
        guard let entry = entries[id], let read = entry.read else { return nil }
        entries[id]?.read = nil
        return (read, entry.demand)
    }

    /// Closes a read that has been answered.
    public mutating func close(_ id: UInt64) {
        entries[id] = nil
    }

    /// Ends all waits, and refuses further reads.
    /// - Returns: the reads that waited, each with the demand to cancel, if any. The caller must answer each read and
    ///   then call ``close(_:)`` for it.
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
