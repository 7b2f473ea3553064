import NestedFormat

extension KernelTable {
  /// Plain Swift for every operation. A stored constant would be a lazy global, so it is built anew on each use; hold it.
  public static var portable: KernelTable {
    KernelTable(
      quantize: { quantizeReference($0.load(as: QuantizeArguments.self)) },
      words: { wordsReference($0.load(as: WordsArguments.self)) },
      dense32: { denseReference($0.load(as: DenseArguments.self)) },
      dense16: { denseHalfReference($0.load(as: DenseArguments.self)) },
      int8: NestedKernels(
        unpack: { unpackReference($0.load(as: UnpackArguments.self), .int8) },
        vectors: [
          { vectorReference($0.load(as: VectorArguments.self), rows: 1, .int8) },
          { vectorReference($0.load(as: VectorArguments.self), rows: 2, .int8) },
          { vectorReference($0.load(as: VectorArguments.self), rows: 3, .int8) },
          { vectorReference($0.load(as: VectorArguments.self), rows: 4, .int8) },
          { vectorReference($0.load(as: VectorArguments.self), rows: 5, .int8) },
          { vectorReference($0.load(as: VectorArguments.self), rows: 6, .int8) },
          { vectorReference($0.load(as: VectorArguments.self), rows: 7, .int8) },
          { vectorReference($0.load(as: VectorArguments.self), rows: 8, .int8) },
        ]),
      int6: NestedKernels(
        unpack: { unpackReference($0.load(as: UnpackArguments.self), .int6) },
        vectors: [
          { vectorReference($0.load(as: VectorArguments.self), rows: 1, .int6) },
          { vectorReference($0.load(as: VectorArguments.self), rows: 2, .int6) },
          { vectorReference($0.load(as: VectorArguments.self), rows: 3, .int6) },
          { vectorReference($0.load(as: VectorArguments.self), rows: 4, .int6) },
          { vectorReference($0.load(as: VectorArguments.self), rows: 5, .int6) },
          { vectorReference($0.load(as: VectorArguments.self), rows: 6, .int6) },
          { vectorReference($0.load(as: VectorArguments.self), rows: 7, .int6) },
          { vectorReference($0.load(as: VectorArguments.self), rows: 8, .int6) },
        ]),
      int4: NestedKernels(
        unpack: { unpackReference($0.load(as: UnpackArguments.self), .int4) },
        vectors: [
          { vectorReference($0.load(as: VectorArguments.self), rows: 1, .int4) },
          { vectorReference($0.load(as: VectorArguments.self), rows: 2, .int4) },
          { vectorReference($0.load(as: VectorArguments.self), rows: 3, .int4) },
          { vectorReference($0.load(as: VectorArguments.self), rows: 4, .int4) },
          { vectorReference($0.load(as: VectorArguments.self), rows: 5, .int4) },
          { vectorReference($0.load(as: VectorArguments.self), rows: 6, .int4) },
          { vectorReference($0.load(as: VectorArguments.self), rows: 7, .int4) },
          { vectorReference($0.load(as: VectorArguments.self), rows: 8, .int4) },
        ]),
      int2: NestedKernels(
        unpack: { unpackReference($0.load(as: UnpackArguments.self), .int2) },
        vectors: [
          { vectorReference($0.load(as: VectorArguments.self), rows: 1, .int2) },
          { vectorReference($0.load(as: VectorArguments.self), rows: 2, .int2) },
          { vectorReference($0.load(as: VectorArguments.self), rows: 3, .int2) },
          { vectorReference($0.load(as: VectorArguments.self), rows: 4, .int2) },
          { vectorReference($0.load(as: VectorArguments.self), rows: 5, .int2) },
          { vectorReference($0.load(as: VectorArguments.self), rows: 6, .int2) },
          { vectorReference($0.load(as: VectorArguments.self), rows: 7, .int2) },
          { vectorReference($0.load(as: VectorArguments.self), rows: 8, .int2) },
        ]))
  }

  static var portableGroupSums: Kernel { { groupSumsReference($0.load(as: QuantizeArguments.self)) } }
  static var portableBFloat16: Kernel { { bfloat16Reference($0.load(as: BFloat16Arguments.self)) } }
  static var portableBFloat16Half: Kernel { { bfloat16HalfReference($0.load(as: BFloat16HalfArguments.self)) } }
  static var portableRound: Kernel { { roundReference($0.load(as: RoundArguments.self)) } }

  static var portableHalf: HalfKernels {
    HalfKernels(
      multiply: { halfReference($0.load(as: HalfArguments.self)) },
      round: { roundHalfReference($0.load(as: RoundArguments.self)) })
  }

  /// The same with the twin of the kernels of words at INT8.
  static var portableWords: KernelTable {
    var table = KernelTable.portable
    table.int8.unpack = { unpackWordsReference($0.load(as: UnpackArguments.self)) }
    table.int8.panel = { panelWordsReference($0.load(as: PanelArguments.self)) }
    table.int8.panelGroupByteCount = wordPanelGroupByteCount
    table.int8.readsWords = true
    return table
  }
}

extension NestedKernels {
  /// Portable kernels; the panel kernel and its panel are the same at every level. It serves single rows too: the vector
  /// kernels, which unpack into memory of their own, are twins only.
  fileprivate init(unpack: @escaping Kernel, vectors: InlineArray<8, Kernel>) {
    self.init(
      unpack: unpack, panel: { panelReference($0.load(as: PanelArguments.self)) }, vectors: vectors,
      panelGroupByteCount: referencePanelGroupByteCount, readsWords: false, vectorRows: 0)
  }
}
