#!/usr/bin/env python3
"""Writes the golden files of TextTests with the `tokenizers` package.

usage: make_golden.py MODEL_TOKENIZER_JSON

MODEL_TOKENIZER_JSON is the tokenizer.json of sentence-transformers/all-MiniLM-L6-v2; it is not committed. Writes, beside
this script:

  small-tokenizer.json  a hand-made vocabulary of some 60 tokens
  small.golden          cases for it
  minilm.golden         cases for the model's tokenizer
  scalars.golden        a digest of what happens to every Unicode scalar, per block of 4,096

A *.golden file for a tokenizer has JSON lines. The first is an array of variants: members that replace those of the
tokenizer.json. Every other line is [variant, text, expected] or [variant, text, expected, options], where text is
repeated options.r times, options.p is the second sequence, options.m the maximum length, options.s 0 leaves special
tokens out. expected is the ids in decimal, separated by spaces, with a "|" where type id 1 begins if there is a pair; it is null
where the truncation strategy cannot reach the maximum length.
"""
import json
import os
import random
import sys

import tokenizers
from tokenizers import Tokenizer
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

HERE = os.path.dirname(os.path.abspath(__file__))


def bert(clean, chinese, strip, lower):
    return {"type": "BertNormalizer", "clean_text": clean, "handle_chinese_chars": chinese, "strip_accents": strip,
            "lowercase": lower}


def cut(direction, strategy):
    return {"direction": direction, "max_length": 128, "strategy": strategy, "stride": 0}


VARIANTS = [
    {},
    {"normalizer": bert(True, True, None, False)},
    {"normalizer": bert(True, True, True, False)},
    {"normalizer": bert(True, True, False, True)},
    {"normalizer": bert(False, False, None, True)},
    {"normalizer": bert(False, True, False, False)},
    {"truncation": cut("Left", "LongestFirst")},
    {"truncation": cut("Right", "OnlyFirst")},
    {"truncation": cut("Left", "OnlySecond")},
    {"post_processor": None},
]

SENTENCES = """
The quick brown fox jumps over the lazy dog.
Don't panic: it's only 3.14159, isn't it?
HELLO World! CamelCase and snake_case, kebab-case; UPPER.
Unbelievably, the anti-establishmentarianism of tokenization surprised everyone...
See https://example.org/a/b?c=d&e=%20f#g or mail me@example.org.
def f(x): return x**2 if x != 0 else -1  # comment
$1,234.56 is about 1'100.00 EUR (or 900 GBP), 50% off!
He said "quote" and 'single' and «guillemets» and “curly” ‘ones’.
The résumé of naïve façade Zoë, coöperation, Ångström, señor, Čapek, Łódź, Øresund, Ðorđe, þorn, Straße.
Voilà: où est le cœur de l'élève? À Besançon, évidemment, ça va.
Żółć gęślą jaźń; příliš žluťoučký kůň úpěl ďábelské ódy.
Größe, Fußgänger, ÄÖÜ äöü ß ẞ STRASSE.
İstanbul'da ılık bir IŞIK, DİYARBAKIR ve ISPARTA.
ΟΔΥΣΣΕΥΣ σοφός ΣΊΣΥΦΟΣ ας; ἀρχή ἐν τῷ Ἅιδῃ ῥόδον Ὀδυσσεύς.
Съешь же ещё этих мягких французских булок, да выпей чаю. ЁЖИК Й й Ї ї
Українська мова: ґанок, їжак, єдність.
Երևան հայերեն ՀԱՅԱՍՏԱՆ
ქართული ენა ᲥᲐᲠᲗᲣᲚᲘ
שָׁלוֹם עוֹלָם בְּרֵאשִׁית
اَلسَّلَامُ عَلَيْكُمْ، كيف حالك؟ ۱۲۳ ٤٥٦ لا إله
नमस्ते दुनिया, क्षत्रिय ज्ञान हिंदी में। १२३
বাংলা ভাষা, ড় ঢ় য় কোথায়?
தமிழ் மொழி கொ கோ கௌ
తెలుగు ಕನ್ನಡ മലയാളം ಕೊ ೋ
สวัสดีชาวโลก ภาษาไทย น้ำ กำลัง เที่ยว
ພາສາລາວ ຂໍ້ມູນ
བོད་སྐད་ ཨོཾ་མ་ཎི་པདྨེ་ཧཱུྃ།
မြန်မာဘာသာ ကို
ភាសាខ្មែរ កម្ពុជា
አማርኛ ሰላም፡ልዑል።
中文字符 测试，你好世界！ 繁體中文「引號」。
日本語のテキスト、カタカナ ガギグゲゴ パピプペポ がぎぐげご ｶﾞ ﾊﾟ 々〆ヶ
한국어 텍스트 안녕하세요 뷁 각 힣
𠀀𠀁 㐀㐁 豈更車 𪛖 𫝀 𮯠 𰀀 丽
Tiếng Việt: người Việt Nam ở Thành phố Hồ Chí Minh, đường phố.
👨‍👩‍👧‍👦 family 👩🏽‍🚀 astronaut 🇩🇪 flag ❤️ heart 1️⃣ 🏴󠁧󠁢󠁥󠁮󠁧󠁿
♪♫ ♥ ★ ☆ → ⇒ ∀x∈ℝ: √x² ≥ 0 ∑∏∫ ½ ¼ ² ³ ₂ Ⅷ ⅷ ℃ K Å Ω
𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝕭𝖔𝖑𝖉 ＦＵＬＬ　ｗｉｄｔｈ ａｂｃ！？
[CLS] this [MASK] is [SEP] a [PAD] test [UNK] . [cls] [ SEP ] [MASK][MASK] x[SEP]y [[SEP]] [SEP [MASK
𐐀𐐨 𞤀𞤢 Ꭰꭰ Ɐ ɐ ǅ ǈ Ǳ ﬁ ﬀ ŉ ǰ ΐ և
""".strip().split("\n")

