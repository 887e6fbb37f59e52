// swift-tools-version: 6.2
import PackageDescription

// The fuzzer of everything that reads bytes from outside. A package of its own because all of it, dependencies
// included, is built with the sanitizers. `run` sets RIVULET_LOWER_HALF=1: the build then needs no gRPC, HTTP client or
// database.

let package = Package(
    name: "rivulet-fuzz",
    dependencies: [.package(name: "rivulet", path: "../..")],
    targets: [
        .executableTarget(
            name: "Fuzz", dependencies: [.product(name: "FuzzTargets", package: "rivulet")],
            swiftSettings: [
                .enableUpcomingFeature("ExistentialAny"),
                .enableUpcomingFeature("InternalImportsByDefault"),
                .enableUpcomingFeature("MemberImportVisibility"),
            ])
    ],
    swiftLanguageModes: [.v6]
)
