/// The numbers behind the planner's decisions. Bytes are bytes of the blob (compressed): the link's load.
public struct PlannerConfiguration: Sendable {
    /// The most requests of each class at once. Demand has its own limit and so waits for no other class. A batch of
    /// hints has one request per layer; see ``hintFirstBatch``. Fill has two, so that the second request hides the
    /// round trip between two runs.
    public var requestLimit = PerClass<Int>(demand: 32, hint: 16, readahead: 4, fill: 2)

    /// The most bytes of each class in flight, which bounds memory. One request of a class may always start.
    public var byteLimit = PerClass<UInt64>(demand: 64 << 20, hint: 24 << 20, readahead: 24 << 20, fill: 16 << 20)

    /// The largest request of each class: a few seconds of a slow link, because a running request is not torn down for
    /// a more urgent one.
    public var runLimit = PerClass<UInt64>(demand: 16 << 20, hint: 16 << 20, readahead: 8 << 20, fill: 8 << 20)

    /// The most bytes of read-ahead that a demand's own request carries. More of it goes in a request of class
    /// read-ahead, which yields to other demands.
    public var demandAhead: UInt64 = 4 << 20

    /// The largest gap between two extents that is fetched and discarded rather than split into two requests. A request
    /// costs a round trip: at 5 ms and 200 Mbit/s that is 125 KB, and a quarter of it always pays. In eStargz the tar
    /// header between two files takes some 200 bytes.
    public var mergeGap: UInt64 = 32 << 10

    /// The limits of the bytes that follow a small demand in its request; see ``ReadAround``.
    public var readAround = ReadAroundLimits()

    /// The size of a hint's first batch. Hints are fetched in batches in the order of first use, each larger than the
    /// one before; within a batch, everything in one layer is one request.
    public var hintFirstBatch: UInt64 = 2 << 20
    /// The growth of batches, up to the class's ``runLimit``.
    public var hintBatchGrowth: UInt64 = 4
    /// The bytes still to come at which the next batch is requested; more if the link carries more during a round trip.
    public var hintAhead: UInt64 = 1 << 20
    /// The ``mergeGap`` of hints and fill for a host that answers one range per request.
    public var singleRangeGap: UInt64 = 256 << 10
    /// The pause of speculation in a hint's layers after its last request.
    public var hintQuiet = Duration.seconds(1)
    /// The pause of speculation after the last bytes of a predicted startup pack.
    public var predictedPackQuiet = Duration.milliseconds(100)

    /// The first window of a sequential reader.
    public var readaheadFirst: UInt64 = 256 << 10
    /// The largest window of a sequential reader.
    public var readaheadLargest: UInt64 = 16 << 20
    /// The largest part of a window behind the end of the current file.
    public var readaheadAcrossFiles: UInt64 = 4 << 20
    /// The number of sequential readers that are told apart in one layer.
    public var streamsPerLayer = 16

    /// The most bytes that no reader waits for in front of a demanded extent in a running request. With more, the
    /// request is cut before the extent, which gets its own.
    public var joinDistance: UInt64 = 2 << 20
    /// The ``joinDistance`` of requests for hints, whose bytes will all be needed: serving one reader out of order
    /// delays the next.
    public var joinDistanceInHint: UInt64 = 8 << 20

    /// The time after which a demand fails: the longest that a reader is held during a registry outage.
    public var demandTimeout = Duration.seconds(30)
    /// The ``demandTimeout`` of a layer whose last demand failed. The kernel repeats a failed read in ever smaller
    /// pieces, and these must not each wait out the outage.
    public var demandTimeoutInOutage = Duration.seconds(2)
    /// The time for which a failure counts against its layer.
    public var outageMemory = Duration.seconds(30)
    /// The number of requests for a demand before it fails, on top of the registry client's own retries.
    public var demandAttempts = 3
    /// The number of requests for a hint's run before it is left to demand and fill.
    public var hintAttempts = 3
    /// The number of fetches of an extent with wrong bytes for one demand.
    public var corruptAttempts = 2

    /// The pause before the first retry of a failed request; it doubles each time.
    public var retryFirst = Duration.milliseconds(200)
    /// The longest pause before a retry of a demand, also when the registry asks for more: the registry client has
    /// already waited as long as it may.
    public var retryLongest = Duration.seconds(10)
    /// The longest pause before a retry of fill, and the longest Retry-After that is honored.
    public var backgroundRetryLongest = Duration.seconds(300)

    /// The pause of fill after a demand: a starting process computes between its reads, and its next read should find
    /// the link idle.
    public var fillQuiet = Duration.milliseconds(500)
    /// The pause of fill after a cache hit while a container starts; see ``startQuiet``.
    public var fillQuietAfterRead = Duration.seconds(1)
    /// The delay of a layer's first fill request. Fill is asked for when a container is about to start, and would
    /// compete with its first reads. After the first read only ``fillQuiet`` and ``fillQuietAfterRead`` apply.
    public var fillDelay = Duration.seconds(3)
    /// The distance around the latest reads, in bytes of the blob, in which fill begins while a container starts; 0
    /// turns this off. See ``NearbyFill``.
    public var nearbyFillDistance: UInt64 = 512 << 10
    /// The time without a demand after which fill looks nearby. A process that reads file after file asks sooner.
    public var nearbyFillQuiet = Duration.milliseconds(25)
    /// The shortest answer time with which fill looks nearby.
    public var nearbyFillDelay = Duration.milliseconds(10)
    /// The time without stalls, or since the image was asked for, after which a start is over.
    public var startQuiet = Duration.seconds(10)
    /// The most missing bytes of an image that is fetched at once and whole, without yielding to readers.
    public var eagerSmallest: UInt64 = 2 << 20
    /// The seconds of link time that such an image may take instead. A half-hinted image is fetched whole, too.
    public var eagerSeconds = 0.25
    /// The most bytes of such an image: others need the link, and decoding keeps a core busy.
    public var eagerLargest: UInt64 = 32 << 20
    /// The time after which paused fill continues a little despite constant demand.
    public var fillStarvation = Duration.seconds(5)
    /// The bytes that fill may take then.
    public var fillTrickle: UInt64 = 1 << 20
    /// The highest rate of fill, in bytes a second; `nil` for no ceiling.
    public var fillBytesPerSecond: UInt64?
    /// The pause of everything but demand after the store refused bytes.
    public var storageFullPause = Duration.seconds(10)

    public init() {}

    /// Turns off everything that fetches bytes that were neither read nor hinted: read-ahead, read-around, gaps.
    public mutating func fetchNothingUnread() {
        demandAhead = 0
        mergeGap = 0
        (readaheadFirst, readaheadLargest, readaheadAcrossFiles) = (0, 0, 0)
        (readAround.first, readAround.smallest, readAround.largest) = (0, 0, 0)
        nearbyFillDistance = 0
    }
}

/// The limits of ``ReadAround``.
public struct ReadAroundLimits: Sendable {
    /// The initial size in bytes.
    public var first: UInt64 = 512 << 10
    /// The smallest size in bytes.
    public var smallest: UInt64 = 32 << 10
    /// The largest size in bytes.
    public var largest: UInt64 = 1 << 20
    /// The size from which a demand takes nothing along, in bytes.
    public var smallDemand: UInt64 = 512 << 10
    /// The largest size in bytes while predictions cover most reads; see ``PredictionAccuracy``.
    public var predicted: UInt64 = 256 << 10
    /// The number of requests after which the size is adjusted.
    public var period = 4
    /// The time that a request costs at both ends on top of its round trip.
    public var requestCost = Duration.milliseconds(2)

    public init() {}
}
