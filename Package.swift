// swift-tools-version: 6.2
import PackageDescription

/// The compiler settings of all our own targets.
let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

// MARK: - External libraries

let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let system = Target.Dependency.product(name: "SystemPackage", package: "swift-system")
let collections = Target.Dependency.product(name: "Collections", package: "swift-collections")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let metrics = Target.Dependency.product(name: "Metrics", package: "swift-metrics")
let metricsCore = Target.Dependency.product(name: "CoreMetrics", package: "swift-metrics")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let nio = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let httpClient = Target.Dependency.product(name: "AsyncHTTPClient", package: "async-http-client")
let grpc = Target.Dependency.product(name: "GRPCCore", package: "grpc-swift-2")
let grpcTransport = Target.Dependency.product(name: "GRPCNIOTransportHTTP2", package: "grpc-swift-nio-transport")
let grpcProtobuf = Target.Dependency.product(name: "GRPCProtobuf", package: "grpc-swift-protobuf")
let protobuf = Target.Dependency.product(name: "SwiftProtobuf", package: "swift-protobuf")
let sqlite = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let toml = Target.Dependency.product(name: "TOMLKit", package: "TOMLKit")

// MARK: - Our targets, from the bottom up; an arrow never points to a target further down in this list

/// A library target in `Sources/<group>/` and its tests in `Tests/<name>Tests`.
func module(
    _ group: String, _ name: String, _ dependencies: [Target.Dependency], tests: [Target.Dependency] = []
) -> [Target] {
    [
        .target(
            name: name, dependencies: dependencies, path: "Sources/\(group)/\(name)", exclude: ["README.md"],
            swiftSettings: settings),
        .testTarget(
            name: "\(name)Tests", dependencies: [.byName(name: name)] + dependencies + tests, swiftSettings: settings),
    ]
}

