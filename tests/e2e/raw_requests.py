"""Raw requests that are not HTTP/1.1 as the standard has it, and some at its edge that are; sends nothing."""

from __future__ import annotations

from collections.abc import Mapping

HOST = b"Host: a\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST
POST = b"POST / HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
CONTROLS = [bytes([code]) for code in (*range(0x20), 0x7F) if code not in (0x09, 0x0A, 0x0D)]
SEPARATORS = [bytes([code]) for code in b'"(),/:;<=>?@[\\]{} \t' if code != 0x3A]


def lengths() -> dict[str, bytes]:
    """Content-Length in every bad form, alone or beside Transfer-Encoding."""
    values = {
        b"+3", b"-3", b"0x3", b"3.0", b"3,3", b"3, 3", b"3 3", b"", b"three", b"3;", b"99999999999999999999999",
        b"3\x0b",
        b'"3"', b"0b11", b"\xd9\xa3", b"3e0", b"_3", b"3_0",
    }  # fmt: skip
    cases = {f"content-length {value!r}": POST + b"Content-Length: " + value + b"\r\n\r\nabc" for value in values}
    twice = [(b"3", b"3"), (b"3", b"4"), (b"0", b"3"), (b"3", b"")]
    for one, two in twice:
        both = b"Content-Length: " + one + b"\r\nContent-Length: " + two + b"\r\n\r\nabc"
        cases[f"two content-lengths {one!r} {two!r}"] = POST + both
    cases["length, then chunked"] = POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" + END
    cases["chunked, then length"] = POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n" + END
    cases["length and identity"] = POST + b"Content-Length: 3\r\nTransfer-Encoding: identity\r\n\r\nabc"
    cases["length folded"] = POST + b"Content-Length:\r\n 3\r\n\r\nabc"
    return cases


def codings() -> dict[str, bytes]:
    """Transfer codings other than chunked, or chunked in disguise."""
    values = {
        b"identity", b"gzip", b"gzip, chunked", b"chunked, gzip", b"chunked, chunked", b"chunked, identity",
        b"xchunked",
        b"chunkedx", b'"chunked"', b"chunked;q=1", b"chunked;", b"\x0bchunked", b"chunked\x00", b"ch unked",
        b",chunked",
        b"deflate, chunked",
    }  # fmt: skip
    cases = {
        f"transfer-encoding {value!r}": POST + b"Transfer-Encoding: " + value + b"\r\n\r\n" + END for value in values
    }
    two = b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"
    cases["chunked twice"] = POST + two + END
    cases["chunked folded"] = POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + END
    cases["chunked in 1.0"] = b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + END
    return cases


def chunks() -> dict[str, bytes]:
    """Bad sizes, bad ends of lines, wrong lengths."""
    bodies = [
        b"zz\r\n", b"-3\r\nabc\r\n", b"+3\r\nabc\r\n", b"0x3\r\nabc\r\n", b" 3\r\nabc\r\n", b"3 \r\nabc\r\n",
        b"\t3\r\nabc\r\n",
        b"3\nabc\r\n", b"3\r\nabc\n", b"3\r\nabcd\r\n", b"3\r\nab\r\n", b"fffffffffffffffff\r\nabc\r\n",
        b"3;a\nb\r\nabc\r\n",
        b"3\rabc\r\n", b"3\r\nabc\r", b"\r\n3\r\nabc\r\n", b"3,\r\nabc\r\n", b"3;\x00\r\nabc\r\n",
    ]  # fmt: skip
    return {f"chunk {body!r}": CHUNKED + body + END for body in bodies}


