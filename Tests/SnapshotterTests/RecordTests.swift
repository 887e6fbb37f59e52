import Base
import ContainerdAPI
import GRPCCore
import Linux
import NodeDatabase
import Snapshotter
import SwiftProtobuf
import Testing

/// containerd's contract for each call on ordinary snapshots.
struct RecordTests {
    /// An invalid call, and the status that it must fail with.
    struct Refusal: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var code: RPCError.Code
        var word = ""
        var call: @Sendable (Harness) async throws -> Void
    }

    /// The invalid calls. `base` and `top` on `base` are committed, `active` and `view` are on `base`, and `alone` is
    /// active.
    static let refusals: [Refusal] = [
        Refusal(testDescription: "prepare an active key", code: .alreadyExists) { _ = try await $0.prepare("active") },
        Refusal(testDescription: "prepare a view's key", code: .alreadyExists) { _ = try await $0.prepare("view") },
        Refusal(testDescription: "prepare a committed name", code: .alreadyExists) { _ = try await $0.prepare("base") },
        Refusal(testDescription: "view an active key", code: .alreadyExists) {
            _ = try await $0.view("active", "base")
        },
        Refusal(testDescription: "prepare on nothing", code: .notFound) { _ = try await $0.prepare("new", "none") },
        Refusal(testDescription: "view on nothing", code: .notFound) { _ = try await $0.view("new", "none") },
        Refusal(testDescription: "prepare on an active one", code: .invalidArgument) {
            _ = try await $0.prepare("new", "active")
        },
        Refusal(testDescription: "prepare on a view", code: .invalidArgument) { _ = try await $0.view("new", "view") },
        Refusal(testDescription: "prepare without a key", code: .invalidArgument) { _ = try await $0.prepare("") },
        Refusal(testDescription: "prepare a huge key", code: .invalidArgument) {
            _ = try await $0.prepare(String(repeating: "k", count: 8193))
        },
        Refusal(testDescription: "prepare with a huge label", code: .invalidArgument) {
            _ = try await $0.prepare("new", "", ["name": String(repeating: "v", count: 4093)])
        },
        Refusal(testDescription: "prepare with many labels", code: .invalidArgument) {
            let labels = Dictionary(uniqueKeysWithValues: (0...256).map { ("label\($0)", "x") })
            _ = try await $0.prepare("new", "", labels)
        },
        Refusal(testDescription: "commit to a taken name", code: .alreadyExists) {
            try await $0.commit("top", "active")
        },
        Refusal(testDescription: "commit nothing", code: .notFound) { try await $0.commit("new", "none") },
        Refusal(testDescription: "commit a view", code: .failedPrecondition) { try await $0.commit("new", "view") },
        Refusal(testDescription: "commit a committed one", code: .failedPrecondition) {
            try await $0.commit("new", "base")
        },
        Refusal(testDescription: "commit without a name", code: .invalidArgument) { try await $0.commit("", "active") },
        Refusal(testDescription: "commit on another parent", code: .invalidArgument) {
            try await $0.commit("new", "active", parent: "top")
        },
        Refusal(testDescription: "rebase on nothing", code: .notFound) {
            try await $0.commit("new", "alone", parent: "none")
        },
        Refusal(testDescription: "rebase on an active one", code: .failedPrecondition) {
            try await $0.commit("new", "alone", parent: "active")
        },
        Refusal(testDescription: "remove nothing", code: .notFound) { try await $0.remove("none") },
        Refusal(testDescription: "remove a parent", code: .failedPrecondition, word: "remove") {
            try await $0.remove("base")
        },
        Refusal(testDescription: "mounts of nothing", code: .notFound) { _ = try await $0.mounts("none") },
        Refusal(testDescription: "mounts of a committed one", code: .failedPrecondition) {
            _ = try await $0.mounts("base")
        },
        Refusal(testDescription: "stat nothing", code: .notFound) { _ = try await $0.stat("none") },
        Refusal(testDescription: "usage of nothing", code: .notFound) { _ = try await $0.usage("none") },
        Refusal(testDescription: "update nothing", code: .notFound) { _ = try await $0.update("none", [:]) },
        Refusal(testDescription: "update without a name", code: .invalidArgument) { _ = try await $0.update("", [:]) },
        Refusal(testDescription: "update the parent", code: .invalidArgument) {
            _ = try await $0.update("base", [:], mask: ["labels", "parent"])
        },
        Refusal(testDescription: "update a nameless label", code: .invalidArgument) {
            _ = try await $0.update("base", [:], mask: ["labels."])
        },
        Refusal(testDescription: "list with a bad filter", code: .invalidArgument) {
            _ = try await $0.names(["name=x"])
        },
    ]

    /// All calls reach one snapshotter, because none of them may change it.
    @Test func refuses() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            try await snapshotter.layer("base")
            try await snapshotter.layer("top", on: "base")
            _ = try await snapshotter.prepare("active", "base")
            _ = try await snapshotter.view("view", "base")
            _ = try await snapshotter.prepare("alone")
            let before = try await snapshotter.names()
            for refusal in Self.refusals {
                let error = await failure { try await refusal.call(snapshotter) }
                #expect(error?.code == refusal.code, "\(refusal.testDescription)")
                #expect(
                    error?.message.contains(refusal.word) == true || refusal.word.isEmpty,
                    "\(refusal.testDescription)")
                #expect(try await snapshotter.names() == before, "\(refusal.testDescription)")
            }
        }
    }

    @Test func commitReplacesLabelsAndTimesAndKeepsTheData() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            let mounts = try await snapshotter.prepare("key", "", ["gone": "1"])
            let upper = try #require(mounts.first).source
            try Sys.makeDirectory(upper + "/etc")
            let active = try await snapshotter.stat("key")
            #expect(active.labels == ["gone": "1"])
            try await snapshotter.commit("name", "key", ["kept": "2", "empty": ""])
            let committed = try await snapshotter.stat("name")
            #expect(committed.kind == .committed)
            #expect(committed.labels == ["kept": "2"])
            #expect(committed.createdAt == committed.updatedAt)
            #expect(committed.createdAt.nanosecondsSince1970 > active.createdAt.nanosecondsSince1970)
            #expect(await failure { _ = try await snapshotter.stat("key") }?.code == .notFound)
            let view = try await snapshotter.view("view", "name")
            #expect(view.map(\.type) == ["bind"])
            #expect(view.first?.source == upper)
            #expect(view.first?.options == ["ro", "rbind"])
        }
    }

    @Test func rebaseGivesAParentAtCommit() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            try await snapshotter.layer("base")
            _ = try await snapshotter.prepare("key")
            try await snapshotter.commit("top", "key", parent: "base")
            #expect(try await snapshotter.stat("top").parent == "base")
            _ = try await snapshotter.prepare("same", "base")
            try await snapshotter.commit("next", "same", parent: "base")
            #expect(try await snapshotter.stat("next").parent == "base")
            let mounts = try await snapshotter.prepare("container", "top")
            let lowers = try #require(mounts.first?.options.last)
            #expect(lowers.split(separator: ":").count == 2)
        }
    }

    @Test func updateFollowsTheMask() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            let start = ["l1": "a", "l2": "b", "l3": "c"]
            _ = try await snapshotter.prepare("key", "", start)
            let before = try await snapshotter.stat("key")
            let masked = try await snapshotter.update(
                "key", ["l1": "x", "l4": "y", "dotted.name/z": "d"],
                mask: ["labels.l1", "labels.l2", "labels.dotted.name/z"])
            #expect(masked.labels == ["l1": "x", "l3": "c", "dotted.name/z": "d"])
            #expect(masked.createdAt == before.createdAt)
            #expect(masked.updatedAt.nanosecondsSince1970 > before.updatedAt.nanosecondsSince1970)
            #expect(try await snapshotter.update("key", ["n": "1"], mask: ["labels"]).labels == ["n": "1"])
            #expect(try await snapshotter.update("key", ["m": "2", "e": ""]).labels == ["m": "2"])
            #expect(try await snapshotter.stat("key").labels == ["m": "2"])
        }
    }

    @Test func keysComeBackAfterRemoval() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            try await snapshotter.layer("base")
            for _ in 0..<3 {
                _ = try await snapshotter.prepare("key", "base")
                try await snapshotter.remove("key")
                _ = try await snapshotter.view("key", "base")
                try await snapshotter.remove("key")
            }
            _ = try await snapshotter.prepare("key")
            try await snapshotter.commit("other", "key")
            #expect(try await snapshotter.names() == ["base", "other"])
        }
    }

    @Test func ofManyPreparesOfOneKeyOneSucceeds() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            let outcomes = await withTaskGroup(of: RPCError.Code?.self) { group in
                for _ in 0..<20 {
                    group.addTask { await failure { _ = try await snapshotter.prepare("key") }?.code }
                }
                var outcomes: [RPCError.Code?] = []
                for await outcome in group { outcomes.append(outcome) }
                return outcomes
            }
            #expect(outcomes.filter { $0 == nil }.count == 1)
            #expect(outcomes.filter { $0 == .alreadyExists }.count == 19)
            #expect(try snapshotter.records.count() == 1)
            #expect(try Sys.list(snapshotter.root + "/snapshots").count == 1)
        }
    }

    @Test func theNamespaceHeaderIsNeitherNeededNorMinded() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            for (number, metadata) in [Metadata(), ["containerd-namespace": "k8s.io", "containerd-lease": "1"]]
                .enumerated()
            {
                _ = try await snapshotter.client.prepare(.with { $0.key = "key\(number)" }, metadata: metadata)
                _ = try await snapshotter.client.remove(.with { $0.key = "key\(number)" }, metadata: metadata)
                _ = try await snapshotter.client.cleanup(.init(), metadata: metadata)
            }
            #expect(try snapshotter.records.count() == 0)
        }
    }

    @Test func unknownFieldsAreTolerated() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            // Field 200, a string, stands for a field that a newer containerd might send.
            let unknown: [UInt8] = [0xC2, 0x0C, 0x03, 0x61, 0x62, 0x63]
            var bytes =
                try Containerd_Services_Snapshots_V1_PrepareSnapshotRequest.with { $0.key = "key" }
                .serializedBytes() as [UInt8]
            bytes += unknown
            _ = try await snapshotter.client.prepare(
                try Containerd_Services_Snapshots_V1_PrepareSnapshotRequest(serializedBytes: bytes))
            #expect(try await snapshotter.names() == ["key"])
        }
    }
}

extension Google_Protobuf_Timestamp {
    var nanosecondsSince1970: Int64 { seconds * 1_000_000_000 + Int64(nanos) }
}
