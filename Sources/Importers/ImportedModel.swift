import Base
import Graph
import Text

/// A foreign model as adaptq sees it: a graph with float weights, and the tokenizer that belongs to it.
public struct ImportedModel {
  public var builder: GraphBuilder
  public var tokenizer: Tokenizer?

  public init(builder: GraphBuilder, tokenizer: Tokenizer?) {
    self.builder = builder
    self.tokenizer = tokenizer
  }
}
