import Base

/// The limits of the space that the store uses.
public struct SpaceLimits: Sendable, Equatable {
    /// The maximum number of bytes that all layers and merged trees may occupy together; `nil` for no quota.
    public var quota: UInt64?
    /// The share of the disk in use, in percent, from which on background fill stops. Fill also stops at
    /// ``evictPercent``.
    public var fillPercent = 75
    /// The share of the disk in use, in percent, from which on the store evicts chunks.
    public var evictPercent = 80
    /// The share of the disk in use, in percent, from which on the store writes nothing. Reads are then served from
    /// memory.
    public var fullPercent = 90

    public init() {}
}

/// The rules that keep the store within its limits: when background fill stops, when and how much the store evicts, and
/// when it writes nothing.
///
/// The quota has the same three steps as the disk: fill stops at 75 % of it, eviction begins at 90 % and ends at 80 %.
/// Fill stops below the end of eviction, so that fill never brings back what was just evicted.
public struct SpacePolicy: Sendable {
    /// The use of the disk and of the store at one moment, in bytes.
    public struct Measurement: Sendable, Equatable {
        /// The size of the store's file system.
        public var disk: UInt64
        /// The part of ``disk`` that is free for all users. Blocks that are reserved for root count as used, as kubelet
        /// counts them.
        public var available: UInt64
        /// The bytes that layers and merged trees occupy.
        public var cache: UInt64
        /// The size of the largest write that was refused since the last decision.
        public var refused: UInt64 = 0

        public init(disk: UInt64, available: UInt64, cache: UInt64, refused: UInt64 = 0) {
            self.disk = disk
            self.available = available
            self.cache = cache
            self.refused = refused
        }

        /// The share of the disk in use, in percent, rounded up. kubelet computes this share in the same way.
        public var usedPercent: Int {
            guard disk > 0 else { return 0 }
            return 100 - Int((Double(min(available, disk)) / Double(disk) * 100).rounded(.down))
        }
    }

    /// The result of applying the rules to a measurement.
    public struct Decision: Sendable, Equatable {
        /// The bytes that the store may write before the next decision.
        public var headroom: UInt64
        /// The bytes to evict now.
        public var evicted: UInt64
        /// True if chunks must be evicted that were read lately, because the quota or a write leaves no choice. A disk
        /// that others fill only costs the chunks that nobody reads.
        public var evictsUsed: Bool
        public var isFillAllowed: Bool
    }

    /// The percentage points that use must fall below a limit before the opposite decision is taken. Without them, fill
    /// and eviction would begin and stop all the time.
    private static let hysteresis = 2
    /// The least number of bytes to evict at once. An eviction waits for the disk a few times, however small it is.
    private static let smallestEviction: UInt64 = 16 << 20
    /// The part of the quota that is kept free for directories and the metadata of the file system.
    private static let slack: UInt64 = 1 << 20

    public let limits: SpaceLimits
    private var isFillAllowed = true

    public init(_ limits: SpaceLimits) {
        self.limits = limits
    }

    /// Applies the rules to the use at this moment.
    public mutating func decide(_ now: Measurement) -> Decision {
        let distance = isFillAllowed ? 0 : Self.hysteresis
        // Fill must not bring back what is evicted, whatever the limits are.
        isFillAllowed = now.usedPercent < max(min(limits.fillPercent, limits.evictPercent) - distance, 1)
        let used = now.disk - min(now.available, now.disk)
        var headroom = UInt64.max
        var (evicted, evictsUsed) = (UInt64(0), false)
        if now.disk > 0 {
            let full = Self.percent(limits.fullPercent, of: now.disk)
            headroom = full - min(full, used)
            if used >= Self.percent(limits.evictPercent, of: now.disk) {
                evicted = used - min(used, Self.percent(limits.evictPercent - Self.hysteresis, of: now.disk))
            }
        }
        if let quota = limits.quota {
            let usable = quota - min(quota, max(Self.slack, quota / 100))
            headroom = min(headroom, usable - min(usable, now.cache))
            if now.cache >= Self.percent(90, of: usable) {
                evictsUsed = true
                evicted = max(evicted, now.cache - min(now.cache, Self.percent(80, of: usable)))
            }
            isFillAllowed = isFillAllowed && now.cache < Self.percent(75 - distance, of: usable)
        }
        if now.refused > headroom {
            (evicted, evictsUsed) = (max(evicted, now.refused - headroom), true)
        }
        if evicted > 0 { evicted = min(max(evicted, Self.smallestEviction), now.cache) }
        return Decision(
            headroom: headroom, evicted: evicted, evictsUsed: evictsUsed, isFillAllowed: isFillAllowed)
    }

    private static func percent(_ percent: Int, of size: UInt64) -> UInt64 {
        let percent = UInt64(min(max(percent, 0), 100))
        return size / 100 * percent + size % 100 * percent / 100
    }
}
