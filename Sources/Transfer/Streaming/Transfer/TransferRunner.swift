/// The runner of the scheduler's commands (``TransferOrder``). Each transfer runs in a child task of one common task.
/// Canceling this common task cancels all transfers.
final class TransferRunner: Sendable {
    private let task: Task<Void, Never>

    init(
        _ orders: AsyncStream<TransferOrder>, ranges: RangeReceiver, packs: PackReceiver, recoveries: RecoveryReceiver
    ) {
        task = Task {
            await withDiscardingTaskGroup { group in
                for await order in orders {
                    group.addTask {
                        switch order {
                        case .ranges(let order): await ranges.receive(order)
                        case .pack(let order): await packs.receive(order)
                        case .recovery(let order): await recoveries.receive(order)
                        }
                    }
                }
                group.cancelAll()
            }
        }
    }

    /// Cancels all transfers, and returns when they have ended.
    func shutdown() async {
        task.cancel()
        await task.value
    }
}
