"""Makes the two small fonts beside it: boxes for letters, as TrueType and as CFF outlines. Needs fonttools."""

import pathlib

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.t2CharStringPen import T2CharStringPen
from fontTools.pens.ttGlyphPen import TTGlyphPen

HERE = pathlib.Path(__file__).parent
WIDTHS = {".notdef": 500, "zhe": 900, "io": 900, "sun": 1000, "grin": 1000} | {f"digit{digit}": 600 for digit in range(10)}
CHARACTERS = {0x416: "zhe", 0x401: "io", 0x65E5: "sun", 0x1F600: "grin"} | {0x30 + digit: f"digit{digit}" for digit in range(10)}


def box(pen, width):
    pen.moveTo((50, 0))
    pen.lineTo((50, 700))
    pen.lineTo((width - 50, 700))
    pen.lineTo((width - 50, 0))
    pen.closePath()


def truetype(name):
    if name == "io":  # made of another: a subset has to keep that too
        pen = TTGlyphPen({"zhe": None})
        pen.addComponent("zhe", (1, 0, 0, 1, 0, 0))
    else:
        pen = TTGlyphPen(None)
        box(pen, WIDTHS[name])
    return pen.glyph()


def cff(name):
    pen = T2CharStringPen(WIDTHS[name], None)
    box(pen, WIDTHS[name])
    return pen.getCharString()


def build(is_truetype):
    font = FontBuilder(1000, isTTF=is_truetype)
    font.setupGlyphOrder(list(WIDTHS))
    font.setupCharacterMap(CHARACTERS)
    if is_truetype:
        font.setupGlyf({name: truetype(name) for name in WIDTHS})
    else:
        font.setupCFF("Boxes", {"FullName": "Boxes"}, {name: cff(name) for name in WIDTHS}, {})
    font.setupHorizontalMetrics({name: (width, 50) for name, width in WIDTHS.items()})
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": "Boxes", "styleName": "Regular", "psName": "Boxes"})
    font.setupOS2(sTypoAscender=800, sTypoDescender=-200, fsType=0)
    font.setupPost()
    font.font["head"].created = font.font["head"].modified = 0
    font.font.recalcTimestamp = False
    font.save(HERE / ("boxes.ttf" if is_truetype else "boxes.otf"))


build(True)
build(False)
