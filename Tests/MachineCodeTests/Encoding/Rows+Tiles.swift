@testable import MachineCode

// AVX512-FP16 and AMX.

extension Rows {
  func half() {
    vvv(
      .all,
      [
        { $0.vaddph }, { $0.vmulph }, { $0.vsubph }, { $0.vminph }, { $0.vdivph }, { $0.vmaxph }, { $0.vfmadd132ph },
        { $0.vfmadd213ph }, { $0.vfmadd231ph }, { $0.vfmsub231ph }, { $0.vfnmadd231ph }, { $0.vscalefph },
      ])
    vv(
      .all,
      [
        { $0.vsqrtph }, { $0.vrcpph }, { $0.vrsqrtph }, { $0.vgetexpph }, { $0.vcvtph2w }, { $0.vcvttph2w },
        { $0.vcvtw2ph },
      ])
    vvi(.all, [{ $0.vrndscaleph }, { $0.vreduceph }])
    widen2([{ $0.vcvtph2psx }])
    convertNarrow([{ $0.vcvtps2phx }])
  }

  func tiles() {
    let products: [Get<TileProduct>] = [
      { $0.tdpbssd }, { $0.tdpbsud }, { $0.tdpbusd }, { $0.tdpbuud }, { $0.tdpbf16ps }, { $0.tdpfp16ps },
    ]
    for get in products {
      let name = get(X64Assembler()).name
      for (a, b, c) in [(0, 1, 2), (7, 6, 5), (3, 0, 7), (4, 2, 1), (5, 7, 3), (1, 4, 6), (2, 3, 0), (6, 5, 4)] {
        add("\(name) tmm\(a), tmm\(b), tmm\(c)", name) { get($0)(TMM(a), TMM(b), TMM(c)) }
      }
    }
    // A stride is always there, so memory without an index is no row.
    let places = memoryCases(unit: 64).filter { $0.operand.index != nil }
    for number in 0..<8 {
      for place in places {
        add("tileloadd tmm\(number), \(place.text)", "tileloadd") { $0.tileloadd(TMM(number), place.operand) }
        add("tileloaddt1 tmm\(number), \(place.text)", "tileloaddt1") { $0.tileloaddt1(TMM(number), place.operand) }
        add("tilestored \(place.text), tmm\(number)", "tilestored") { $0.tilestored(place.operand, TMM(number)) }
      }
      add("tilezero tmm\(number)", "tilezero") { $0.tilezero(TMM(number)) }
    }
    for place in memoryCases(unit: 64) {
      add("ldtilecfg \(place.text)", "ldtilecfg") { $0.ldtilecfg(place.operand) }
      add("sttilecfg \(place.text)", "sttilecfg") { $0.sttilecfg(place.operand) }
    }
    add("tilerelease", "tilerelease") { $0.tilerelease() }
  }
}