let cLibraries: [Target] = [
    .systemLibrary(
        name: "CFUSE", path: "Sources/Platform/CFUSE", pkgConfig: "fuse3", providers: [.apt(["libfuse3-dev"])]),
    .systemLibrary(
        name: "CISAL", path: "Sources/Platform/CISAL", pkgConfig: "libisal", providers: [.apt(["libisal-dev"])]),
    .systemLibrary(name: "CZlib", path: "Sources/Platform/CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(
        name: "CZstd", path: "Sources/Platform/CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
    .target(name: "CLinux", path: "Sources/Platform/CLinux"),
]

let lowerHalf: [Target] =
    module("Platform", "Base", [crypto])
    + module("Platform", "Concurrency", ["Base"], tests: ["TestSupport"])
    + module("Platform", "Linux", ["Base", "CLinux", system])
    + module("Layers", "Codecs", ["Base", "CISAL", "CZlib", "CZstd"], tests: ["TestSupport"])
    + module("Layers", "LayerIndex", ["Base", "Linux"], tests: ["TestSupport", system])
    + module("Layers", "LayerFormats", ["Base", "Codecs", "LayerIndex"], tests: ["TestSupport", "Linux", "CLinux"])
    + module(
        "Store", "ContentStore", ["Base", "Concurrency", "Codecs", "Linux", "LayerIndex", system],
        tests: ["TestSupport", "LazyFixtures"])
    + module(
        "Transfer", "Prediction", ["Base", "Linux", "LayerIndex", "ContentStore", system],
        tests: ["TestSupport", "LazyFixtures"])
    + module("Transfer", "Planner", ["Base", "ContentStore"], tests: ["TestSupport"])
    + module(
        "Node", "LazyFileSystem", ["Base", "Linux", "LayerIndex", "ContentStore", system], tests: ["LazyFixtures"])
    + module(
        "Node", "FUSEServer", ["Base", "Linux", "ContentStore", "LazyFileSystem", "CFUSE", system],
        tests: ["LayerIndex", "LazyFixtures", "TestSupport"])

let upperHalf: [Target] =
    [
        // Generated code: its warnings are not ours.
        .target(
            name: "ContainerdAPI", dependencies: [grpc, grpcProtobuf, protobuf], path: "Sources/Platform/ContainerdAPI",
            exclude: ["Protos", "generate"])
    ]
    + module(
        "Platform", "ContainerRuntime", ["Base", "ContainerdAPI", grpc, grpcTransport, grpcProtobuf, protobuf, nio],
        tests: [nioEmbedded])
    + module(
        "Transfer", "Registry", ["Base", "Concurrency", httpClient, nio, nioPosix, nioHTTP1, nioSSL, logging, toml],
        tests: ["TestSupport", "TestRegistry", "Lab", "Linux"])
    + module("Platform", "HTTPAPI", [httpClient, nio, nioPosix, nioHTTP1, logging, lifecycle])
    + module(
        "Transfer", "Streaming",
        [
            "Base", "Linux", "Concurrency", "Codecs", "LayerIndex", "LayerFormats", "ContentStore", "Prediction",
            "Planner", "Registry", nio, logging, system,
        ], tests: ["TestSupport", "TestRegistry", "LazyFileSystem", "LazyFixtures"])
    + module(
        "Artifacts", "Artifacts",
        [
            "Base", "Concurrency", "LayerIndex", "LayerFormats", "Registry", crypto, nio, nioPosix, logging,
        ])
    + module(
        "Artifacts", "Conversion",
        [
            "Base", "Concurrency", "Linux", "LayerIndex", "LayerFormats", "Codecs", "ContentStore", "Prediction",
            "Planner",
            "Registry", "Streaming", "Artifacts", "HTTPAPI", sqlite, lifecycle, nio, nioPosix, logging, system,
        ], tests: ["TestSupport", "TestRegistry"])
    + module(
        "Node", "NodeDatabase", ["Base", "Concurrency", "Linux", "ContentStore", "Registry", "Streaming", sqlite])
    + module(
        "Node", "Images",
        [
            "Base", "Concurrency", "Linux", "Codecs", "LayerIndex", "LayerFormats", "ContentStore", "Prediction",
            "Planner", "LazyFileSystem", "Registry", "Streaming", "Artifacts", "NodeDatabase", "ContainerRuntime",
            logging, nio, nioPosix,
        ], tests: ["TestSupport", "TestRegistry", "LazyFixtures", "Conversion"])
    + module(
        "Node", "Snapshotter",
        [
            "Base", "Concurrency", "Linux", "ContentStore", "NodeDatabase", "Images", "ContainerdAPI",
            "ContainerRuntime", grpc, grpcTransport, grpcProtobuf, protobuf, logging, metrics, lifecycle, nio, nioPosix,
            system,
        ], tests: ["Registry", "TestSupport", sqlite])
    + module(
        "Apps", "Daemon",
        [
            "Base", "Linux", "LayerIndex", "ContentStore", "Prediction", "Planner", "LazyFileSystem", "FUSEServer",
            "Registry", "Streaming", "Artifacts", "NodeDatabase", "Images", "Snapshotter", "HTTPAPI", "ContainerdAPI",
            "ContainerRuntime",
            grpc,
            grpcTransport, logging, metrics, metricsCore, lifecycle, signals, arguments, toml, nio, nioPosix, nioHTTP1,
            system,
        ], tests: ["TestSupport", protobuf])
    + module(
        "Apps", "RivuletCommands",
        [
            "Base", "Linux", "Registry", "Streaming", "Artifacts", "Conversion", "HTTPAPI", "ContainerRuntime",
            "ContainerdAPI", protobuf, arguments, httpClient, nio, nioPosix, nioHTTP1, logging, lifecycle, signals,
            system,
        ], tests: ["Daemon", "NodeDatabase", "Snapshotter", "TestSupport"])
    + [
        .executableTarget(
            name: "rivuletd", dependencies: ["Daemon", "Prediction"], path: "Sources/Apps/rivuletd",
            swiftSettings: settings),
        .executableTarget(
            name: "rivulet", dependencies: ["RivuletCommands", "Prediction"], path: "Sources/Apps/rivulet",
            swiftSettings: settings),
    ]

/// The parsers of the upper half that need neither a network nor a database, under their modules' own names. Together
/// with the lower half they build in a few minutes with a sanitizer.
let parsers: [Target] = [
    .target(
        name: "Registry", dependencies: ["Base", "Concurrency", nio, toml], path: "Sources/Transfer/Registry",
        sources: [
            "Basics", "Blob/ContentRange.swift", "Blob/MultipartParser.swift", "Blob/RangeAnswer.swift",
            "Credentials/AuthChallenge.swift", "Credentials/CredentialSource.swift", "Credentials/DockerConfig.swift",
            "Credentials/TokenAnswer.swift", "Credentials/TokenCache.swift", "Hosts/HostsFile.swift",
            "Hosts/RegistryHost.swift", "Hosts/RegistryHost+Defaults.swift", "Hosts/TOMLOutline.swift",
            "Hosts/TOMLScalar.swift", "Manifest", "Reference", "Referrers", "Requests/RedirectExpiry.swift",
            "Transport/RedirectTarget.swift",
        ], swiftSettings: settings),
    .target(
        name: "Streaming", dependencies: ["Base", "Registry"], path: "Sources/Transfer/Streaming",
        sources: [
            "Pack/StartupPack.swift", "Profile/Profile.swift", "Profile/ProfileFile.swift",
            "Common/StreamingError.swift",
        ], swiftSettings: settings),
    .target(
        name: "Conversion", dependencies: ["Base"], path: "Sources/Artifacts/Conversion",
        sources: ["Service/ConversionError.swift", "Service/PushNotification.swift"], swiftSettings: settings),
    .target(
        name: "NodeDatabase", dependencies: ["Base", "ContentStore"], path: "Sources/Node/NodeDatabase",
        sources: ["NodeDatabaseError.swift", "SnapshotLabels.swift", "SnapshotRecord.swift"], swiftSettings: settings),
    .target(
        name: "Snapshotter", dependencies: ["Base", "ContentStore", "NodeDatabase"], path: "Sources/Node/Snapshotter",
        sources: [
            "LinearRegex.swift", "LinearRegexParser.swift", "SnapshotFilter.swift", "SnapshotFilterParser.swift",
            "SnapshotterError.swift",
        ], swiftSettings: settings),
]

let bench: [Target] = [
    .target(
        name: "Lab",
        dependencies: [
            "Base", "Linux", "ContainerdAPI", "ContainerRuntime", protobuf, grpc, grpcTransport, grpcProtobuf, nio,
            nioPosix, system,
        ],
        path: "bench/Lab", swiftSettings: settings),
    // Modes, samples, results and their summaries: all of PodReady but its commands.
    .target(
        name: "Harness",
        dependencies: ["Lab", "Base", "Linux", "LayerIndex", "ContainerRuntime", nio, nioPosix, system],
        path: "bench/PodReady",
        sources: ["Harness", "Modes"], swiftSettings: settings),
    // Random images, compared with containerd's own pull.
    .executableTarget(
        name: "Differential",
        dependencies: [
            "Lab", "Base", "Linux", "Codecs", "LayerIndex", "LayerFormats", "ContainerRuntime", "TestSupport", "CZlib",
            "CZstd", arguments, system,
        ],
        path: "bench/Differential", swiftSettings: settings),
    // Images pulled and removed thousands of times: a search for leaks.
    .executableTarget(
        name: "Cycles",
        dependencies: [
            "Lab", "Base", "Linux", "Concurrency", "ContainerRuntime", "TestSupport", arguments, sqlite, system,
        ],
        path: "bench/Cycles", swiftSettings: settings),
    .executableTarget(
        name: "LayerBench",
        dependencies: ["Base", "Codecs", "LayerFormats", "LayerIndex", "Linux", "TestSupport", "CZlib"],
        path: "bench/LayerBench", swiftSettings: settings),
    .executableTarget(
        name: "MountBench",
        dependencies: ["Base", "Linux", "LayerIndex", "LazyFileSystem", "FUSEServer", "LazyFixtures"],
        path: "bench/MountBench", swiftSettings: settings),
    .executableTarget(
        name: "PodReady", dependencies: ["Lab", "Harness", "Base", "Linux", "ContainerRuntime", arguments],
        path: "bench/PodReady",
        exclude: ["Harness", "Modes"], swiftSettings: settings),
]

let sharedByTests: [Target] = [
    .target(
        name: "LazyFixtures",
        dependencies: [
            "Base", "Linux", "Codecs", "LayerIndex", "ContentStore", "LazyFileSystem", "TestSupport", system,
        ],
        path: "Tests/LazyFixtures", swiftSettings: settings),
    .target(
        name: "TestSupport",
        dependencies: ["Base", "Concurrency", "Linux", "Codecs", "CZlib", "CZstd", logging, system],
        path: "Tests/TestSupport", swiftSettings: settings),
    // One function a parser of outside bytes: Tests/Fuzz runs them with a fuzzer, FuzzReplayTests over the committed
    // corpora.
    .target(
        name: "FuzzTargets",
        dependencies: [
            "Base", "Linux", "Codecs", "LayerIndex", "LayerFormats", "ContentStore", "Prediction", "Registry",
            "Streaming",
            "Conversion", "NodeDatabase", "Snapshotter", "TestSupport", nio,
        ], path: "Tests/FuzzTargets", swiftSettings: settings),
    .testTarget(
        name: "FuzzReplayTests", dependencies: ["FuzzTargets", "Base", "Linux", "TestSupport"],
        swiftSettings: settings),
]

let testOnly: [Target] = [
    .target(
        name: "TestRegistry", dependencies: ["Base", nio, nioPosix, nioHTTP1, nioSSL], path: "Tests/TestRegistry",
        swiftSettings: settings),
    // A daemon whose analyzer traps, loops, takes memory and recurses when a file says so.
    .executableTarget(
        name: "HostileAnalyzer", dependencies: ["Base", "Linux", "CLinux", "Prediction", "Daemon", system],
        path: "Tests/HostileAnalyzer", swiftSettings: settings),
    .testTarget(
        name: "LabTests",
        dependencies: ["Lab", "Harness", "Base", "Linux", "ContainerRuntime", "TestSupport", nio, nioPosix, system],
        path: "Tests/LabTests", swiftSettings: settings),
    .testTarget(
        name: "EndToEnd",
        dependencies: [
            "Lab", "Base", "Concurrency", "Linux", "ContainerdAPI", "ContainerRuntime", "Artifacts", "LayerFormats",
            "LayerIndex", "Registry", "TestSupport",
        ],
        path: "Tests/EndToEnd",
        swiftSettings: settings),
]

/// Leaves out everything that needs gRPC, an HTTP client or a database: for sanitizers and fuzzers.
let isLowerHalfOnly = Context.environment["RIVULET_LOWER_HALF"] == "1"

let package = Package(
    name: "rivulet",
    products: isLowerHalfOnly
        ? [.library(name: "FuzzTargets", targets: ["FuzzTargets"])]
        : [
            .executable(name: "rivuletd", targets: ["rivuletd"]),
            .executable(name: "rivulet", targets: ["rivulet"]),
        ],
    dependencies: [
        .package(url: "https://github.com/grpc/grpc-swift-2", from: "2.4.0"),
        .package(url: "https://github.com/grpc/grpc-swift-nio-transport", from: "2.9.0"),
        .package(url: "https://github.com/grpc/grpc-swift-protobuf", from: "2.4.0"),
        .package(url: "https://github.com/apple/swift-protobuf", from: "1.38.0"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/LebJe/TOMLKit", from: "0.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", "3.12.0"..<"5.0.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    ],
    targets: cLibraries + lowerHalf + sharedByTests + (isLowerHalfOnly ? parsers : upperHalf + bench + testOnly),
    swiftLanguageModes: [.v6]
)
