"""Character sets that Python lacks, or maps otherwise than the servers do.

The servers' own mappings, as their CONVERT gives them (MySQL 9.7 and MariaDB 10.11 agree). What
a server itself doesn't know stays what Python's codec makes of it.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping

_ASCII = "".join(map(chr, range(128)))
_NONE = "\ufffe"
"""How a table of `codecs.charmap_decode` says that a byte is no character."""


def _patched(codec: str, other: Mapping[int, str]) -> str:
    """A codec's table of 256 characters with some replaced."""
    known = (bytes([byte]).decode(codec, "ignore") or _NONE for byte in range(256))
    return "".join(other.get(byte, character) for byte, character in enumerate(known))


_SWE7 = {"@": "É", "[": "Ä", "\\": "Ö", "]": "Å", "^": "Ü", "`": "é", "{": "ä", "|": "ö", "}": "å"}
_SWE7 |= {"~": "ü", "\x7f": _NONE}

TABLES: dict[str, str] = {
    # cp1252 whose five undefined bytes stand for themselves
    "latin1": _patched("cp1252", {b: chr(b) for b in (0x81, 0x8D, 0x8F, 0x90, 0x9D)}),
    "cp866": _patched("cp866", {0xFC: "ⁿ", 0xFD: "²"}),
    "greek": _patched("iso8859_7", {0xA1: "\u02bd", 0xA2: "\u02bc"}),
    "hebrew": _patched("iso8859_8", {0xAF: "‾"}),
    "koi8u": _patched("koi8_u", {0x95: "•"}),
    "swe7": "".join(_SWE7.get(character, character) for character in _ASCII) + 128 * _NONE,
    "dec8": _ASCII
    + "\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94"
    "\x95\x96\x97\x98\x99\x9a\x9b\x9c\x9d\x9e\x9f\xa0¡¢£\ufffe¥\ufffe§¤©ª«\ufffe\ufffe"
    "\ufffe\ufffe°±²³\ufffeµ¶·\ufffe¹º»¼½\ufffe¿ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏ\ufffeÑÒÓÔÕÖŒØÙÚÛÜŸ\ufffeßà"
    "áâãäåæçèéêëìíîï\ufffeñòóôõöœøùúûüÿ\ufffe\ufffe",
    "armscii8": _ASCII
    + "\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94"
    "\x95\x96\x97\x98\x99\x9a\x9b\x9c\x9d\x9e\x9f\xa0❁§։)(»«—.՝,-՟…՜՛՞ԱաԲբԳգԴդԵեԶզԷէԸըԹթԺժԻ"
    "իԼլԽխԾծԿկՀհՁձՂղՃճՄմՅյՆնՇշՈոՉչՊպՋջՌռՍսՎվՏտՐրՑցՒւՓփՔքՕօՖֆ’'",
    "keybcs2": _ASCII
    + "ČüéďäĎŤčěĚĹÍľĺÄÁÉžŽôöÓůÚýÖÜŠĽÝŘťáíóúňŇŮÔšřŕŔ¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒"
    "╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\xa0",
    "geostd8": _ASCII
    + "€\ufffe‚\ufffe„…†‡\ufffe‰\ufffe‹\ufffe\ufffe\ufffe\ufffe\ufffe‘’“”•–—\ufffe\ufffe"
    "\ufffe›\ufffe\ufffe\ufffe\ufffe\xa0¡¢£¤¥¦§¨©ª«¬\xad®¯°±²³´µ¶·¸¹º»¼½¾¿აბგდევზჱთიკლმნჲოპ"
    "ჟრსტჳუფქღყშჩცძწჭხჴჯჰჵ\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe"
    "\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe№\ufffe"
    "\ufffe",
}  # fmt: skip
"""Character set → its 256 characters."""

_IBM_EXTENSIONS = (
    "ⅰⅱⅲⅳⅴⅵⅶⅷⅸⅹⅠⅡⅢⅣⅤⅥⅦⅧⅨⅩ＇＂㈱№℡炻仼僴凬匇匤﨎咊坙﨏塚增寬峵嵓﨑德悅愠敎昻晥晴朗栁﨓﨔橫櫢淸淲瀨凞猪甁皂皞益礰礼神祥福竧靖精綠緖羽荢﨟薰蘒﨡蠇諸譿賴赶﨣﨤"
    "逸郞都鄕﨧﨨閒隆﨩霻靍靑飯飼館馞髙魲鶴黑"
)
"""Of eucjpms: the three-byte characters from 8F F3 F3 to 8F F4 FE."""
_USER_DEFINED, _USER_DEFINED_3 = 0xE000, 0xE3AC
"""Where rows 85 to 94, which belong to the user, lie in Unicode: two and three bytes."""
_FULLWIDTH_BACKSLASH = "\uff3c"


