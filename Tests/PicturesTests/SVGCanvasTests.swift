import Pictures
import Testing

@Suite struct SVGCanvasTests {
  @Test func foreignTextIsEscaped() {
    #expect(escaped("<a b=\"c\" d='e'>&\u{1}\t") == "&lt;a b=&quot;c&quot; d=&apos;e&apos;&gt;&amp;\u{FFFD} ")
  }
}
