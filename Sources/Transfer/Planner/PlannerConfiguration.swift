/// The numbers behind the planner's decisions. Bytes are bytes of the blob (compressed): what the link carries.
public struct PlannerConfiguration: Sendable {
    /// Requests of each class that may be under way at once. Demand has its own room and so waits for no other class.
    /// A profile's batch is a request for each layer that it has something of; see ``profileFirstBatch``. Two for fill: a
    /// second request hides the round trip between two runs.
    public var requestLimit = PerClass<Int>(demand: 32, profile: 16, readahead: 4, fill: 2)

    /// Bytes of each class that may be under way at once; one request of a class may always go. It bounds memory.
    public var byteLimit = PerClass<UInt64>(demand: 64 << 20, profile: 24 << 20, readahead: 24 << 20, fill: 16 << 20)

    /// The largest request of each class. Some seconds of a slow link at most, since a request is not torn down when
    /// something more urgent comes.
    public var runLimit = PerClass<UInt64>(demand: 16 << 20, profile: 16 << 20, readahead: 8 << 20, fill: 8 << 20)

    /// How much readahead and neighbourhood a demand's own request may carry; more goes in a request of class readahead,
    /// which yields to other demands.
    public var demandAhead: UInt64 = 4 << 20

    /// Bytes between two wanted extents that are fetched and thrown away rather than making a second request. A request
    /// costs a round trip: at 5 ms and 200 Mbit/s that is 125 KB, and a quarter of it is always worth it. In eStargz the
    /// tar header between two files takes some 200 bytes.
    public var mergeGap: UInt64 = 32 << 10

    /// How much of what lies behind a small demand in the blob comes along in its request; see ``ReadAround``.
    public var neighbourhood = NeighbourhoodLimits()

    /// A profile is fetched in batches in the order of first use, each larger than the one before: within a batch, what
    /// lies in one layer is one request. Bytes of the first batch.
    public var profileFirstBatch: UInt64 = 2 << 20
    /// How many times as large as the one before a batch is, up to the ``runLimit`` of the class.
    public var profileBatchGrowth: UInt64 = 4
    /// The next batch is asked for while so many bytes of the ones before are still to come, or what the link carries
    /// while a request is answered, if that is more.
    public var profileAhead: UInt64 = 1 << 20
    /// As ``mergeGap``, for profiles and fill from a host that gives one range a request.
    public var gapAlone: UInt64 = 256 << 10
    /// Nanoseconds after a profile's last request for which nothing is guessed in its layers.
    public var profileQuiet: UInt64 = 1_000_000_000
    /// The same after what was predicted and came by another way.
    public var predictedQuiet: UInt64 = 100_000_000

    /// Sequential reading: the first window, and what it may double to.
    public var readaheadFirst: UInt64 = 256 << 10
    /// See ``readaheadFirst``.
    public var readaheadLargest: UInt64 = 16 << 20
    /// What the part of a window that lies behind the end of the file being read may grow to.
    public var readaheadAcrossFiles: UInt64 = 4 << 20
    /// Sequential readers that are told apart in one layer.
    public var streamsPerLayer = 16

    /// A reader that hits an extent further than this behind what its request is carrying (bytes that nobody waits
    /// for) does not wait for them: the request is cut short before the extent, which gets a request of its own.
    public var joinDistance: UInt64 = 2 << 20
    /// The same for a request of a profile, whose bytes will all be needed: what a reader gains by being served out of
    /// order, the next one loses.
    public var joinDistanceInProfile: UInt64 = 8 << 20

    /// Nanoseconds after which a demand fails: as long as a reader is held through an outage of the registry.
    public var demandTimeout: UInt64 = 30_000_000_000
    /// The same for a layer whose last demand has failed: the kernel asks again, in smaller and smaller pieces, for what
    /// it could not read, and each of these must not wait out the whole outage.
    public var demandTimeoutInOutage: UInt64 = 2_000_000_000
    /// For how many nanoseconds a failure is held against a layer.
    public var outageMemory: UInt64 = 30_000_000_000
    /// How often the bytes of a demand are requested before it fails, above what the registry client retries itself.
    public var demandAttempts = 3
    /// How often a profile's run is requested before it is left to demand and fill.
    public var profileAttempts = 3
    /// How often an extent whose bytes were wrong is fetched for one demand.
    public var corruptAttempts = 2