_BIG5_ETEN = {bytes([0xF9, 0xD6 + i]): character for i, character in enumerate("碁銹裏墻恒粧嫺")}


def _eten(error: UnicodeError) -> tuple[str, int]:
    """A codec's error handler: seven characters that big5 has in the servers, not in Python."""
    assert isinstance(error, UnicodeDecodeError)
    end = error.start + 2
    found = _BIG5_ETEN.get(bytes(error.object[error.start : end]))
    if found is None:
        raise error
    return found, end


codecs.register_error("cdc.eten", _eten)


def _big5(data: bytes) -> str:
    return data.decode("big5", "cdc.eten")


def _sjis(data: bytes) -> str:
    return data.decode("shift_jis").replace(_FULLWIDTH_BACKSLASH, "\\")


def _gb18030(data: bytes) -> str:
    """The edition of 2005, which gave one character another code; Python has that of 2000."""
    return data.decode("gb18030").translate({0xE7C7: 0x1E3F, 0x1E3F: 0xE7C7})


def _ujis(data: bytes) -> str:
    return _euc(data, "ujis", _ujis_character)


def _eucjpms(data: bytes) -> str:
    return _euc(data, "eucjpms", _eucjpms_character)


def _euc(data: bytes, charset: str, character: Callable[[bytes], str]) -> str:
    """Text of an EUC: one byte below 80, two bytes, three behind 8F."""
    parts: list[str] = []
    at = 0
    while at < len(data):
        size = 1 if data[at] < 0x80 else 3 if data[at] == 0x8F else 2
        try:
            parts.append(character(data[at : at + size]))
        except UnicodeDecodeError:
            raise UnicodeDecodeError(
                charset, data, at, min(at + size, len(data)), "no character"
            ) from None
        at += size
    return "".join(parts)


def _user_defined(code: bytes) -> str:
    """The character of the user's rows; empty if the code isn't in them."""
    if len(code) < 2 or not (0xF5 <= code[-2] <= 0xFE and 0xA1 <= code[-1] <= 0xFE):
        return ""
    first = _USER_DEFINED_3 if len(code) == 3 else _USER_DEFINED
    return chr(first + (code[-2] - 0xF5) * 94 + code[-1] - 0xA1)


def _ujis_character(code: bytes) -> str:
    return _user_defined(code) or code.decode("euc_jp").replace(_FULLWIDTH_BACKSLASH, "\\")


def _eucjpms_character(code: bytes) -> str:
    """Two bytes are those of cp932 by row and cell; three are JIS X 0212 and IBM's extensions."""
    if found := _user_defined(code) or _THREE_BYTES.get(code):
        return found
    if len(code) == 2 and code[0] >= 0xA1 and code[1] >= 0xA1:
        row, cell = code[0] - 0xA0, code[1] - 0xA0
        lead = (row + 1) // 2 + (0x80 if row <= 62 else 0xC0)
        if row % 2:
            return bytes([lead, cell + (0x3F if cell < 64 else 0x40)]).decode("cp932")
        return bytes([lead, cell + 0x9E]).decode("cp932")
    return code.decode("euc_jp")


_THREE_BYTES = {
    b"\x8f\xa2\xb7": "～",
    b"\x8f\xa2\xc3": "￤",
    **{
        bytes([0x8F, *divmod(0xF3F3 + i + (0xA2 if i > 11 else 0), 256)]): character
        for i, character in enumerate(_IBM_EXTENSIONS)
    },
}

DECODERS: dict[str, Callable[[bytes], str]] = {
    "big5": _big5,
    "sjis": _sjis,
    "ujis": _ujis,
    "eucjpms": _eucjpms,
    "gb18030": _gb18030,
}
"""Character set → its decoder, where a table of 256 isn't enough."""


def table_decoder(charset: str) -> Callable[[bytes], str]:
    """The decoder of a character set in TABLES."""
    table = TABLES[charset]
    return lambda data: codecs.charmap_decode(data, "strict", table)[0]
