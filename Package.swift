// swift-tools-version: 6.2
import PackageDescription

// Rooms and the only edges allowed between them; docs/architecture.md says why, and
// Tests/ArchitectureTests reads this file and every import line.

let library: [SwiftSetting] = [
  .swiftLanguageMode(.v6)
]

// ADAPTQ_SANITIZE=address or thread in the environment, with swift build --sanitize of the same name and a scratch path of
// its own: the sanitizer's run time is in the program, so the library cannot be closed under -z defs.
let sanitizer = Context.environment["ADAPTQ_SANITIZE"] ?? ""

// libadaptq.so carries its own Swift run time, exports only adaptq_* and stays loaded. Linker flags spread to everything
// that depends on a target, so nothing but the dynamic product may depend on AdaptQ.
let shellLinkerFlags: [String] =
  [
    "-static-stdlib",
    "-Xlinker", "-soname=libadaptq.so.0",
    "-Xlinker", "--version-script=\(Context.packageDirectory)/Sources/AdaptQ/adaptq.map",
    "-Xlinker", "-z", "-Xlinker", "nodelete",
    // lld packs 19,000 relative relocations into 3 KB instead of 460 (glibc 2.36 reads them, which the header demands), and
    // keeps one of functions with the same code: 200 KB. Nothing here tells functions apart by their address.
    "-use-ld=lld", "-Xlinker", "-z", "-Xlinker", "pack-relative-relocs", "-Xlinker", "--icf=all",
  ] + (sanitizer.isEmpty ? ["-Xlinker", "-z", "-Xlinker", "defs"] : [])

// hwloc's static library from libhwloc-dev, private to whatever is linked: Sources/Chwloc answers the redirected symbols.
let hwlocLinkerFlags: [String] = [
  "getenv", "stderr", "stdout", "program_invocation_name", "__assert_fail", "openat", "fdopendir", "fdopen",
  "hwloc_bitmap_set",
].flatMap { ["-Xlinker", "--wrap=\($0)"] }

