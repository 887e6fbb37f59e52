public import ContentStore

/// The state machine of parked reads: reads that wait for missing chunks. The caller of its methods provides the lock,
/// the requests and the threads.
///
/// The caller opens a read with ``open()``, and then lets it wait with ``wait(_:for:attempt:)``. A read is *open* until
/// the caller closes it with ``close(_:)``. One of three events ends its wait: its demand (the request for its chunks)
/// completes, its reader dies, or the server stops. The method for the event returns the read to the caller. The caller
/// then answers the read and closes it. After a completed demand, the caller may instead let the read wait again. Each
/// wait of a read is one *attempt*.
///
/// An interrupt means that some signal is pending for the reader. Only a fatal signal may end the read of a file:
/// programs do not expect other interruptions, and a page fault that fails raises SIGBUS. So the caller runs a *watch*
/// while any interrupted read is open. The watch is a loop that calls ``interrupted()`` and checks if the readers of
/// these reads are dying.
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

    /// The number of open reads: those that were opened and not yet closed.
    public var count: Int { entries.count }

    /// Opens a read that is about to wait, and returns its ID; `nil` if the server is stopping.
    public mutating func open() -> UInt64? {
        guard !stopping else { return nil }
        defer { nextID += 1 }
        entries[nextID] = Entry()
        return nextID
    }

    /// Lets an open read wait for its chunks.
    ///
    /// - Parameters:
    ///   - read: the read itself. The method that ends the wait returns it.
    ///   - attempt: the number of times that the read has waited, including this time.
    public mutating func wait(_ id: UInt64, for read: Read, attempt: Int) -> Admission {
        guard let entry = entries[id], !stopping else { return .stopping }
        entries[id] = Entry(read: read, attempt: attempt, demand: nil, interrupted: entry.interrupted)
        return .waiting
    }

    /// Records `demand`, the request for the chunks for which the read waits in attempt `attempt`.
    ///
    /// - Returns: false if the read no longer waits in this attempt. Then the caller must cancel the demand.
    public mutating func demanded(_ id: UInt64, as demand: DemandID, attempt: Int) -> Bool {
        guard let entry = entries[id], entry.read != nil, entry.attempt == attempt else { return false }
        entries[id]?.demand = demand
        return true
    }

    /// Ends the wait of the read in attempt `attempt`, because its demand has completed.
    ///
    /// - Returns: the read; `nil` if it no longer waits in this attempt.
    public mutating func complete(_ id: UInt64, attempt: Int) -> Read? {
        guard let entry = entries[id], let read = entry.read, entry.attempt == attempt else { return nil }
        entries[id]?.read = nil
        return read
    }

    /// Records that a signal is pending for the reader of a read.
    ///
    /// - Returns: true if the caller must start the watch, a loop that calls ``interrupted()`` until the result is
    ///   `nil`. False if the watch runs already, or if the read is closed.
    public mutating func interrupt(_ id: UInt64) -> Bool {
        guard entries[id] != nil else { return false }
        entries[id]?.interrupted = true
        defer { isWatched = true }
        return !isWatched
    }

    /// Returns the interrupted reads that wait now. The watch calls this function again and again. If no open read is
    /// interrupted, the function returns `nil`, and the watch must end.
    public mutating func interrupted() -> [(id: UInt64, read: Read)]? {
        let marked = entries.filter { $0.value.interrupted }
        guard !marked.isEmpty else {
            isWatched = false
            return nil
        }
        return marked.compactMap { id, entry in entry.read.map { (id, $0) } }
    }

    /// Records that the caller failed to start the watch, which ``interrupt(_:)`` had asked for. So ``interrupt(_:)``
    /// asks for the watch again when the next interrupt of a read that is not yet closed arrives.
    public mutating func abandonWatch() {
        isWatched = false
    }

    /// Ends the wait of a read whose reader is dying. Returns the read, and its demand for the caller to cancel. The
    /// demand is `nil` if the caller has not recorded one yet. Returns `nil` instead of both if the read no longer
    /// waits.
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
    ///
    /// - Returns: the reads that waited. The caller must answer each of them, cancel its demand if it has one, and then
    ///   call ``close(_:)`` for it.
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
