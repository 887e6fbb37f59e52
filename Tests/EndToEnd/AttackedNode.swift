import Base
import Concurrency
import ContainerdAPI
import Lab
import Linux
import TestSupport

/// A node that pulls images of an honest registry and of the attacker's.
struct AttackedNode: Sendable {
    private let lab: Lab
    private let node: Node
    private let daemon: RivuletDaemon
    private let stores: AttackImages.Stores
    private let client: ImageClient

    /// Runs `body` with a node whose daemon has these additional lines of configuration.
    static func with(options: String, _ body: @Sendable (AttackedNode) async throws -> Void) async throws {
        try await Lab.with { lab in
            let pause = "\(lab.directory)/pause.tar"
            try await PauseImage.build(source: "\(Repository.root)/bench/images/pause.c", archive: pause, in: lab)
            let storages = ["\(lab.directory)/registry", "\(lab.directory)/evil-registry"]
            let registry = try await RegistryServer(in: lab, storage: storages[0])
            let evil = try await RegistryServer(in: lab, storage: storages[1])
            try await Node.with(
                "attack", in: lab, snapshotter: .rivulet(options: options), registry: registry, pauseArchive: pause
            ) { node in
                try HostsDirectory.write(node.hosts, port: evil.port, registry: AttackImages.evilRegistry)
                guard let daemon = node.daemon as? RivuletDaemon else { throw LabError(.failed, "no daemon") }
                let client = try ImageClient(node.containerd)
                let attacked = AttackedNode(
                    lab: lab, node: node, daemon: daemon,
                    stores: .init(honest: ImageStore(storage: storages[0]), evil: ImageStore(storage: storages[1])),
                    client: client)
                let result: Result<Void, any Error>
                do {
                    result = .success(try await body(attacked))
                } catch {
                    result = .failure(error)
                }
                await client.close()
                try result.get()
            }
        }
    }

    /// An attack whose images have been pulled.
    private struct Pulled: Sendable {
        let attack: Attack
        let images: AttackImages
        let problems: [String]
    }

    /// The daemon's log and failures before its restart.
    private struct History: Sendable {
        var log = ""
        var wrongContent = 0.0
    }

    /// Runs `attacks` at the same time, and returns what went wrong. The daemon is restarted once.
    func problems(of attacks: [Attack]) async throws -> [String] {
        let pulled = try await attacks.concurrentMap(limit: attacks.count) { try await pull($0) }
        var wrong = pulled.flatMap(\.problems)
        wrong += try await pulled.filter { !$0.attack.isRestarted }.concurrentMap(limit: attacks.count) {
            try await problems(of: $0, History())
        }.flatMap(\.self)
        let history = try await history()
        try await daemon.restart(killing: false)
        try await node.waitForSnapshotter()
        wrong += try await pulled.filter(\.attack.isRestarted).concurrentMap(limit: attacks.count) {
            try await problems(of: $0, history)
        }.flatMap(\.self)
        return wrong
    }

    // MARK: - Pulls

    /// Publishes and pulls the images of `attack` in its order.
    private func pull(_ attack: Attack) async throws -> Pulled {
        let images = try await blocking { [stores] in try AttackImages(attack, in: stores) }
        var problems: [String] = []
        if attack.order == .evilSecond { try await pull(images.victim) }
        var failure: String?
        do {
            try await pull(images.evil)
        } catch {
            failure = "\(error)"
        }
        var mayFail = false
        for trace in images.traces {
            switch trace {
            case .layer(let key):
                if try await !hasLayer(key) { problems.append("no layer \(key)") }
            case .declined(let reason):
                mayFail = true
                if failure == nil { problems.append("containerd has pulled the evil image") }
                let isDeclined = daemon.process.logTail(lines: 1_000_000).split(separator: "\n").contains {
                    $0.contains("containerd downloads this layer") && $0.contains("\(images.evilChain)")
                        && $0.contains(reason)
                }
                if !isDeclined { problems.append("the evil layer is not declined with \(reason)") }
            case .wrongContent, .rebuilt, .verified, .refused: break
            }
        }
        if let failure, !mayFail { problems.append("cannot pull the evil image: \(failure)") }
        if attack.order != .evilSecond { try await pull(images.victim) }
        if attack.order == .evilRemoved, failure == nil {
            if images.isVerbatim {
                // CRI would remove both images.
                try await node.containerd.ctr(["images", "rm", "--sync", images.evil])
            } else {
                try await remove(images.evil)
            }
        }
        return Pulled(attack: attack, images: images, problems: problems.map { "\(attack): \($0)" })
    }

    private func pull(_ reference: String) async throws {
        try await node.containerd.ctr(
            ["images", "rpull", "--snapshotter", daemon.name, "--hosts-dir", node.hosts, reference],
            program: "ctr-remote")
    }

