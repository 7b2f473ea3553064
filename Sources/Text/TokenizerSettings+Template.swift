import Base

extension TokenizerSettings {
  /// Reads a TemplateProcessing post-processor: where special tokens go around one sequence, or around a pair.
  mutating func readTemplate(_ value: JSON) throws(AdaptQError) {
    try value.requireType("TemplateProcessing", "post_processor")
    try value.allowOnly(["type", "single", "pair", "special_tokens"], "post_processor")
    let special = try value.member("special_tokens", in: "post_processor")
    single = try Self.pieces(value, "single", special, sequences: [.first])
    pair = try Self.pieces(value, "pair", special, sequences: [.first, .second])
  }

  private static func pieces(
    _ processor: JSON, _ name: String, _ special: JSON, sequences: [TemplatePiece.Kind]
  ) throws(AdaptQError) -> [TemplatePiece] {
    let field = "post_processor.\(name)"
    let template = try processor.member(name, in: "post_processor")
    var pieces: [TemplatePiece] = []
    for (index, item) in try template.asArray(field).enumerated() {
      let place = "\(field)[\(index)]"
      if let sequence = item["Sequence"] {
        try item.allowOnly(["Sequence"], place)
        try sequence.allowOnly(["id", "type_id"], place)
        let id = try sequence.member("id", in: place)
        let kind: TemplatePiece.Kind
        switch id {
        case .string("A"): kind = .first
        case .string("B"): kind = .second
        default: throw unsupported("\(place).Sequence.id", id)
        }
        pieces.append(TemplatePiece(kind: kind, typeID: try sequence.count("type_id", place)))
      } else if let token = item["SpecialToken"] {
        try item.allowOnly(["SpecialToken"], place)
        try token.allowOnly(["id", "type_id"], place)
        let typeID = try token.count("type_id", place)
        let key = try token.member("id", in: place).asString("\(place).SpecialToken.id")
        for id in try specialIDs(special, key) {
          pieces.append(TemplatePiece(kind: .special(id), typeID: typeID))
        }
      } else {
        throw unsupported(place, item)
      }
      if pieces.count > 1024 { throw .unsupported("\(field): more than 1024 pieces") }
    }
    // Each sequence once: repeating or leaving out a sequence would make the length rules ambiguous.
    let found = pieces.map(\.kind).filter { $0 == .first || $0 == .second }
    if found.count != sequences.count || !sequences.allSatisfy(found.contains) {
      throw .unsupported("\(field): must contain each of its sequences exactly once, value \(short(template))")
    }
    return pieces
  }

  private static func specialIDs(_ special: JSON, _ key: String) throws(AdaptQError) -> [Int] {
    let field = "post_processor.special_tokens.\(key)"
    let entry = try special.member(key, in: "post_processor.special_tokens")
    try entry.allowOnly(["id", "ids", "tokens"], field)
    var ids: [Int] = []
    for id in try entry.member("ids", in: field).asArray("\(field).ids") {
      let value = try id.asInt("\(field).ids")
      if value < 0 { throw .invalidFile("\(field).ids: \(value) is negative") }
      ids.append(value)
    }
    return ids
  }
}

// MARK: - Reading fields

func short(_ value: JSON) -> String {
  let text = value.text
  return text.utf8.count <= 80 ? text : String(text.prefix(80)) + "..."
}

func unsupported(_ field: String, _ value: JSON) -> AdaptQError { .unsupported("\(field): \(short(value))") }

extension JSON {
  /// A field nobody here knows may change the meaning of all others: refused unless null.
  func allowOnly(_ keys: [String], _ field: String) throws(AdaptQError) {
    for member in try asObject(field) where !keys.contains(member.key) && member.value != .null {
      throw unsupported("\(field).\(member.key)", member.value)
    }
  }

  func requireType(_ name: String, _ field: String) throws(AdaptQError) {
    guard case .object = self else { throw unsupported(field, self) }
    let type = try member("type", in: field)
    if type != .string(name) { throw unsupported("\(field).type", type) }
  }

  func bool(_ key: String, _ field: String) throws(AdaptQError) -> Bool {
    try member(key, in: field).asBool("\(field).\(key)")
  }

  /// An integer that cannot be negative and fits 31 bits.
  func count(_ key: String, _ field: String) throws(AdaptQError) -> Int {
    let value = try member(key, in: field).asInt("\(field).\(key)")
    if value < 0 || value > Int(Int32.max) { throw .invalidFile("\(field).\(key): \(value) is out of range") }
    return value
  }

  func direction<D: RawRepresentable<String>>(_ field: String, _ standard: D) throws(AdaptQError) -> D {
    guard let given = self["direction"] else { return standard }
    guard let parsed = D(rawValue: try given.asString("\(field).direction")) else {
      throw unsupported("\(field).direction", given)
    }
    return parsed
  }
}
