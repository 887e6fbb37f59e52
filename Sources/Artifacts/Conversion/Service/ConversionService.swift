import Artifacts
public import Base
public import Concurrency
public import Logging
public import NIOPosix
public import Registry
public import ServiceLifecycle
public import Streaming

/// The conversion service of one registry. It builds the streaming artifacts of images: on request, and for images that
/// are pushed to *enabled* repositories (those with automatic conversion).
///
/// All results are in the registry, and a repeated conversion produces the same bytes. So any number of services may
/// run for one registry. A service runs one conversion after another, because each uses all cores.
public final class ConversionService: Service {

    private struct Running {
        let task: Task<[String], any Error>
        var percent = 0
    }

    /// The maximum number of notification requests in the queue. If the queue is full, the service drops the oldest
    /// request. The service still finds the pushes that the dropped request reported, but only when it next polls the
    /// enabled repositories.
    private static let maximumNotifications = 1000
    /// The maximum number of tags that the service lists in one repository.
    private static let maximumTags = 10_000

    private let options: ConversionOptions
    private let registry: RegistryClient
    private let store: ConversionStore
    private let workers: NIOThreadPool
    private let builder: ArtifactBuilder
    private let clock: any TimeSource
    private let logger: Logger
    private let running = Guarded<[String: Running]>([:])
    private let waiting: AsyncStream<String>
    private let queue: AsyncStream<String>.Continuation
    private let notifications: AsyncStream<[PushNotification]>
    private let notify: AsyncStream<[PushNotification]>.Continuation

    /// - Parameters:
    ///   - workers: the running pool for decoding layers and querying the database.
    ///   - cores: the number of layers that are decoded concurrently.
    public init(
        _ options: ConversionOptions, registry: RegistryClient, store: ConversionStore, workers: NIOThreadPool,
        cores: Int, clock: any TimeSource = .system, logger: Logger
    ) {
        self.options = options
        self.registry = registry
        self.store = store
        self.workers = workers
        self.clock = clock
        self.logger = logger
        builder = ArtifactBuilder(
            registry: registry, workers: workers, layersAtOnce: cores, signer: options.signer,
            logger: logger)
        (waiting, queue) = AsyncStream.makeStream(of: String.self)
        (notifications, notify) = AsyncStream.makeStream(
            of: [PushNotification].self, bufferingPolicy: .bufferingNewest(Self.maximumNotifications))
    }