SPACES = [" ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u1680", "\u2003", "\u2009", "\u2028", "\u2029", "\u202f", "\u205f",
          "\u3000", "\u000b", "\u000c", "\u0085", "\u200b", "\ufeff", "\u180e", "\u2060"]
CONTROLS = [chr(c) for c in (0, 1, 7, 8, 27, 31, 127, 128, 0x9F, 0xAD, 0x600, 0x61C, 0x200D, 0x200E, 0x202A, 0x202E,
                             0x2066, 0xE000, 0xF8FF, 0xFFF9, 0xFFFD, 0xFFFE, 0xFFFF, 0x1D173, 0xE0001, 0xE007F,
                             0xF0000, 0x10FFFD, 0x10FFFF, 0x378, 0x2FE0)]
MARKS = [chr(c) for c in (0x300, 0x301, 0x302, 0x303, 0x304, 0x306, 0x307, 0x308, 0x30A, 0x30C, 0x323, 0x327, 0x328,
                          0x331, 0x334, 0x338, 0x345, 0x5B0, 0x5BC, 0x64B, 0x651, 0x93C, 0x94D, 0xE38, 0xE48, 0x302E,
                          0x302F, 0x3099, 0x309A, 0x20DD, 0x903, 0x1D165, 0x1D166, 0x1D16D, 0x1D16E, 0x1D172, 0x1DFA,
                          0x1E000, 0x1ABF, 0x16FF0, 0x10F46, 0x8D4, 0x901, 0x1134D, 0xFE0F)]
SPECIALS = ["[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]", "[sep]", "[SEP", "SEP]", "[MASK]]", "[[CLS]"]
RANGES = [(0x20, 0x7E), (0x20, 0x7E), (0xA0, 0x24F), (0x250, 0x3FF), (0x400, 0x52F), (0x590, 0x6FF), (0x900, 0xDFF),
          (0xE00, 0xFFF), (0x1000, 0x13FF), (0x1400, 0x1CFF), (0x1D00, 0x1FFF), (0x2000, 0x2BFF), (0x2C00, 0x2FFF),
          (0x3000, 0x33FF), (0x3400, 0x9FFF), (0xA000, 0xABFF), (0xAC00, 0xD7FF), (0xF900, 0xFFFF),
          (0x10000, 0x11FFF), (0x16000, 0x1BCFF), (0x1D000, 0x1D7FF), (0x1E000, 0x1F9FF), (0x20000, 0x323AF),
          (0xE0000, 0xE01EF)]
