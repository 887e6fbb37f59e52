import Base
import Lab
import Linux
import TestSupport
import Testing

/// Images that claim the chain ID of another image, on real containerd. The containers of the other image must always
/// see that image's own files.
@Suite(.serialized, .realParts, .timeLimit(.minutes(10)))
struct PrivilegedAttackTests {
    /// The part of the victim's configuration that the evil image has.
    private enum Claim: String, CaseIterable {
        /// The victim's configuration, byte by byte.
        case configuration
        /// The victim's diff IDs, in another configuration.
        case diffIDs
        /// The diff ID of the victim's bottom layer only.
        case prefix
    }

    private enum Order: String, CaseIterable {
        case evilFirst, evilSecond, evilRemoved
    }

    private struct Attack: CustomStringConvertible {
        let claim: Claim
        let order: Order
        let isRestarted: Bool
        let isFilled: Bool

        var description: String {
            "\(claim.rawValue)-\(order.rawValue)\(isRestarted ? "-restarted" : "")\(isFilled ? "-filled" : "")"
                .lowercased()
        }

        static func all(isFilled: Bool) -> [Attack] {
            Claim.allCases.flatMap { claim in
                Order.allCases.flatMap { order in
                    [false, true].map { Attack(claim: claim, order: order, isRestarted: $0, isFilled: isFilled) }
                }
            }
        }
    }

    /// A layer, and the archive that it unpacks to.
    private struct Layer {
        let archive: [UInt8]
        let stored: ImageStore.Layer

        /// - Parameter name: text that makes the layer's files different from those of all other layers.
        init(_ name: String) {
            let text = String(repeating: name + "\n", count: 3000)
            let entries: [TarEntry] = [
                .directory("data", mode: 0o751), .file("data/who", name), .file("data/large", text),
                .symlink("data/link", to: name), .file(name, name, mode: 0o4755),
            ]
            let blob = EstargzBlob.make(entries)
            archive = TarWriter.archive(entries)
            stored = ImageStore.Layer(
                blob: blob.bytes, diffID: Digest.of(blob.tar),
                mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", annotations: blob.annotations)
        }

        /// Returns the layer under another diff ID.
        func stating(_ diffID: Digest) -> ImageStore.Layer {
            var copy = stored
            copy.diffID = diffID
            return copy
        }
    }

    @Test("an image that claims the chain ID of another image changes no file of it", arguments: [false, true])
    func changesNoFile(isFilled: Bool) async throws {
        let shared = try EndToEndLab.current()
        let options = "[streaming]\nbackground_fill = \(isFilled)\n"
        try await shared.withNode("attack", snapshotter: .rivulet(options: options)) { node in
            var wrong: [String] = []
            for attack in Attack.all(isFilled: isFilled) {
                do {
                    if let difference = try await Self.result(of: attack, on: node, shared) {
                        wrong.append("\(attack): \(difference)")
                    }
                } catch {
                    wrong.append("\(attack): \(error)")
                }
            }
            #expect(wrong.isEmpty, "\(wrong.joined(separator: "\n"))\n\(node.daemon?.process.logTail(lines: 60) ?? "")")
        }
    }

    /// Runs an attack. Returns the first difference between the files of the victim's container and those of the
    /// victim's archives; `nil` if there is none.
    private static func result(of attack: Attack, on node: Node, _ shared: EndToEndLab) async throws -> String? {
        let store = ImageStore(storage: "\(shared.lab.directory)/registry")
        let own = [Layer("victim-bottom-\(attack)"), Layer("victim-top-\(attack)")]
        let other = [Layer("evil-bottom-\(attack)"), Layer("evil-top-\(attack)")]
        let victim = "attack/victim-\(attack)"
        let evil = "attack/evil-\(attack)"
        try store.write(own.map(\.stored), to: victim, tag: "v")
        let layers =
            attack.claim == .prefix
            ? [other[0].stating(own[0].stored.diffID), other[1].stored]
            : zip(other, own).map { $0.stating($1.stored.diffID) }
        try store.write(layers, to: evil, tag: "v", note: attack.claim == .configuration ? "" : "evil")

        let references = [evil, victim].map { "\(HostsDirectory.registry)/\($0):v" }
        for reference in attack.order == .evilSecond ? references.reversed() : references {
            try await node.containerd.ctr(
                ["images", "rpull", "--snapshotter", "rivulet", "--hosts-dir", node.hosts, reference],
                program: "ctr-remote")
        }
        if attack.order == .evilRemoved {
            try await node.containerd.ctr(["images", "rm", "--sync", references[0]])
        }
        if attack.isRestarted { try await (node.daemon as? RivuletDaemon)?.restart(killing: false) }

        let reference = "\(shared.lab.directory)/attack/\(attack)"
        try Files.makeDirectory(reference)
        for layer in own {
            try Sys.writeFile("\(reference).tar", layer.archive, permissions: 0o600)
            try await Command.run(["tar", "-xpf", "\(reference).tar", "-C", reference], in: shared.lab)
        }
        let chain = own.dropFirst().reduce(own[0].stored.diffID) {
            Digest.of(Array("\($0) \($1.stored.diffID)".utf8))
        }
        let difference = try await withMounted(chain, key: "attack-\(attack)", on: node, shared.lab) { root in
            try await blocking {
                try TreeListing(of: reference).differences(from: TreeListing(of: root), excepting: ["/"]).first
            }
        }
        // The victim's images would also be right if the attack had no effect at all.
        let log = node.daemon?.process.logTail(lines: 100) ?? ""
        let isRebuilt = log.split(separator: "\n").contains { $0.contains("was rebuilt") && $0.contains("\(chain)") }
        guard isRebuilt == (attack.order != .evilSecond) else {
            return "the chain was \(isRebuilt ? "" : "not ")rebuilt"
        }
        return difference
    }

    /// Creates a container's snapshot on the chain as containerd does, and mounts it while `body` runs.
    private static func withMounted(
        _ chain: Digest, key: String, on node: Node, _ lab: Lab, _ body: (String) async throws -> String?
    ) async throws -> String? {
        var refusal = ""
        // A disputed chain is verified first, and the client tries again.
        let isCreated = await eventually(within: .seconds(40)) {
            do {
                try await node.containerd.ctr(
                    ["snapshots", "--snapshotter", "rivulet", "prepare", key, chain.description])
                return true
            } catch {
                refusal = "\(error)"
                return false
            }
        }
        guard isCreated else { return "no container can be created: \(refusal)" }
        let target = "\(lab.directory)/mounted-\(key)"
        try Files.makeDirectory(target)
        let command = try await node.containerd.ctr(["snapshots", "--snapshotter", "rivulet", "mounts", target, key])
        try await Command.run(["sh", "-c", command], in: lab)
        let result: Result<String?, any Error>
        do {
            result = .success(try await body(target))
        } catch {
            result = .failure(error)
        }
        try await Command.run(["umount", target], in: lab)
        return try result.get()
    }
}
