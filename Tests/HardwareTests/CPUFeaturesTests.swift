import Base
import Foundation
import Hardware
import TestSupport
import Testing

@Suite struct CPUFeaturesTests {
  @Test(arguments: Recorded.names(in: Recorded.fixtures, suffix: ".txt"))
  func readsHandWrittenMachine(_ name: String) throws {
    let fixture = try Fixture(name)
    let features = CPUFeatures(table: fixture.table, xcr0: fixture.xcr0)
    #expect(features.vendor.name == fixture.expected["vendor"])
    #expect("\(features.family)" == fixture.expected["family"])
    #expect("\(features.model)" == fixture.expected["model"])
    #expect("\(features.stepping)" == fixture.expected["stepping"])
    #expect(features.brand == fixture.expected["brand"])
    #expect(features.usable.text == fixture.expected["usable"])
    #expect(features.withoutState.text == fixture.expected["hidden"] ?? "")
    #expect(KernelFeatures(features).highest.name == fixture.expected["highest"])
  }

  /// hwloc decoded the same leaves on its own: identity must agree.
  @Test(arguments: Recorded.names(in: Recorded.x86, suffix: ".tar.bz2"))
  func agreesWithHwlocOnIdentity(_ name: String) throws {
    let table = try Recorded.hwlocTable(name)
    #expect(!table.entries.isEmpty, "\(name)")
    let features = CPUFeatures(table: table, xcr0: table.registers(0xD).eax64)
    let xml = try String(contentsOf: Recorded.x86!.appendingPathComponent(name + ".xml"), encoding: .utf8)
    func info(_ key: String) -> String? {
      guard let start = xml.range(of: "<info name=\"\(key)\" value=\"") else { return nil }
      return xml[start.upperBound...].split(separator: "\"", maxSplits: 1).first.map(String.init)
    }
    #expect("\(features.family)" == info("CPUFamilyNumber"), "\(name)")
    #expect("\(features.model)" == info("CPUModelNumber"), "\(name)")
    #expect("\(features.stepping)" == info("CPUStepping"), "\(name)")
    let brand = info("CPUModel")?.trimmingCharacters(in: .whitespaces)
    #expect(features.brand == brand, "\(name)")
    let letters = ["Intel": "GenuineIntel", "AMD": "AuthenticAMD", "Hygon": "HygonGenuine"]
    #expect(info("CPUVendor") == letters[features.vendor.name], "\(name)")
  }

  /// Two independent records of the same CPU generation: leaves read on a machine, names printed by an emulator.
  /// (The 225U is an Arrow Lake by name; its cores are those of Meteor Lake.)
  @Test(arguments: [
    ("Intel-Nehalem-2xXeon-X5550", "nhm"), ("Intel-SandyBridge-2xXeon-E5-2650", "snb"),
    ("Intel-IvyBridge-12xXeon-E5-4620v2", "ivb"), ("Intel-Haswell-2xXeon-E5-2680v3", "hsw"),
    ("Intel-Broadwell-2xXeon-E5-2650Lv4", "bdw"), ("Intel-Skylake-2xXeon6140", "skx"),
    ("Intel-CascadeLake-2xXeon6230", "clx"), ("Intel-SapphireRapids-2xXeonMax9460", "spr"),
    ("Intel-RaptorLake-Corei7-1370P", "rpl"), ("Intel-ArrowLake-CoreUltra5-225U", "mtl"),
  ]) func agreesWithEmulatedGeneration(_ machine: String, _ generation: String) throws {
    guard Recorded.x86 != nil, let lists = Recorded.featureLists else { return }
    let text = try String(contentsOf: lists.appendingPathComponent(generation + ".txt"), encoding: .utf8)
    let listed = Set(text.split(whereSeparator: { " \n".contains($0) }).map(String.init))
    let table = try Recorded.hwlocTable(machine)
    let features = CPUFeatures(table: table, xcr0: table.registers(0xD).eax64)
    for (feature, name) in Self.emulatorNames {
      #expect(features.has(feature) == listed.contains(name), "\(machine): \(name)")
    }
  }

  private static let emulatorNames: [(CPUFeature, String)] = [
    (.sse3, "sse3"), (.ssse3, "ssse3"), (.sse41, "sse41"), (.sse42, "sse42"), (.popcnt, "popcnt"), (.avx, "avx"),
    (.fma, "fma"), (.f16c, "f16c"), (.avx2, "avx2"), (.bmi1, "bmi1"), (.bmi2, "bmi2"), (.lzcnt, "lzcnt"),
    (.gfni, "gfni"), (.vaes, "vaes"), (.vpclmulqdq, "vpclmulqdq"), (.hybrid, "hybrid"), (.avxVNNI, "avx_vnni"),
    (.avxVNNIInt8, "avx_vnni_int8"), (.avxVNNIInt16, "avx_vnni_int16"), (.avxIFMA, "avx_ifma"),
    (.avxNEConvert, "avx_ne_convert"), (.avx512f, "avx512f"), (.avx512dq, "avx512dq"), (.avx512ifma, "avx512_ifma"),
    (.avx512cd, "avx512cd"), (.avx512bw, "avx512bw"), (.avx512vl, "avx512vl"), (.avx512vbmi, "avx512_vbmi"),
    (.avx512vbmi2, "avx512_vbmi2"), (.avx512vnni, "avx512_vnni"), (.avx512bitalg, "avx512_bitalg"),
    (.avx512vpopcntdq, "avx512_vpopcntdq"), (.avx512bf16, "avx512_bf16"), (.avx512fp16, "avx512_fp16"),
    (.amxTile, "amx(tile)"), (.amxInt8, "amx(int8)"), (.amxBF16, "amx(bf16)"),
  ]