    /// Runs the service until it shuts down. Starts with the conversions that the previous run did not finish.
    public func run() async throws {
        for id in try await stored({ try $0.unfinished() }) { queue.yield(id) }
        try await withGracefulShutdownHandler {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await self.convertAll() }
                group.addTask { await self.receiveAll() }
                group.addTask { await self.pollAll() }
                try await group.next()
                group.cancelAll()
            }
        } onGracefulShutdown: {
            self.queue.finish()
            self.notify.finish()
            self.running.withLock { for entry in $0.values { entry.task.cancel() } }
        }
    }

    // MARK: - Operations

    /// Starts the conversion of an image. If a conversion of the image is already in progress, returns its operation.
    public func start(_ image: String) async throws(ConversionError) -> ConversionOperation {
        let reference = try reference(image)
        return try await start(reference)
    }

    private func start(_ reference: ImageReference) async throws(ConversionError) -> ConversionOperation {
        let (operation, isNew) = try await stored {
            try $0.add(repository: "\(reference.repository)", image: "\(reference)")
        }
        if isNew { queue.yield(operation.id) }
        return shown(operation)
    }

    public func operation(_ id: String) async throws(ConversionError) -> ConversionOperation {
        guard let found = try await stored({ try $0.find(id) }) else {
            throw ConversionError(.notFound, "no operation \(id.prefix(100))")
        }
        return shown(found)
    }

    /// Returns at most a thousand operations, in reverse order of creation.
    ///
    /// - Parameters:
    ///   - repository: the repository of the images; `nil` for all repositories.
    ///   - image: the reference of the image; `nil` for all images.
    public func operations(
        repository: String? = nil, image: String? = nil
    ) async throws(ConversionError) -> [ConversionOperation] {
        let repository = try repository.map { (name) throws(ConversionError) in try self.repository(name) }
        let image = try image.map { (name) throws(ConversionError) in try reference(name) }
        return try await stored {
            try $0.operations(repository: repository.map { "\($0)" }, image: image)
        }.map(shown)
    }

    /// Cancels a conversion. A running conversion stops soon after. Returns the changed operation.
    ///
    /// - Throws: `notFound` if there is no such operation, `isOver` if it has ended, or `storage` if the database
    ///   fails.
    public func cancel(_ id: String) async throws(ConversionError) -> ConversionOperation {
        let before = try await operation(id)
        guard !before.state.isOver else {
            throw ConversionError(.isOver, "operation \(id) has ended: \(before.state.rawValue)")
        }
        let after = try await stored { try $0.change(id) { $0.state = .canceled } }
        running.withLock { $0[id]?.task.cancel() }
        return after ?? before
    }

    /// Returns the operation with its current progress, which the database does not contain during the conversion.
    private func shown(_ operation: ConversionOperation) -> ConversionOperation {
        guard operation.state == .running, let percent = running.withLock({ $0[operation.id]?.percent }) else {
            return operation
        }
        var operation = operation
        operation.progress = percent
        return operation
    }

    private func convertAll() async {
        for await id in waiting where !Task.isCancelled { await convert(id) }
    }

    private func convert(_ id: String) async {
        do {
            // ``cancel(_:)`` must find the task in `running` before the operation is marked as running.
            let task = running.withLock { running in
                let task = Task { try await self.begin(id) }
                running[id] = Running(task: task)
                return task
            }
            let result = await withTaskCancellationHandler {
                await task.result
            } onCancel: {
                task.cancel()
            }
            running.withLock { $0[id] = nil }
            // The service is shutting down. Do not record the result, so that the next run repeats the conversion.
            if Task.isShuttingDownGracefully || Task.isCancelled { return }
            let ended = try await stored {
                try $0.change(id) { operation in
                    switch result {
                    case .success(let artifacts):
                        operation.state = .succeeded
                        operation.progress = 100
                        operation.artifacts = artifacts
                    case .failure(let error):
                        operation.state = .failed
                        operation.error = ConversionOperation.Failure(
                            code: ConversionOperation.code(of: error), message: "\(error)")
                    }
                }
            }
            logger.info(
                "conversion ended",
                metadata: [
                    "image": "\(ended?.image ?? id)", "state": "\(ended?.state.rawValue ?? "")",
                    "error": "\(ended?.error?.message ?? "")",
                ])
        } catch {
            logger.error("failed to record a conversion", metadata: ["id": "\(id)", "error": "\(error)"])
        }
    }

    /// Marks the operation as running and performs it, unless it was canceled. Returns the digests of the artifacts;
    /// empty if the operation was canceled.
    private func begin(_ id: String) async throws -> [String] {
        let started = try await stored {
            try $0.change(id) { if $0.state == .notStarted { $0.state = .running } }
        }
        guard let started, started.state == .running else { return [] }
        return try await convert(try reference(started.image), id)
    }

    /// Creates the streaming artifact of each platform, and returns the artifacts' digests.
    private func convert(_ reference: ImageReference, _ id: String) async throws -> [String] {
        let image = try await ImageManifests(reference, registry)
        try image.checkAreImages()
        let sizes = image.manifests.map { $0.layers.map(\.size).saturatingSum() }
        let total = max(1, sizes.saturatingSum())
        var before: UInt64 = 0
        var artifacts: [String] = []
        for (manifest, size) in zip(image.manifests, sizes) {
            let done = before
            let known = try await profile(image.repository, manifest.digest)
            let published = try await builder.publish(
                in: image.repository, manifest: manifest, profile: known?.profile
            ) { progress in
                // Reports at most 99 percent until the conversion is complete. A startup pack adds nothing to the
                // progress, because it is small compared to the layers.
                let bytes = progress.step == .pack ? size : progress.bytes
                let percent = Int(min(99, 100 * (Double(done) + Double(bytes)) / Double(total)))
                self.running.withLock { $0[id]?.percent = percent }
            }
            artifacts.append("\(published.digest)")
            before = [before, size].saturatingSum()
            guard let known else { continue }
            try await stored { try $0.packed("\(image.repository)", of: "\(manifest.digest)", with: known) }
            await forgetBefore(published.artifact, image.repository)
        }
        return artifacts
    }

    // MARK: - Profiles

    /// Merges the reads of a container start, which a node reports, into the profile of the image.
    ///
    /// - Parameters:
    ///   - file: the profile of the start.
    ///   - image: the reference of the image, with a digest.
    ///
    /// - Returns: the operation that builds a new startup pack; `nil` if no new pack is due. The next pack then
    ///   includes the reported reads.
    ///
    /// - Throws: `refused` if the service does not accept profiles, `invalid` if `image` has no digest, or `notFound`
    ///   if automatic conversion is not enabled for its repository.
    public func learn(
        _ file: ProfileFile, of image: String
    ) async throws(ConversionError) -> ConversionOperation? {
        guard options.acceptsProfiles else {
            throw ConversionError(.refused, "this service does not accept profiles: start it with --accept-profiles")
        }
        let reference = try reference(image)
        guard let manifest = reference.digest else {
            throw ConversionError(.invalid, "\(image.prefix(300)): a profile's image needs a digest")
        }
        let repository = "\(reference.repository)"
        guard try await stored({ try $0.isStreaming(repository) }) else {
            throw ConversionError(.notFound, "\(repository) is not enabled")
        }
        let known = try await stored { store throws(ConversionError) in
            try store.learn(repository, of: "\(manifest)") { old in
                var file = file
                file.repository = reference.repository
                if let old { file.profile = old.profile.merged(with: file.profile, tolerating: Self.toleratedUnread) }
                return file
            }
        }
        guard let known, isDue(known) else { return nil }
        return try await start(ImageReference(repository: reference.repository, digest: manifest))
    }

    /// The number of consecutive reports that must lack an entry of the profile before the service drops the entry.
    /// The number is high because nodes run an image in different ways.
    private static let toleratedUnread: UInt8 = 8

    /// Returns true if a new startup pack is due. It is due if none was built from the image's profile yet. It is also
    /// due if at least 5 % of the profile's bytes changed since the last pack was built, and
    /// ``ConversionOptions/packInterval`` has passed since then.
    private func isDue(_ profile: ConversionStore.KnownProfile) -> Bool {
        guard let packed = profile.packed?.profile else { return true }
        let known = profile.known.profile
        let changed = [known.byteCount(missingIn: packed), packed.byteCount(missingIn: known)].saturatingSum()
        let age = clock.secondsSince1970 - profile.packedAt
        let (part, rest) = known.byteCount.quotientAndRemainder(dividingBy: 20)
        return changed >= max(1, part + min(rest, 1)) && .seconds(age) >= options.packInterval
    }

    /// Returns the profile for a startup pack of the image. If the image has no profile of its own, returns the most
    /// recently changed profile of another image in the repository. Returns `nil` if the repository has no profile, or
    /// if the service does not accept profiles.
    private func profile(_ repository: Repository, _ manifest: Digest) async throws(ConversionError) -> ProfileFile? {
        guard options.acceptsProfiles else { return nil }
        return try await stored { try $0.profile("\(repository)", of: "\(manifest)") }?.known
    }

    /// Starts a conversion for each image whose startup pack was not due when its profile changed, but is due now.
    private func refreshPacks() async throws(ConversionError) {
        guard options.acceptsProfiles else { return }
        for (repository, manifest, profile) in try await stored({ try $0.changedProfiles() }) where isDue(profile) {
            _ = try await start("\(repository)@\(manifest)")
        }
    }

    /// Deletes the image's streaming artifacts with old startup packs, which nodes no longer use. Keeps the newest two
    /// generations of packs, because a node that is resolving the image now may have found the older of the two.
    ///
    /// - Parameter artifact: the image's newest artifact.
    private func forgetBefore(_ artifact: StreamingArtifact, _ repository: Repository) async {
        guard artifact.generation > 2 else { return }
        do throws(RegistryError) {
            let found = try await registry.referrers(
                repository, of: artifact.subject.digest, artifactType: StreamingArtifact.artifactType)
            for old in found where (1..<artifact.generation - 1).contains(StreamingArtifact.generation(old.annotations))
            {
                try await registry.deleteReferrer(repository, digest: old.digest, subject: artifact.subject.digest)
            }
        } catch {
            logger.info(
                "failed to delete old artifacts",
                metadata: ["image": "\(repository)@\(artifact.subject.digest)", "error": "\(error)"])
        }
    }

    // MARK: - Repositories

    /// Returns the automatic conversion setting of a repository.
    public func streaming(_ name: String) async throws(ConversionError) -> RepositoryStreaming {
        let repository = try repository(name)
        let isOn = try await stored { try $0.isStreaming("\(repository)") }
        return RepositoryStreaming(repository: "\(repository)", streaming: isOn)
    }

    /// Returns all repositories with automatic conversion.
    public func streaming() async throws(ConversionError) -> [RepositoryStreaming] {
        try await stored { try $0.streaming() }.map { RepositoryStreaming(repository: $0, streaming: true) }
    }

    /// Enables or disables automatic conversion for a repository. Enabling does not convert images that already exist.
    /// Disabling keeps existing artifacts.
    public func setStreaming(_ name: String, _ isOn: Bool) async throws(ConversionError) -> RepositoryStreaming {
        let repository = try repository(name)
        if try await stored({ try $0.isStreaming("\(repository)") }) != isOn {
            var tags: [String: String] = [:]
            if isOn {
                do throws(RegistryError) {
                    tags = try await self.tags(repository)
                } catch {
                    // The registry does not know a repository before its first push.
                    guard error.code == .notFound else {
                        throw ConversionError(.invalid, "cannot list the tags of \(repository)", cause: error)
                    }
                }
            }
            try await stored { [tags] in try $0.set("\(repository)", streaming: isOn, tags: tags) }
        }
        return RepositoryStreaming(repository: "\(repository)", streaming: isOn)
    }

    /// Queues a registry's notifications for ``receive(_:)``, and returns at once, so that the registry does not have
    /// to wait.
    public func takeNote(of notifications: [PushNotification]) {
        if !notifications.isEmpty { notify.yield(notifications) }
    }

    private func receiveAll() async {
        for await notifications in notifications where !Task.isCancelled {
            do throws(ConversionError) {
                try await receive(notifications)
            } catch {
                logger.warning("failed to process a notification", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Processes a registry's notifications: starts the conversion of a pushed image in an enabled repository, and
    /// deletes the artifacts of a deleted image.
    public func receive(_ notifications: [PushNotification]) async throws(ConversionError) {
        for notification in notifications {
            let repository = try repository(notification.repository)
            switch notification.action {
            case .push:
                guard let tag = notification.tag, try await stored({ try $0.isStreaming("\(repository)") }) else {
                    continue
                }
                await look(in: repository, tag: tag, told: notification.digest)
            case .delete:
                if let digest = notification.digest { await forget(repository, digest) }
            }
        }
    }

    /// Deletes the streaming artifacts of a deleted image.
    private func forget(_ repository: Repository, _ image: Digest) async {
        do throws(RegistryError) {
            let found = try await registry.referrers(
                repository, of: image, artifactType: StreamingArtifact.artifactType)
            for artifact in found {
                try await registry.deleteReferrer(repository, digest: artifact.digest, subject: image)
                logger.info(
                    "deleted the artifact of a deleted image",
                    metadata: ["image": "\(repository)@\(image)", "artifact": "\(artifact.digest)"])
            }
        } catch {
            logger.warning(
                "failed to delete the artifact of a deleted image",
                metadata: ["image": "\(repository)@\(image)", "error": "\(error)"])
        }
    }

    private func pollAll() async {
        while (try? await clock.sleep(for: options.pollInterval)) != nil {
            try? await refreshPacks()
            guard let repositories = try? await stored({ try $0.streaming() }) else { continue }
            for name in repositories {
                guard let repository = try? self.repository(name) else { continue }
                do throws(RegistryError) {
                    for tag in try await registry.tags(repository, limit: Self.maximumTags) where Self.isImage(tag) {
                        await look(in: repository, tag: tag)
                    }
                } catch {
                    logger.warning(
                        "failed to list the tags of a repository",
                        metadata: ["repository": "\(name)", "error": "\(error)"])
                }
            }
        }
    }

    /// Converts the image that a tag names, if the tag has changed since the last check.
    ///
    /// - Parameter told: the digest from a notification; `nil` without a notification. The function waits up to about
    ///   3 s for the tag to name this digest, because distribution 2.8 sends the notification before it sets the tag.
    private func look(in repository: Repository, tag: String, told: Digest? = nil) async {
        let reference = ImageReference(repository: repository, tag: tag)
        do {
            var digest = try await digest(reference, mayBeMissing: told != nil)
            var pause = Duration.milliseconds(50)
            while let told, digest != told, pause < .seconds(2) {
                try await clock.sleep(for: pause)
                pause *= 2
                digest = try await self.digest(reference, mayBeMissing: true)
            }
            guard let digest else { return }
            guard try await stored({ try $0.see("\(repository)", tag: tag, digest: "\(digest)") }) else { return }
            _ = try await start(ImageReference(repository: repository, tag: tag, digest: digest))
        } catch {
            logger.warning(
                "failed to look at a pushed image", metadata: ["image": "\(reference)", "error": "\(error)"])
        }
    }

    private func digest(_ reference: ImageReference, mayBeMissing: Bool) async throws(RegistryError) -> Digest? {
        do throws(RegistryError) {
            return try await registry.document(reference).digest
        } catch {
            guard mayBeMissing, error.code == .notFound else { throw error }
            return nil
        }
    }

    /// Returns the digest of each tag's image, keyed by tag.
    private func tags(_ repository: Repository) async throws(RegistryError) -> [String: String] {
        var found: [String: String] = [:]
        for tag in try await registry.tags(repository, limit: Self.maximumTags) where Self.isImage(tag) {
            do throws(RegistryError) {
                found[tag] = "\(try await registry.document(ImageReference(repository: repository, tag: tag)).digest)"
            } catch {
                // The tag was just deleted, or does not name an image.
                guard error.code == .notFound || error.code == .unsupportedManifest || error.code == .invalidManifest
                else { throw error }
            }
        }
        return found
    }

    /// Returns true if the tag names an image; false if it names a list of referrers (OCI distribution-spec, "Referrers
    /// Tag Schema"). Such a tag consists of `sha256-` and at least 64 more characters.
    private static func isImage(_ tag: String) -> Bool {
        !(tag.hasPrefix("sha256-") && tag.utf8.count >= 71)
    }

    // MARK: -

    /// Parses the name of a repository, with or without the registry's host.
    private func repository(_ name: String) throws(ConversionError) -> Repository {
        let reference = try reference(name)
        guard !name.contains("@"), !(name.split(separator: "/").last ?? "").contains(":") else {
            throw ConversionError(.invalid, "\(name.prefix(300)) is an image, not a repository")
        }
        return reference.repository
    }

    private func reference(_ name: String) throws(ConversionError) -> ImageReference {
        let whole = name.hasPrefix(options.registry + "/") ? name : "\(options.registry)/\(name)"
        do {
            return try ImageReference(parsing: whole)
        } catch {
            throw ConversionError(
                .invalid, "\(name.prefix(300)) is not an image of \(options.registry)", cause: error)
        }
    }

    private func stored<Result: Sendable>(
        _ body: @escaping @Sendable (ConversionStore) throws -> Result
    ) async throws(ConversionError) -> Result {
        do {
            return try await workers.runIfActive { [store] in try body(store) }
        } catch let error as ConversionError {
            throw error
        } catch {
            throw ConversionError(.storage, "the service is shutting down", cause: error)
        }
    }
}