def lines() -> dict[str, bytes]:
    """Bare LF, bare CR, folding, blanks and controls in the head."""
    cases = {
        "bare LF everywhere": b"GET / HTTP/1.1\nHost: a\n\n",
        "bare LF after the line": b"GET / HTTP/1.1\nHost: a\r\n\r\n",
        "bare LF after a header": b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
        "bare LF at the end": b"GET / HTTP/1.1\r\nHost: a\r\n\n",
        "bare CR after a header": b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
        "folded by a space": GET + b"X: b\r\n c\r\n\r\n",
        "folded by a tab": GET + b"X: b\r\n\tc\r\n\r\n",
        "folded first": b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        "no colon": GET + b"X\r\n\r\n",
        "no name": GET + b": x\r\n\r\n",
        "tab before the colon": GET + b"X\t: x\r\n\r\n",
    }
    for each in CONTROLS:
        cases[f"control {each!r} in a value"] = GET + b"X: a" + each + b"b\r\n\r\n"
    for each in (*SEPARATORS, b"\x00", b"\x7f", b"\x80", b"\xff"):
        cases[f"{each!r} in a name"] = GET + b"X" + each + b"Y: a\r\n\r\n"
    return cases


def targets() -> dict[str, bytes]:
    """First lines of other protocols, other versions, other forms of a target."""
    firsts = [
        b"get / HTTP/1.1", b"FOO / HTTP/1.1", b"GET / HTTP/1.2", b"GET / HTTP/2.0", b"GET / HTTP/0.9",
        b"GET / http/1.1",
        b"GET / HTTP/1.1 ", b"GET / HTTP/11", b"GET / HTTP/1.", b"GET /", b"GET", b"GET /a b HTTP/1.1",
        b"GET\t/ HTTP/1.1",
        b" GET / HTTP/1.1", b"GET http://a/x HTTP/1.1", b"GET https://u:p@evil:1/x HTTP/1.1", b"GET a/x HTTP/1.1",
        b"GET * HTTP/1.1", b"OPTIONS * HTTP/1.1", b"CONNECT a:1 HTTP/1.1", b"GET /x#y HTTP/1.1",
        b"GET /\x00 HTTP/1.1",
        b"GET /\xc3\xa9 HTTP/1.1", b"GET /\x7f HTTP/1.1",
    ]  # fmt: skip
    cases = {f"line {first!r}": first + b"\r\n" + HOST + b"\r\n" for first in firsts}
    cases["HTTP/2 preface"] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    cases["TLS hello"] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 32
    cases["upgrade with a body"] = POST + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc"
    cases["upgrade with chunks"] = (
        POST + b"Connection: upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n" + END
    )
    return cases


REFUSED: Mapping[str, bytes] = {**lengths(), **codings(), **chunks(), **lines(), **targets()}

CLOSE = b"Connection: close\r\n"
ANSWERED: Mapping[str, tuple[bytes, bytes]] = {
    "plain": (GET + CLOSE + b"\r\n", b""),
    "a tab in a value": (GET + CLOSE + b"X: a\tb\r\n\r\n", b""),
    "bytes above ASCII in a value": (GET + CLOSE + b"X: \xff\r\n\r\n", b""),
    "empty lines before": (b"\r\n\r\n" + GET + CLOSE + b"\r\n", b""),
    "a body with GET": (GET + CLOSE + b"Content-Length: 3\r\n\r\nabc", b"abc"),
    "a length with zeros before": (POST + CLOSE + b"Content-Length: 003\r\n\r\nabc", b"abc"),
    "chunks": (POST + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n" + END, b"abcde"),
    "CHUNKED in capitals": (POST + CLOSE + b"Transfer-Encoding: CHUNKED\r\n\r\n3\r\nabc\r\n" + END, b"abc"),
    "a chunk with an extension": (POST + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n" + END, b"abc"),
    "a size with zeros before": (POST + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n0003\r\nabc\r\n" + END, b"abc"),
    "trailers are dropped": (
        POST + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nAuthorization: Bearer x\r\n\r\n",
        b"abc",
    ),
    "an offer to upgrade": (GET + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n", b""),
    "what hides behind an offer to upgrade": (
        GET + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n",
        b"",
    ),
    "what comes after close": (GET + CLOSE + b"\r\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n", b""),
    "the version of another protocol counts as HTTP's": (b"GET / RTSP/1.0\r\n" + HOST + b"\r\n", b""),
    "version 1.0": (b"GET / HTTP/1.0\r\n" + HOST + b"\r\n", b""),
}