  /// The kernel reads the same CPU: its flags line is the twin of ours, for names both print.
  @Test func liveAgreesWithProcCpuinfo() throws {
    #if arch(x86_64)
      let text = try String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)
      guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("flags") }) else { return }
      let flags = Set(line.split(separator: " ").map(String.init))
      let features = CPUFeatures.live()
      // Linux prints no flag of this name on any CPU, or only in newer kernels.
      let unprinted: Set<CPUFeature> = [
        .osxsave, .hybrid, .avxVNNIInt8, .avxVNNIInt16, .avxIFMA, .avxNEConvert, .amxFP16,
      ]
      for feature in CPUFeature.allCases where !unprinted.contains(feature) {
        #expect(features.has(feature) == flags.contains(feature.name), "\(feature.name)")
      }
      print("this CPU: \(features.brand ?? "?"), kernels up to \(KernelFeatures(features).highest.name)")
    #endif
  }

  /// Any answer, however wrong, is decoded without a trap, and nothing is usable that lacks its register state.
  @Test func survivesRandomLeaves() {
    var random = SeededRandom("CPUFeatures random leaves")
    for index in 0..<500 {
      var table = CPUIDTable()
      for leaf: UInt32 in [0, 1, 7, 0xD, 0x8000_0000, 0x8000_0001, 0x8000_0002, 0x8000_0003, 0x8000_0004] {
        let a = random.next()
        let b = random.next()
        table.entries[.init(leaf)] = .init(
          UInt32(truncatingIfNeeded: a), UInt32(truncatingIfNeeded: a >> 32), UInt32(truncatingIfNeeded: b),
          UInt32(truncatingIfNeeded: b >> 32))
      }
      table.entries[.init(7, 1)] = table.entries[.init(1)]
      let features = CPUFeatures(table: table, xcr0: random.next() & ~0x4)
      #expect(!features.has(.avx) && !features.has(.avx2) && !features.has(.avx512f), "case \(index)")
      #expect(KernelFeatures(features) == KernelFeatures(), "case \(index)")
    }
  }
}

@Suite struct KernelFeaturesTests {
  private func machine(_ features: [CPUFeature]) throws -> CPUFeatures {
    var result = CPUFeatures(table: CPUIDTable(), xcr0: 0)
    result.usable = CPUFeatureSet(features)
    return result
  }

  @Test func higherMaximumNeverTakesAFieldAway() throws {
    let fixture = try Fixture("sapphire-rapids")
    let features = CPUFeatures(table: fixture.table, xcr0: fixture.xcr0)
    var previous = KernelFeatures()
    for maximum in InstructionSet.allCases {
      let current = KernelFeatures(features, maximum: maximum)
      for set in InstructionSet.allCases where previous.supports(set) { #expect(current.supports(set), "\(maximum)") }
      #expect(!previous.gfni || current.gfni)
      #expect(current.highest == maximum)
      for set in InstructionSet.allCases { #expect(current.supports(set) == (set <= maximum)) }
      previous = current
    }
    #expect(KernelFeatures(features).highest == .avx512fp16, "AMX is opt-in")
    var tiles = KernelFeatures(features, maximum: .amx)
    #expect(tiles.highest == .amx && tiles.askForTiles { 0 } == nil && tiles.highest == .amx)
    #expect(tiles.askForTiles { 28 }?.contains("28") == true && tiles.highest == .avx512fp16)
    #expect(tiles.askForTiles { 28 } == nil, "nothing to ask for")
  }

  @Test func isNotALadder() throws {
    let cascadeLake = try machine([
      .avx, .avx2, .fma, .f16c, .avx512f, .avx512bw, .avx512dq, .avx512vl, .avx512cd, .avx512vnni,
    ])
    let kernels = KernelFeatures(cascadeLake)
    #expect(kernels.vnni512 && !kernels.avxvnni && !kernels.gfni && kernels.highest == .avx512vnni)
    let alderLake = KernelFeatures(try machine([.avx, .avx2, .fma, .f16c, .avxVNNI, .gfni]))
    #expect(alderLake.avxvnni && alderLake.gfni && !alderLake.avx512 && alderLake.highest == .avxvnni)
  }

  @Test func anyMissingPartRemovesTheGroup() throws {
    for missing: CPUFeature in [.avx2, .fma, .f16c] {
      var features = try machine([.avx2, .fma, .f16c, .avx512f, .avx512bw, .avx512dq, .avx512vl, .avx512vnni, .gfni])
      features.usable.remove(missing)
      #expect(KernelFeatures(features) == KernelFeatures(), "\(missing)")
    }
  }

  @Test func namesParseAndOthersAreRefused() throws {
    for set in InstructionSet.allCases { #expect(try InstructionSet(parsing: set.name) == set) }
    for wrong in ["", "AVX2", "avx2 ", "sse"] {
      do {
        let parsed = try InstructionSet(parsing: wrong)
        Issue.record("\(wrong) gave \(parsed)")
      } catch {
        #expect(error.status == .invalidArgument)
        #expect(error.message.contains("ADAPTQ_MAX_ISA: \"\(wrong)\"") && error.message.contains("avx512vnni"))
      }
    }
  }

  @Test func readsTheEnvironment() {
    #expect(environmentValue("PATH") == ProcessInfo.processInfo.environment["PATH"])
    #expect(environmentValue("ADAPTQ_NO_SUCH_NAME") == nil)
  }
}

extension CPUIDTable.Registers {
  /// Leaf 0DH EAX: the XCR0 bits the CPU supports; records hold no XCR0, these machines ran with all of them on.
  var eax64: UInt64 { UInt64(eax) }
}