LETTERS = "etaoinshrdlucmfwypvbgkjqxz"


class Corpus:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.words = [w for s in SENTENCES for w in s.split()]

    def mark(self, text):
        """Decomposed and over-accented forms."""
        out = []
        for c in text:
            out.append(c)
            while self.random.random() < 0.25:
                out.append(self.random.choice(MARKS))
        return "".join(out)

    def noise(self):
        low, high = self.random.choice(RANGES)
        return "".join(chr(self.random.randint(low, high)) for _ in range(self.random.randint(1, 8)))

    def long_word(self):
        count = self.random.choice([90, 98, 99, 100, 101, 102, 120, 250])
        alphabet = self.random.choice([LETTERS, LETTERS + "é", "aé", "漢", "가나", "0123456789", "ё", "😀"])
        return "".join(self.random.choice(alphabet) for _ in range(count))

    def piece(self):
        r = self.random
        kind = r.random()
        if kind < 0.40:
            word = r.choice(self.words)
        elif kind < 0.50:
            word = "".join(r.choice(LETTERS) for _ in range(r.randint(1, 12)))
        elif kind < 0.60:
            word = self.mark(r.choice(self.words)[:8])
        elif kind < 0.72:
            word = self.noise()
        elif kind < 0.80:
            word = r.choice(SPECIALS)
        elif kind < 0.88:
            word = r.choice(CONTROLS)
        elif kind < 0.96:
            word = "".join(chr(r.randint(0x21, 0x7E)) for _ in range(r.randint(1, 6)))
        else:
            word = r.choice(["", "Σ", "ς", "İ", "ı", "ß", "ẞ", "ﬃ", "Ǆ", "K", "Å", "\u0344", "\u1fef", "\u037e"])
        case = r.random()
        return word.upper() if case < 0.1 else word.title() if case < 0.2 else word.swapcase() if case < 0.25 else word

    def line(self):
        r = self.random
        count = r.choice([1, 1, 2, 2, 3, 4, 5, 7])
        return "".join(self.piece() + (r.choice(SPACES) if r.random() < 0.25 else " " if r.random() < 0.8 else "")
                       for _ in range(count))


class Oracle:
    def __init__(self, source):
        self.source = source
        self.cache = {}

    def tokenizer(self, variant, maximum):
        key = (variant, maximum)
        if key not in self.cache:
            merged = {**self.source, "padding": None, "truncation": None, **VARIANTS[variant]}
            truncation = merged["truncation"] or cut("Right", "LongestFirst")
            merged["truncation"] = None if maximum is None else {**truncation, "max_length": maximum}
            self.cache[key] = Tokenizer.from_str(json.dumps(merged))
        return self.cache[key]

    def case(self, variant, text, **options):
        tokenizer = self.tokenizer(variant, options.get("m"))
        pair = options.get("p")
        try:
            encoding = tokenizer.encode(text * options.get("r", 1), pair, add_special_tokens=bool(options.get("s", 1)))
        except Exception as error:
            assert "too short to respect" in str(error)
            return [variant, text, None, options]
        ids = [str(i) for i in encoding.ids]
        if pair is not None:
            ones = encoding.type_ids.count(1)
            assert encoding.type_ids == [0] * (len(ids) - ones) + [1] * ones
            ids.insert(len(ids) - ones, "|")
        else:
            assert set(encoding.type_ids) <= {0}
        line = [variant, text, " ".join(ids)]
        return line + [options] if options else line


def write(name, oracle, cases):
    path = os.path.join(HERE, name)
    with open(path, "w") as file:
        for line in [VARIANTS] + cases:
            file.write(json.dumps(line, separators=(",", ":")) + "\n")
    print(name, len(cases), "cases,", os.path.getsize(path), "bytes, tokenizers", tokenizers.__version__)


