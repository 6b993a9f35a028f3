"""Objects as JSON, compressed: zstd with one dictionary per resource type.

Nothing predicts an object as well as its siblings, so the first few bodies of a type, put end to end, are its
dictionary for good. Measured on a recorded rollout: 946 bytes become 154 in 5.5 µs, against 498 in 7 µs without.
"""

from __future__ import annotations

import sqlite3

import zstandard

DICTIONARY_SIZE = 16 * 1024
MOST_SAMPLES = 8
MOST_TYPES = 256  # whose dictionaries are held at once; a compressor takes about 100 kB
LEVEL = 1  # measured: as small as level 3 with a dictionary, and faster
PLAIN = b"\0"  # the first byte of what is stored tells how it was compressed
WITH_DICTIONARY = b"\1"
READ = "SELECT content FROM body_dictionaries WHERE type = ?"


class BodyPacker:
    """Compresses bodies, inside a transaction of a writing connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Dictionaries are read or made as they are needed."""
        self._connection = connection
        self._plain = zstandard.ZstdCompressor(level=LEVEL)
        self._compressors: dict[int, zstandard.ZstdCompressor] = {}
        self._samples: dict[int, list[bytes]] = {}

    def forget(self) -> None:
        """Forget what was learned in a transaction that has been rolled back."""
        self._compressors.clear()
        self._samples.clear()

    def pack(self, kind: int, body: bytes) -> bytes:
        """Compress the body of an object of resource type number ``kind``."""
        compressor = self._compressors.get(kind) or self._learn(kind, body)
        if compressor is None:
            return PLAIN + self._plain.compress(body)
        return WITH_DICTIONARY + compressor.compress(body)

    def _learn(self, kind: int, body: bytes) -> zstandard.ZstdCompressor | None:
        if kind not in self._samples:
            known = self._connection.execute(READ, (kind,)).fetchone()
            if known is not None:
                return self._take_up(kind, known[0])
            if len(self._samples) >= MOST_TYPES:
                self._samples.clear()
        samples = self._samples.setdefault(kind, [])
        samples.append(body)
        if len(samples) < MOST_SAMPLES and sum(map(len, samples)) < DICTIONARY_SIZE:
            return None
        content = b"".join(samples)[-DICTIONARY_SIZE:]
        self._connection.execute(
            "INSERT OR IGNORE INTO body_dictionaries(type, content) VALUES(?, ?)", (kind, content)
        )  # another process may have been first: its dictionary stands
        del self._samples[kind]
        return self._take_up(kind, self._connection.execute(READ, (kind,)).fetchone()[0])

    def _take_up(self, kind: int, content: bytes) -> zstandard.ZstdCompressor:
        if len(self._compressors) >= MOST_TYPES:
            self.forget()
        compressor = self._compressors[kind] = zstandard.ZstdCompressor(
            level=LEVEL, dict_data=_dictionary(content), write_dict_id=False, write_checksum=False
        )
        return compressor


class BodyUnpacker:
    """Decompresses bodies, on a reading connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Dictionaries are read as they are needed; they do not change while a type has its number."""
        self._connection = connection
        self._plain = zstandard.ZstdDecompressor()
        self._decompressors: dict[int, zstandard.ZstdDecompressor] = {}

    def forget(self) -> None:
        """Forget all dictionaries: numbers may mean something else now."""
        self._decompressors.clear()

    def unpack(self, kind: int, stored: bytes) -> bytes:
        """The body as it was written."""
        if stored[:1] == PLAIN:
            return self._plain.decompress(stored[1:])
        decompressor = self._decompressors.get(kind)
        if decompressor is None:
            if len(self._decompressors) >= MOST_TYPES:
                self._decompressors.clear()
            content = self._connection.execute(READ, (kind,)).fetchone()[0]
            decompressor = zstandard.ZstdDecompressor(dict_data=_dictionary(content))
            self._decompressors[kind] = decompressor
        return decompressor.decompress(stored[1:])


def _dictionary(content: bytes) -> zstandard.ZstdCompressionDict:
    return zstandard.ZstdCompressionDict(content, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
