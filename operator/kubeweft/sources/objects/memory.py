"""The last version of every object of one resource type, in as little memory as possible.

A version is JSON without managedFields, compressed by zstd with a dictionary: a few objects of the same type, put end
to end, because nothing predicts an object as well as its siblings. Dictionaries are numbered; a version names the one
it needs, so that versions and dictionaries survive a restart together.
"""

from __future__ import annotations

from typing import NamedTuple

import zstandard

DICTIONARY_SIZE = 16 * 1024
LEVEL = (
    -1
)  # with a dictionary the size hardly depends on it: a 5 kB Pod takes 328 bytes here and 302 at level 3


PLAIN = -1


class Remembered(NamedTuple):
    """One object's last version. ``snapshot_window`` is the last window in which its body became a span.

    ``dictionary`` is the number of the dictionary that ``body`` needs, or ``PLAIN`` while it is not compressed yet.
    ``partial`` says that nothing but the metadata was asked for.
    """

    version: str
    snapshot_window: int
    dictionary: int
    body: bytes
    partial: bool = False


class Compression:
    """zstd with numbered dictionaries; number 0 is none."""

    def __init__(self) -> None:
        """Begin without a dictionary: it is made from the first bodies seen."""
        self._compressors = {0: zstandard.ZstdCompressor(level=LEVEL)}
        self._decompressors = {0: zstandard.ZstdDecompressor()}
        self._samples: list[bytes] = []
        self._sample_size = 0
        self.current = 0

    def load(self, number: int, content: bytes) -> None:
        """Take up a dictionary of a former run; the highest number becomes the current one."""
        data = zstandard.ZstdCompressionDict(content, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
        self._compressors[number] = zstandard.ZstdCompressor(
            level=LEVEL, dict_data=data, write_dict_id=False, write_checksum=False
        )
        self._decompressors[number] = zstandard.ZstdDecompressor(dict_data=data)
        self.current = max(self.current, number)

    def sample(self, body: bytes) -> tuple[int, bytes] | None:
        """Offer a body for the dictionary; gives the new dictionary once enough has been seen."""
        if self.current or not body:
            return None
        self._samples.append(body)
        self._sample_size += len(body)
        if self._sample_size < DICTIONARY_SIZE and len(self._samples) < 8:
            return None
        content = b"".join(self._samples)[-DICTIONARY_SIZE:]
        self._samples = []
        self.load(1, content)
        return 1, content

    def pack(self, body: bytes) -> bytes:
        """Compress with the current dictionary."""
        packed = self._compressors[self.current].compress(body)
        return bytes(
            memoryview(packed)
        )  # a copy: the compressor's result keeps the room it thought it might need

    def unpack(self, remembered: Remembered) -> bytes:
        """The body of a remembered version."""
        if remembered.dictionary == PLAIN:
            return remembered.body
        return self._decompressors[remembered.dictionary].decompress(remembered.body)