FIXED = ["", " ", "   ", "\t\n\r ", "\u00a0\u3000", "\u200b", "\0", "\ufffd", ".", "...", "a", "A", "é", "e\u0301",
         "e\u0323\u0301", "e\u0301\u0323", "\u0301", "İ", "I\u0307", "ς Σ ΑΣ", "ß ẞ", "[SEP]", " [SEP] ", "[SEP][CLS]",
         "a[SEP]b", "[sep]", "[SEP", "中", "中a中", "豈", "한", "\u1112\u1161\u11ab", "a\u0000b", "a\u00adb", "a\u200db",
         "x\u1d165\u0301", "\u0344", "\u212b", "\u2126"]


def model_cases(oracle):
    corpus = Corpus("minilm")
    cases = [oracle.case(0, t) for t in FIXED + SENTENCES]
    cases += [oracle.case(v, t) for v in range(1, 6) for t in FIXED + SENTENCES]
    cases += [oracle.case(0, corpus.mark(t)) for t in SENTENCES[7:20]]
    for size in (90, 99, 100, 101, 102, 250):
        for unit in ("a", "the", "é", "x1", "漢", "가"):
            cases.append(oracle.case(0, unit, r=size))
    cases += [oracle.case(0, corpus.long_word() + " " + corpus.piece() + " " + corpus.long_word()) for _ in range(60)]
    cases += [oracle.case(0, corpus.line()) for _ in range(1000)]
    cases += [oracle.case(v, corpus.line()) for v in range(1, 6) for _ in range(60)]
    cases += [oracle.case(0, corpus.line(), s=0) for _ in range(40)]
    for _ in range(120):
        cases.append(oracle.case(corpus.random.choice([0, 6, 7]), corpus.line(), m=corpus.random.randint(3, 12)))
    for maximum in (2, 3, 64, 128, 256):
        for variant in (0, 6):
            cases.append(oracle.case(variant, SENTENCES[maximum % 5] + " ", r=400, m=maximum))
    for _ in range(120):
        cases.append(oracle.case(corpus.random.choice([0, 6, 9]), corpus.line(), p=corpus.line()))
        variant, maximum = corpus.random.choice([0, 6]), corpus.random.randint(3, 20)
        cases.append(oracle.case(variant, corpus.line(), p=corpus.line(), m=maximum))
    for _ in range(40):
        text, pair = SENTENCES[0] * 2, SENTENCES[3] * 2
        variant, maximum = corpus.random.choice([7, 8]), corpus.random.randint(40, 60)
        cases.append(oracle.case(variant, text, p=pair, m=maximum))
    return cases


SMALL_TOKENS = """[PAD] [UNK] [CLS] [SEP] [MASK] a b c d e f g h i n o r s t u w y ##a ##b ##c ##d ##e ##f ##g ##h ##i ##n ##o
##r ##s ##t ##u ##y un ##aff ##able ##ab the th ##e! hello wor ##ld ##ing é ##é 中 ##中 ! ? . , [ ] ü 한 i̇ ς ## ###""".split()


def small_tokenizer():
    vocabulary = {}
    for token in SMALL_TOKENS:
        vocabulary.setdefault(token, len(vocabulary))
    added = [{"id": vocabulary[t], "content": t, "single_word": False, "lstrip": t == "[MASK]", "rstrip": False,
              "normalized": False, "special": True} for t in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")]
    for i, (content, left, right) in enumerate(
            [("<x>", False, True), ("<xy>", True, True), ("[SEP]!", False, False), ("Éa", False, False)]):
        added.append({"id": len(vocabulary) + i, "content": content, "single_word": False, "lstrip": left,
                      "rstrip": right, "normalized": False, "special": i != 3})

    def special(name, type_id):
        return {"SpecialToken": {"id": name, "type_id": type_id}}

    def sequence(name, type_id):
        return {"Sequence": {"id": name, "type_id": type_id}}

    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": bert(True, True, None, True), "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [special("[CLS]", 0), sequence("A", 0), special("two", 0)],
            "pair": [special("[CLS]", 0), sequence("A", 0), special("[SEP]", 0), sequence("B", 1), special("two", 1)],
            "special_tokens": {
                "[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
                "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]},
                "two": {"id": "two", "ids": [3, 0], "tokens": ["[SEP]", "[PAD]"]}}},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 10, "vocab": vocabulary}}


