import Base
import Concurrency

/// The policy of the memory for opening images: who may take how much of it, and in which order. It is pure:
/// ``OpeningBudget`` waits.
///
/// Each purpose has a line of its own, and a ceiling. So data that a registry sends slowly leaves room for building,
/// and both leave a quarter for merging. Work that has memory for one purpose may wait for memory of a later one, but
/// never the other way round. So the lines cannot wait for each other in a circle.
package struct OpeningMemoryLines {
    /// The uses of the memory, in the order in which one layer and then its chain need them.
    package enum Purpose: Int, CaseIterable, Sendable {
        /// Holding compressed tables of contents and encoded indexes while they arrive.
        case reading
        /// Building and verifying the index of a layer.
        case building
        /// Merging the trees of a chain.
        case merging
    }

    private struct Request {
        let ticket: UInt64
        let amount: UInt64
    }

    private let total: UInt64
    private var used = [UInt64](repeating: 0, count: Purpose.allCases.count)
    private var waiting = [FIFO<Request>](repeating: FIFO(), count: Purpose.allCases.count)

    package init(total: UInt64) {
        self.total = total
    }

    /// Returns the memory in bytes that all work of one purpose has at most.
    package func ceiling(of purpose: Purpose) -> UInt64 {
        switch purpose {
        case .reading: total / 4
        case .building: total / 2
        case .merging: total
        }
    }

    /// Asks for memory. Returns true if it is granted at once. Otherwise, a later event returns `ticket`.
    ///
    /// - Parameter amount: the memory in bytes, at most the ceiling of `purpose`.
    package mutating func request(_ amount: UInt64, for purpose: Purpose, ticket: UInt64) -> Bool {
        waiting[purpose.rawValue].append(Request(ticket: ticket, amount: amount))
        return grant().contains(ticket)
    }

    /// Gives memory back. Returns the tickets of the requests that are granted now.
    package mutating func release(_ amount: UInt64, of purpose: Purpose) -> [UInt64] {
        used[purpose.rawValue] -= min(amount, used[purpose.rawValue])
        return grant()
    }

    /// Removes a request.
    ///
    /// - Returns: true if the request was waiting, and the tickets of the requests that are granted now.
    package mutating func cancel(_ ticket: UInt64, for purpose: Purpose) -> (wasWaiting: Bool, granted: [UInt64]) {
        guard waiting[purpose.rawValue].remove(where: { $0.ticket == ticket }) != nil else { return (false, []) }
        return (true, grant())
    }

    private mutating func grant() -> [UInt64] {
        var granted: [UInt64] = []
        // A chain that waits to be merged belongs to a container that waits. So nothing else may delay it further.
        var reserved: UInt64 = 0
        for purpose in Purpose.allCases.reversed() {
            while let next = waiting[purpose.rawValue].first {
                let free = total - min(total, used.saturatingSum())
                guard next.amount <= ceiling(of: purpose) - min(used[purpose.rawValue], ceiling(of: purpose)),
                    next.amount <= free - min(free, reserved)
                else {
                    if purpose == .merging { reserved = next.amount }
                    break
                }
                _ = waiting[purpose.rawValue].popFirst()
                used[purpose.rawValue] += next.amount
                granted.append(next.ticket)
            }
        }
        return granted
    }
}

/// The memory for everything on the node that is being opened: tables of contents, artifact indexes, and trees under
/// construction. Work reserves an estimate before it begins. If there is not enough memory, the work waits in the line
/// of its purpose (``OpeningMemoryLines``), in order of arrival.
final class OpeningBudget: Sendable {
    private struct State {
        var lines: OpeningMemoryLines
        var nextTicket: UInt64 = 0
        var waiters: [UInt64: OneShot<Bool>] = [:]
    }

    private let state: Guarded<State>
    let total: UInt64

    /// Creates a budget of `total` bytes.
    init(_ total: UInt64) {
        self.total = total
        state = Guarded(State(lines: OpeningMemoryLines(total: total)))
    }

    /// The number of requests that wait.
    var waiterCount: Int { state.withLock { $0.waiters.count } }

    /// Reserves memory, and waits until there is enough.
    ///
    /// - Parameters:
    ///   - least: the memory in bytes without which the work cannot succeed.
    ///   - most: the memory that the work takes at most. The reservation is smaller if the purpose never has so much.
    ///   - subject: the layer or chain, for messages.
    /// - Throws: `limit` if `least` is more than the purpose ever has; `timeout` if the task is canceled.
    func reserve(
        least: UInt64, most: UInt64, for purpose: OpeningMemoryLines.Purpose, of subject: String
    ) async throws(FallbackReason) -> Reservation {
        let ceiling = state.withLock { $0.lines.ceiling(of: purpose) }
        guard least <= ceiling else {
            throw FallbackReason(
                .limit,
                "\(subject) takes at least \(least >> 20) MB of memory to open, and limits.opening_memory allows \(ceiling >> 20)"
            )
        }
        let amount = min(most, ceiling)
        let granted = OneShot<Bool>()
        let ticket = state.withLock { state in
            state.nextTicket += 1
            let ticket = state.nextTicket
            if state.lines.request(amount, for: purpose, ticket: ticket) {
                granted.fulfill(true)
            } else {
                state.waiters[ticket] = granted
            }
            return ticket
        }
        // A grant and a cancellation can race. The one that removes the waiter wins.
        let isGranted = await withTaskCancellationHandler {
            await granted.value
        } onCancel: {
            let freed = state.withLock { state -> [OneShot<Bool>]? in
                guard state.waiters.removeValue(forKey: ticket) != nil else { return nil }
                return Self.take(state.lines.cancel(ticket, for: purpose).granted, from: &state)
            }
            guard let freed else { return }
            granted.fulfill(false)
            for waiter in freed { waiter.fulfill(true) }
        }
        guard isGranted else { throw FallbackReason(.timeout, "\(subject): opening was cancelled") }
        return Reservation(of: self, amount: amount, for: purpose)
    }

    private static func take(_ tickets: [UInt64], from state: inout State) -> [OneShot<Bool>] {
        tickets.compactMap { state.waiters.removeValue(forKey: $0) }
    }

    fileprivate func release(_ amount: UInt64, of purpose: OpeningMemoryLines.Purpose) {
        let granted = state.withLock { Self.take($0.lines.release(amount, of: purpose), from: &$0) }
        for waiter in granted { waiter.fulfill(true) }
    }

    /// Reserved memory. ``release()`` gives it back, and so does the release of the last reference to this object.
    final class Reservation: Sendable {
        /// The reserved memory in bytes.
        let amount: UInt64
        private let budget: OpeningBudget
        private let purpose: OpeningMemoryLines.Purpose
        private let isReleased = Guarded(false)

        fileprivate init(of budget: OpeningBudget, amount: UInt64, for purpose: OpeningMemoryLines.Purpose) {
            self.budget = budget
            self.amount = amount
            self.purpose = purpose
        }

        deinit { release() }

        /// Gives the memory back. Further calls do nothing.
        func release() {
            let isFirst = isReleased.withLock { released -> Bool in
                defer { released = true }
                return !released
            }
            if isFirst { budget.release(amount, of: purpose) }
        }
    }
}