    /// Nanoseconds before the first repetition of a failed request; doubles each time.
    public var retryFirst: UInt64 = 200_000_000
    /// The longest pause between two tries of a demand, also when the registry asks for more (its client has waited as
    /// long as it may already).
    public var retryLongest: UInt64 = 10_000_000_000
    /// The longest pause between two tries of fill; also what a Retry-After may ask for at most.
    public var backgroundRetryLongest: UInt64 = 300_000_000_000

    /// Nanoseconds that fill stays away after the last demand: a starting process computes between its reads, and its
    /// next read should find the link empty.
    public var fillQuiet: UInt64 = 500_000_000
    /// The same after a read of what was here, while a container starts; see ``startQuiet``.
    public var fillQuietAfterRead: UInt64 = 1_000_000_000
    /// Nanoseconds from the wish to fill a layer to its first request: it comes when a container is about to start, and
    /// what is fetched for it in the second before its first read is in the way of that read. Once something has been read,
    /// ``fillQuiet`` and ``fillQuietAfterRead`` alone count.
    public var fillDelay: UInt64 = 3_000_000_000
    /// How far around what has been read fill looks first while a container starts, in bytes of the blob; 0 to leave it. See
    /// ``NearbyFill``.
    public var surroundings: UInt64 = 512 << 10
    /// Nanoseconds without a demand after which it does: a process that reads one file after the other asks sooner.
    public var surroundingsQuiet: UInt64 = 25_000_000
    /// Nanoseconds that an answer takes at least where it does.
    public var surroundingsDelay = 10_000_000.0
    /// A start is over when no reader has waited for so many nanoseconds, or its image has been here for so long.
    public var startQuiet: UInt64 = 10_000_000_000
    /// An image of which no more bytes than this are missing is fetched as a whole at once, without waiting for readers.
    public var eagerSmallest: UInt64 = 2 << 20
    /// So is one of which no more is missing than the link carries in so many seconds, and one of which a profile names half or more,
    public var eagerSeconds = 0.25
    /// unless it is more than this: others need the link, and decoding it takes a core a while.
    public var eagerLargest: UInt64 = 32 << 20
    /// Nanoseconds after which fill goes on a little although there is demand all the time.
    public var fillStarvation: UInt64 = 5_000_000_000
    /// How much it goes on then.
    public var fillTrickle: UInt64 = 1 << 20
    /// The most that fill may take from the link, in bytes a second; `nil` for no ceiling.
    public var fillBytesPerSecond: UInt64?
    /// Nanoseconds that everything but demand stays away after the store could not take bytes.
    public var storageFullPause: UInt64 = 10_000_000_000

    public init() {}

    /// Turns off whatever brings bytes that nobody has read or asked for: readahead, neighbours, gaps between extents.
    public mutating func fetchNothingUnread() {
        demandAhead = 0
        mergeGap = 0
        (readaheadFirst, readaheadLargest, readaheadAcrossFiles) = (0, 0, 0)
        (neighbourhood.first, neighbourhood.smallest, neighbourhood.largest) = (0, 0, 0)
        surroundings = 0
    }
}

/// What ``ReadAround`` moves between.
public struct NeighbourhoodLimits: Sendable {
    /// Bytes to begin with.
    public var first: UInt64 = 512 << 10
    /// Never less than this.
    public var smallest: UInt64 = 32 << 10
    /// Never more than this.
    public var largest: UInt64 = 1 << 20
    /// A demand of this many bytes or more takes no neighbours along.
    public var smallDemand: UInt64 = 512 << 10
    /// Never more than this while predictions foresee most of what is read; see ``Foresight``.
    public var foreseen: UInt64 = 256 << 10
    /// How many requests are watched before the size changes.
    public var period = 4
    /// Nanoseconds that a request costs beside its round trip, at both its ends.
    public var effort = 2_000_000.0

    public init() {}
}