def small_cases(oracle):
    corpus = Corpus("small")
    units = ["a", "un", "aff", "able", "the", "wor", "ld", "ing", "hello", "é", "É", "e\u0301", "中", "!", "?", "[", "]",
             "<x>", "<xy>", "<x", "[SEP]!", "[SEP]", "[MASK]", "[UNK]", "Éa", "éa", "x", "z", " ", "  ", "\t", "\u3000",
             "#", "##", "İ", "ς", "Σ", "ü", "u\u0308", "한", "\u1112\u1161\u11ab", "\u302e", "\U0001d165", "\u0301"]
    fixed = ["unaffable", "hello world", "The the!", "worlding", "aaaaaaaaaa", "aaaaaaaaaaa", "zebra", "a <x>  b",
             "a  <xy>\t\tb", "a [MASK] b", "[SEP]!", "[SEP] !", "Éa éa", "a中b", "##", "###", "#a", "[SEP]![SEP]"]
    cases = [oracle.case(v, t) for v in range(6) for t in FIXED + fixed]
    cases += [oracle.case(0, t, p=u) for t in fixed for u in ("", "the", "hello [MASK] world")]
    r = corpus.random
    for _ in range(600):
        text = "".join(r.choice(units) for _ in range(r.randint(0, 12)))
        options = {}
        if r.random() < 0.2:
            options["s"] = 0
        if r.random() < 0.3:
            options["p"] = "".join(r.choice(units) for _ in range(r.randint(0, 12)))
        variants = [0, 1, 2, 3, 4, 5, 9]
        if r.random() < 0.3:
            options["m"] = r.randint(5, 12)
            variants = [0, 6]
        cases.append(oracle.case(r.choice(variants), text, **options))
    return cases


DIGEST_SETTINGS = [(True, True, True, True), (True, True, False, True), (True, False, True, False),
                   (False, True, True, True), (False, False, False, False)]


def scalar_digests():
    """FNV-1a over the words of each scalar in two surroundings, the second of which shows canonical reordering."""
    pre = BertPreTokenizer().pre_tokenize_str
    blocks = list(range(0, 0x34)) + [0xE0, 0xE1, 0xEF, 0xF0, 0xFF, 0x10F]
    lines = []
    for settings in DIGEST_SETTINGS:
        normalize = BertNormalizer(*settings).normalize_str
        digests = []
        for block in blocks:
            parts = []
            for cp in range(block << 12, (block + 1) << 12):
                if 0xD800 <= cp < 0xE000:
                    continue
                c = chr(cp)
                for text in ("a" + c + "b", "a\u302e" + c + "\U0001d165"):
                    parts += [word.encode() + b"\n" for word, _ in pre(normalize(text))] + [b"\0"]
            state = 0xCBF29CE484222325
            for byte in b"".join(parts):
                state = (state ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
            digests.append([block, f"{state:016x}"])
        lines.append([list(settings), digests])
    with open(os.path.join(HERE, "scalars.golden"), "w") as file:
        for line in lines:
            file.write(json.dumps(line, separators=(",", ":")) + "\n")


def main():
    small = small_tokenizer()
    with open(os.path.join(HERE, "small-tokenizer.json"), "w") as file:
        json.dump(small, file, indent=1)
        file.write("\n")
    oracle = Oracle(small)
    write("small.golden", oracle, small_cases(oracle))
    with open(sys.argv[1]) as file:
        oracle = Oracle(json.load(file))
    write("minilm.golden", oracle, model_cases(oracle))
    scalar_digests()


main()