let package = Package(
  name: "adaptq",
  products: [
    .library(name: "adaptq", type: .dynamic, targets: ["AdaptQ"]),
    .executable(name: "adaptq-cli", targets: ["adaptq-cli"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
  ],
  targets: [
    .systemLibrary(name: "CAdaptQ", path: "include"),
    .target(name: "CMachine"),
    .target(
      name: "Chwloc", linkerSettings: [.unsafeFlags(hwlocLinkerFlags), .linkedLibrary(":libhwloc.a")]),
    .target(name: "Base", dependencies: ["CMachine"], swiftSettings: library),
    .target(name: "MachineCode", dependencies: ["Base", "CMachine"], swiftSettings: library),
    .target(name: "Hardware", dependencies: ["Base", "CMachine", "Chwloc"], swiftSettings: library),
    .target(name: "NestedFormat", dependencies: ["Base"], swiftSettings: library),
    .target(
      name: "Kernels", dependencies: ["Base", "NestedFormat", "MachineCode", "Hardware"], swiftSettings: library),
    .target(name: "Graph", dependencies: ["Base", "NestedFormat"], swiftSettings: library),
    .target(name: "Control", dependencies: ["Base"], swiftSettings: library),
    .target(name: "Text", dependencies: ["Base"], swiftSettings: library),
    .target(name: "Pictures", dependencies: ["Base"], swiftSettings: library),
    .target(name: "Telemetry", dependencies: ["Base", "CMachine", "Control"], swiftSettings: library),
    .target(name: "Simulation", dependencies: ["Base", "Control"], swiftSettings: library),
    .target(
      name: "Traces", dependencies: ["Base", "CMachine", "Telemetry", "NestedFormat", "Control"],
      swiftSettings: library),
    .target(
      name: "Runtime",
      dependencies: ["Base", "CMachine", "Graph", "Kernels", "NestedFormat", "Hardware", "Control", "Telemetry"],
      swiftSettings: library),
    .target(
      name: "Tuning", dependencies: ["Base", "Control", "Graph", "NestedFormat", "Runtime"], swiftSettings: library),
    .target(
      name: "Bench",
      dependencies: [
        "Base", "CMachine", "MachineCode", "Hardware", "NestedFormat", "Kernels", "Graph", "Runtime",
        "Pictures",
      ],
      swiftSettings: library),
    .target(name: "Importers", dependencies: ["Base", "Graph", "Text"], swiftSettings: library),
    .target(
      name: "AdaptQ",
      dependencies: [
        "Base", "CAdaptQ", "CMachine", "Runtime", "Graph", "Kernels", "NestedFormat", "Hardware", "Control", "Text",
        "Telemetry",
      ],
      exclude: ["adaptq.map"], swiftSettings: library, linkerSettings: [.unsafeFlags(shellLinkerFlags)]),
    .executableTarget(
      name: "adaptq-cli",
      dependencies: [
        "Base", "Bench", "Graph", "Importers", "Runtime", "Tuning", "Kernels", "NestedFormat", "Hardware", "Control",
        "Text", "Pictures", "Telemetry", "Traces", "Simulation",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Sources/CLI", swiftSettings: library),

    .target(name: "TestSupport", dependencies: ["Base", "Graph", "MachineCode"], path: "Tests/TestSupport"),
    .testTarget(name: "BaseTests", dependencies: ["Base", "CMachine", "TestSupport"]),
    .testTarget(name: "MachineCodeTests", dependencies: ["Base", "MachineCode", "TestSupport"]),
    // The system's shared hwloc, in a process of its own, with the environment that a test wants. HardwareTests run it, but no
    // target may depend on it: whatever does is linked with both hwlocs.
    .systemLibrary(
      name: "CSystemHwloc", path: "Tests/CSystemHwloc", pkgConfig: "hwloc", providers: [.apt(["libhwloc-dev"])]),
    .executableTarget(name: "topology-twin", dependencies: ["Base", "CSystemHwloc"], path: "Tests/TopologyTwin"),
    .testTarget(
      name: "HardwareTests", dependencies: ["Hardware", "Base", "TestSupport"],
      exclude: ["Fixtures"]),
    .testTarget(name: "NestedFormatTests", dependencies: ["NestedFormat", "Base", "TestSupport"]),
    .testTarget(
      name: "KernelsTests",
      dependencies: ["Kernels", "NestedFormat", "MachineCode", "Hardware", "Base", "TestSupport"]),
    .testTarget(
      name: "BenchTests",
      dependencies: [
        "Bench", "Kernels", "MachineCode", "Hardware", "NestedFormat", "Pictures", "Runtime", "Base", "TestSupport",
      ]),
    .testTarget(
      name: "TracesTests", dependencies: ["Traces", "Telemetry", "Control", "NestedFormat", "Base", "TestSupport"]),
    .testTarget(name: "PicturesTests", dependencies: ["Pictures", "Base"]),
    .testTarget(name: "ControlTests", dependencies: ["Control", "Base", "TestSupport"]),
    .testTarget(
      name: "SimulationTests", dependencies: ["Simulation", "Control", "Base", "TestSupport"], exclude: ["Recorded"]),
    .testTarget(name: "ArchitectureTests"),
    .testTarget(name: "GraphTests", dependencies: ["Graph", "NestedFormat", "Base", "TestSupport"]),
    .testTarget(
      name: "RuntimeTests",
      dependencies: [
        "Runtime", "Importers", "Graph", "Kernels", "NestedFormat", "Hardware", "Control", "Text", "Base",
        "TestSupport",
      ]),
    .testTarget(
      name: "TuningTests",
      dependencies: ["Tuning", "Runtime", "Graph", "Kernels", "NestedFormat", "Base", "TestSupport"]),
    .testTarget(name: "TextTests", dependencies: ["Text", "Base", "TestSupport"], exclude: ["Golden"]),
  ]
)
