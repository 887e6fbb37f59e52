import Base
import Concurrency
package import Registry

/// The rules by which layers get their turn to be verified.
///
/// One layer at a time is verified in the background. Layers for which somebody waits have turns of their own, so that
/// a slow registry in the background does not keep them waiting. Of these, each registry has at most one, so that a
/// registry that is slow on purpose keeps at most one from the others. The layers of one registry get their turns in
/// the order of the requests, but the next turn is always for the repository that has waited longest since its last
/// one. So a repository with many layers, or large ones, does not keep another one waiting for all of them.
package struct VerificationTurns {
    package enum Lane: Sendable {
        case background, urgent
    }

    /// A place in the queue.
    package typealias Ticket = UInt64

    /// The maximum number of urgent layers that are verified at the same time. Each of them may take the memory of a
    /// zstd window and of a layer's index.
    package static let urgentLimit = 3

    private struct Waiter {
        let ticket: Ticket
        let repository: Repository
        var isUrgent: Bool
    }

    private var next: Ticket = 0
    private var waiting: [Waiter] = []
    private var running: [Ticket: (lane: Lane, host: String)] = [:]
    /// The number of turns that were ever given.
    private var given: UInt64 = 0
    /// The number of the last turn of each repository that has layers here.
    private var lastTurns: [Repository: UInt64] = [:]

    package init() {}

    /// Adds a layer whose bytes come from `repository`.
    package mutating func request(_ repository: Repository, isUrgent: Bool) -> Ticket {
        next += 1
        waiting.append(Waiter(ticket: next, repository: repository, isUrgent: isUrgent))
        return next
    }

    /// Makes a waiting layer urgent.
    package mutating func hurry(_ ticket: Ticket) {
        guard let index = waiting.firstIndex(where: { $0.ticket == ticket }) else { return }
        waiting[index].isUrgent = true
    }

    /// Ends a turn, or gives a place in the queue up.
    package mutating func end(_ ticket: Ticket) {
        running[ticket] = nil
        waiting.removeAll { $0.ticket == ticket }
        if running.isEmpty && waiting.isEmpty { lastTurns = [:] }
    }

    /// Returns the next turn to give; `nil` if there is none now.
    package mutating func take() -> (ticket: Ticket, lane: Lane)? {
        let urgent = running.values.filter { $0.lane == .urgent }
        let isFree = urgent.count == running.count
        let admissible = waiting.indices.filter { index in
            guard waiting[index].isUrgent else { return isFree }
            return urgent.count < Self.urgentLimit && !urgent.contains { $0.host == waiting[index].repository.host }
        }
        // Of equals, the first request.
        guard let index = admissible.min(by: { lastTurn(of: waiting[$0]) < lastTurn(of: waiting[$1]) }) else {
            return nil
        }
        let waiter = waiting.remove(at: index)
        let lane = waiter.isUrgent ? Lane.urgent : .background
        running[waiter.ticket] = (lane, waiter.repository.host)
        given += 1
        lastTurns[waiter.repository] = given
        return (waiter.ticket, lane)
    }

    /// Returns the number of the last turn of the waiter's repository; 0 if there was none.
    private func lastTurn(of waiter: Waiter) -> UInt64 { lastTurns[waiter.repository] ?? 0 }

    /// Returns true if an urgent layer would get its turn if the urgent turn `ticket` ended.
    package func isWanted(_ ticket: Ticket) -> Bool {
        let others = running.filter { $0.value.lane == .urgent && $0.key != ticket }.values
        return others.count < Self.urgentLimit
            && waiting.contains { waiter in waiter.isUrgent && !others.contains { $0.host == waiter.repository.host } }
    }
}

/// The queue of the layers that wait for their verification.
final class VerificationQueue: Sendable {
    fileprivate struct State {
        var turns = VerificationTurns()
        var granted: [VerificationTurns.Ticket: OneShot<VerificationTurns.Lane>] = [:]
    }

    private let state = Guarded(State())

    /// A turn of a layer.
    struct Turn: Sendable {
        let lane: VerificationTurns.Lane
        fileprivate let ticket: VerificationTurns.Ticket
        fileprivate let queue: VerificationQueue

        /// True if an urgent layer waits for this turn to end.
        var isWanted: Bool { queue.state.withLock { $0.turns.isWanted(ticket) } }
    }

    /// Runs `body` when it is the turn of a layer.
    ///
    /// - Parameters:
    ///   - repository: the repository that has the layer.
    ///   - urgency: the signal that somebody waits for the layer.
    func withTurn<Result: Sendable>(
        _ repository: Repository, urgency: OneShot<Void>, _ body: @Sendable (Turn) async throws -> Result
    ) async throws -> Result {
        let granted = OneShot<VerificationTurns.Lane>()
        let ticket = state.withLock { state in
            let ticket = state.turns.request(repository, isUrgent: urgency.current != nil)
            state.granted[ticket] = granted
            return ticket
        }
        defer {
            change { state in
                state.turns.end(ticket)
                state.granted[ticket] = nil
            }
        }
        change { _ in }
        let hurrying = Task {
            try await urgency.wait()
            self.change { $0.turns.hurry(ticket) }
        }
        defer { hurrying.cancel() }
        return try await body(Turn(lane: try await granted.wait(), ticket: ticket, queue: self))
    }

    private func change(_ body: (inout State) -> Void) {
        let grants = state.withLock { state in
            body(&state)
            var grants: [(OneShot<VerificationTurns.Lane>?, VerificationTurns.Lane)] = []
            while let turn = state.turns.take() { grants.append((state.granted[turn.ticket], turn.lane)) }
            return grants
        }
        for (granted, lane) in grants { granted?.fulfill(lane) }
    }
}
