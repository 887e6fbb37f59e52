public import ContentStore

/// Which reads wait: the rules, without a lock, a request or a thread.
///
/// A read is opened, then waits (`wait`) until one of three takes it: its demand's completion, the death of its reader, or
/// the end of the server. Whoever takes it answers it and closes it.
///
/// An interrupt says that a signal waits for the reader, not which. The read of a file is not broken off by a signal that
/// does not kill: programs do not expect it, and a page fault that fails is a SIGBUS. So an interrupted read is watched
/// until it ends or its reader dies.
public struct ParkedReads<Read> {
    /// What came of an attempt to let a read wait.
    public enum Admission: Hashable, Sendable {
        case waiting
        /// The server stops: answer EIO.
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

    /// Reads that are open.
    public var count: Int { entries.count }

    /// A number for a read that is about to wait; `nil` when the server stops.
    public mutating func open() -> UInt64? {
        guard !stopping else { return nil }
        defer { nextID += 1 }
        entries[nextID] = Entry()
        return nextID
    }

    /// Lets `read` wait for the first time, or again.
    public mutating func wait(_ id: UInt64, _ read: Read, attempt: Int) -> Admission {
        guard let entry = entries[id], !stopping else { return .stopping }
        entries[id] = Entry(read: read, attempt: attempt, demand: nil, interrupted: entry.interrupted)
        return .waiting
    }

    /// Remembers which demand the read waits for.
    /// - Returns: false when it waits for that one no more: the demand is to be cancelled.
    public mutating func demanded(_ id: UInt64, _ demand: DemandID, attempt: Int) -> Bool {
        guard let entry = entries[id], entry.read != nil, entry.attempt == attempt else { return false }
        entries[id]?.demand = demand
        return true
    }

    /// The demand of attempt `attempt` has ended: the read, unless somebody else has it.
    public mutating func complete(_ id: UInt64, attempt: Int) -> Read? {
        guard let entry = entries[id], let read = entry.read, entry.attempt == attempt else { return nil }
        entries[id]?.read = nil
        return read
    }

    /// A signal waits for the reader.
    /// - Returns: whether somebody has to begin to watch such reads, by calling ``interrupted()`` until it gives `nil`.
    public mutating func interrupt(_ id: UInt64) -> Bool {
        guard entries[id] != nil else { return false }
        entries[id]?.interrupted = true
        defer { isWatched = true }
        return !isWatched
    }

    /// The interrupted reads that wait now; `nil` when no read is interrupted any more, which ends the watch.
    public mutating func interrupted() -> [(id: UInt64, read: Read)]? {
        let marked = entries.filter { $0.value.interrupted }
        guard !marked.isEmpty else {
            isWatched = false
            return nil
        }
        return marked.compactMap { id, entry in entry.read.map { (id, $0) } }
    }

    /// Nobody watches after all: the next interrupt asks again.
    public mutating func abandonWatch() {
        isWatched = false
    }

    /// The reader dies: the read and the demand to cancel, or `nil` when it is in somebody's hand or closed.
    public mutating func take(_ id: UInt64) -> (read: Read, demand: DemandID?)? {
        guard let entry = entries[id], let read = entry.read else { return nil }
        entries[id]?.read = nil
        return (read, entry.demand)
    }

    /// The read has been answered.
    public mutating func close(_ id: UInt64) {
        entries[id] = nil
    }

    /// Nothing waits from here on: all that did, to be answered, cancelled and closed.
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
