// swift-tools-version: 6.2
import PackageDescription

// Rooms and the only edges allowed between them; docs/architecture.md says why, and
// Tests/ArchitectureTests reads this file and every import line.

let library: [SwiftSetting] = [
  .swiftLanguageMode(.v6)
]

let package = Package(
  name: "adaptq",
  products: [],
  dependencies: [],
  targets: [
    .systemLibrary(name: "Chwloc", pkgConfig: "hwloc", providers: [.apt(["libhwloc-dev"])]),
    .target(name: "CMachine"),
    .target(name: "Base", dependencies: ["CMachine"], swiftSettings: library),

    .target(name: "NestedFormat", dependencies: ["Base"], swiftSettings: library),
    .target(name: "Kernels", dependencies: ["Base", "NestedFormat"], swiftSettings: library),

    .target(name: "TestSupport", path: "Tests/TestSupport"),
    .testTarget(name: "BaseTests", dependencies: ["Base", "TestSupport"]),
    .testTarget(name: "NestedFormatTests", dependencies: ["NestedFormat", "Base", "TestSupport"]),
    .testTarget(name: "KernelsTests", dependencies: ["Kernels", "NestedFormat", "Base", "TestSupport"]),
  ]
)
