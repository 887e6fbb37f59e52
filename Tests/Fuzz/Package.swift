// swift-tools-version: 6.2
import PackageDescription

// Fuzzers of everything that reads bytes from outside. Not part of the main package, because all of it, dependencies
// included, is built with the sanitizers: see `run`.

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let formats = Target.Dependency.product(name: "LayerFormats", package: "rivulet")
let testSupport = Target.Dependency.product(name: "TestSupport", package: "rivulet")

let package = Package(
    name: "rivulet-fuzz",
    dependencies: [.package(name: "rivulet", path: "../..")],
    targets: [
        .target(name: "FuzzSupport", dependencies: [formats, testSupport], swiftSettings: settings),
        .executableTarget(name: "FuzzFooter", dependencies: ["FuzzSupport", formats], swiftSettings: settings),
        .executableTarget(
            name: "FuzzTOC", dependencies: ["FuzzSupport", formats, testSupport], swiftSettings: settings),
        .executableTarget(name: "FuzzTree", dependencies: ["FuzzSupport", formats], swiftSettings: settings),
        .executableTarget(name: "FuzzChunks", dependencies: ["FuzzSupport", formats], swiftSettings: settings),
        .executableTarget(name: "FuzzTar", dependencies: [formats, testSupport], swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