    /// Removes an image with all its names, as kubelet does.
    private func remove(_ reference: String) async throws {
        // CRI hears of a pull by another client a little later.
        let isKnown = try await eventually { try await client.chain(of: reference) != nil }
        guard isKnown else { throw LabError(.failed, "CRI does not know \(reference)") }
        try await client.remove(reference)
    }

    /// Returns true if the node has stored a layer whose key begins with `key`.
    private func hasLayer(_ key: String) async throws -> Bool {
        let layers = "\(daemon.root)/layers"
        return try await blocking {
            try Sys.list(Array(layers.utf8)).contains { entry in
                // Another cell's layer may be deleted meanwhile.
                let text = try? Files.text("\(layers)/\(String(decoding: entry.name, as: UTF8.self))/key")
                return text?.hasPrefix(key) == true
            }
        }
    }

    // MARK: - Containers

    /// Returns what is wrong with a container of the victim.
    private func problems(of pulled: Pulled, _ history: History) async throws -> [String] {
        let (attack, images) = (pulled.attack, pulled.images)
        var problems: [String] = []
        var (mounts, refusal) = await create("attack-\(attack)", on: images.chain)
        var mustBeRefused = false
        for case .refused in images.traces { mustBeRefused = true }
        if mustBeRefused {
            if refusal?.contains("remove the images with this chain ID and pull again") != true {
                problems.append("the container is not refused: \(refusal ?? "it exists")")
            }
            if attack.order == .evilFirst { try await remove(images.evil) }
            try await remove(images.victim)
            // A removal may end with a collection of garbage that began before it.
            let isGone = await eventually {
                let info = ["snapshots", "--snapshotter", daemon.name, "info", "\(images.chain)"]
                return (try? await node.containerd.ctr(info)) == nil
            }
            if !isGone { problems.append("the chain stays without an image") }
            try await pull(images.victim)
            (mounts, refusal) = await create("attack-\(attack)-again", on: images.chain)
        }
        if let difference = try await difference(attack, images, mounts) {
            problems.append(refusal.map { "no container can be created: \($0)" } ?? difference)
        }
        let now = try await self.history()
        let lines = (history.log + now.log).split(separator: "\n")
        for trace in images.traces {
            switch trace {
            case .wrongContent:
                if history.wrongContent + now.wrongContent == 0 { problems.append("all content was right") }
            case .rebuilt:
                if !lines.contains(where: { $0.contains("was rebuilt") && $0.contains("\(images.chain)") }) {
                    problems.append("the chain was not rebuilt")
                }
            case .verified(let diffID):
                if !lines.contains(where: { $0.contains("layer verified") && $0.contains("\(diffID)") }) {
                    problems.append("the chain was not verified")
                }
            case .layer, .declined, .refused: break
            }
        }
        return problems.map { "\(attack): \($0)" }
    }

    private func history() async throws -> History {
        let metrics = try await daemon.metrics()
        return History(
            log: daemon.process.logTail(lines: 1_000_000),
            wrongContent: ["digest", "decode"].reduce(0) { $0 + (metrics["rivulet_\($1)_failures_total"] ?? 0) })
    }

    /// Creates a container's snapshot on the chain as containerd does. Returns its mounts, or why there are none.
    private func create(_ key: String, on chain: Digest) async -> (mounts: [Containerd_Types_Mount], refusal: String?) {
        var refusal: String?
        var mounts: [Containerd_Types_Mount] = []
        // A disputed chain is verified first, and the client tries again.
        _ = await eventually(within: .seconds(40)) {
            do {
                mounts = try await client.snapshots.prepare(key, parent: chain)
                refusal = nil
                return true
            } catch {
                refusal = "\(error)"
                return refusal?.contains("remove the images with this chain ID") == true
            }
        }
        return (mounts, refusal)
    }

    /// Returns the first difference between the files of the victim's container and those of the victim's archives;
    /// `nil` if there is none.
    private func difference(
        _ attack: Attack, _ images: AttackImages, _ mounts: [Containerd_Types_Mount]
    ) async throws -> String? {
        let directory = "\(lab.directory)/attack/\(attack)"
        try Files.makeDirectory("\(directory)/files")
        for (number, archive) in images.archives.enumerated() {
            try Sys.writeFile("\(directory)/\(number).tar", archive, permissions: 0o600)
            try await Command.run(["tar", "-xpf", "\(directory)/\(number).tar", "-C", "\(directory)/files"], in: lab)
        }
        return await blocking {
            do {
                let mount = try SnapshotMount(mounts, at: "\(directory)/container")
                defer { mount.unmount() }
                // A full pull of eStargz shows the table of contents, too.
                return try TreeListing(of: "\(directory)/files").differences(
                    from: TreeListing(of: mount.target), excepting: ["/", "/stargz.index.json"]
                ).first
            } catch {
                return "\(error)"
            }
        }
    }
}
