// AMX: tiles of up to 16 rows of 64 bytes, and products of them. Opcodes: Intel SDM volume 2.

extension X64Assembler {
  /// Palette, then from byte 16 bytes per row (16 bits) and from byte 48 rows (8 bits) of each tile; zeroes all tiles.
  public var ldtilecfg: TileConfiguration { TileConfiguration(code, .np0F38(0x49)) }
  public var sttilecfg: TileConfiguration { TileConfiguration(code, .p66x38(0x49)) }
  /// Back to the initial state, which costs no time on context switches.
  public func tilerelease() { code.append([0xC4, 0xE2, 0x78, 0x49, 0xC0]) }
  public var tilezero: TileAlone { TileAlone(code, .pF2x38(0x49)) }
  public var tileloadd: TileLoad { TileLoad(code, .pF2x38(0x4B)) }
  /// With the hint that the rows will not be read again soon.
  public var tileloaddt1: TileLoad { TileLoad(code, .p66x38(0x4B)) }
  public var tilestored: TileStore { TileStore(code, .pF3x38(0x4B)) }

  /// acc[m][n] += Σ_k a[m][4k + i] · b[k][4n + i], i from 0 to 3: signed bytes by signed bytes.
  public var tdpbssd: TileProduct { TileProduct(code, .pF2x38(0x5E)) }
  /// Signed bytes by unsigned bytes.
  public var tdpbsud: TileProduct { TileProduct(code, .pF3x38(0x5E)) }
  /// Unsigned bytes by signed bytes.
  public var tdpbusd: TileProduct { TileProduct(code, .p66x38(0x5E)) }
  /// Unsigned bytes by unsigned bytes.
  public var tdpbuud: TileProduct { TileProduct(code, .np0F38(0x5E)) }
  /// acc[m][n] += Σ_k a[m][2k + i] · b[k][2n + i], i 0 and 1: bf16 products in FP32, denormals flushed.
  public var tdpbf16ps: TileProduct { TileProduct(code, .pF3x38(0x5C)) }
  /// The same with FP16 (AMX-FP16).
  public var tdpfp16ps: TileProduct { TileProduct(code, .pF2x38(0x5C)) }
}
