import Base
import CAdaptQ
import Text

/// A tokenizer handle. Immutable.
final class TokenizerObject: HandleObject {
  static let handleKind = HandleKind.tokenizer

  let tokenizer: Tokenizer
  /// Texts of the model live as long as any handle made from it.
  private let texts: ModelTexts

  init(_ tokenizer: Tokenizer, _ texts: ModelTexts) {
    self.tokenizer = tokenizer
    self.texts = texts
  }
}

@c @implementation public func adaptq_tokenizer_create(
  _ model: OpaquePointer?, _ out: UnsafeMutablePointer<OpaquePointer?>?
) -> adaptq_status {
  guardedNewHandle(out) { () throws(AdaptQError) in
    try withHandle(model, as: ModelObject.self) { (object) throws(AdaptQError) in
      guard let stored = object.model.tokenizer else { throw AdaptQError(.notFound, "the model has no tokenizer") }
      let tokenizer = try Tokenizer(
        settings: stored.settings, vocabulary: stored.vocabulary, calls: object.runtime.calls)
      return TokenizerObject(tokenizer, object.texts)
    }
  }
}

@c @implementation public func adaptq_tokenizer_destroy(_ tokenizer: OpaquePointer?) -> adaptq_status {
  destroyHandle(tokenizer, as: TokenizerObject.self)
}

@c @implementation public func adaptq_tokenizer_get_info(
  _ tokenizer: OpaquePointer?, _ info: UnsafeMutablePointer<adaptq_tokenizer_info>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withHandle(tokenizer, as: TokenizerObject.self) { (object) throws(AdaptQError) in
      let target = try OutStruct(required(info, "info"), "adaptq_tokenizer_info")
      var value = adaptq_tokenizer_info()
      value.vocabulary_size = Int64(object.tokenizer.vocabularySize)
      value.pad_id = Int64(object.tokenizer.padTokenID ?? -1)
      value.max_length = Int64(object.tokenizer.truncation?.maximumLength ?? 0)
      target.write(value)
    }
  }
}

@c @implementation public func adaptq_tokenizer_encode(
  _ tokenizer: OpaquePointer?, _ text: UnsafePointer<CChar>?, _ length: Int, _ maxLength: Int64,
  _ ids: UnsafeMutablePointer<Int64>?, _ capacity: Int, _ count: UnsafeMutablePointer<Int>?
) -> adaptq_status {
  guarded { () throws(AdaptQError) in
    try withHandle(tokenizer, as: TokenizerObject.self) { (object) throws(AdaptQError) in
      let count = try required(count, "count")
      if length < 0 { throw AdaptQError(.outOfRange, "length: \(UInt(bitPattern: length))") }
      if maxLength < 0 { throw .invalidArgument("max_length is \(maxLength); expected 0 or more") }
      if capacity != 0 && ids == nil {
        throw .invalidArgument("ids is NULL, capacity is \(UInt(bitPattern: capacity))")
      }
      let bytes = UnsafeRawBufferPointer(start: length == 0 ? nil : try required(text, "text"), count: length)
      let room = capacity < 0 ? Int.max : capacity
      let needed = try object.tokenizer.encode(
        bytes, maximumLength: maxLength == 0 ? nil : Int(maxLength), ids: ids, capacity: room)
      if needed > room {
        count.pointee = needed
        throw AdaptQError(.bufferTooSmall, "capacity is \(room), needs \(needed)")
      }
      count.pointee = needed
    }
  }
}
