"""Last versions in little memory: dictionaries are made from the first bodies and survive a restart."""

from __future__ import annotations

import random

import orjson

from kubeweft.sources.objects.memory import DICTIONARY_SIZE, Compression, Remembered


def pod(number: int) -> bytes:
    """A Pod of about 3 kB, as unlike its siblings as real ones are."""
    choice = random.Random(number)
    name = f"web-{choice.getrandbits(40):x}"
    containers = [
        {
            "name": f"c{index}",
            "image": "registry.example.com/shop/web:1.27",
            "env": [{"name": f"VARIABLE_{n}", "value": f"a value of the shop {n}"} for n in range(20)],
            "terminationMessagePath": "/dev/termination-log",
            "volumeMounts": [
                {"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True}
            ],
        }
        for index in range(2)
    ]
    return orjson.dumps(
        {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {
                "name": name,
                "namespace": f"team-{number % 7}",
                "uid": f"{choice.getrandbits(128):x}",
            },
            "spec": {"containers": containers, "nodeName": f"node-{choice.randrange(9)}"},
            "status": {"podIP": f"10.0.{choice.randrange(256)}.{choice.randrange(256)}", "phase": "Running"},
        }
    )


def packed(compression: Compression, body: bytes) -> Remembered:
    return Remembered("1", 0, compression.current, compression.pack(body))


def filled(compression: Compression) -> tuple[int, bytes]:
    """Offer bodies until there is a dictionary."""
    for number in range(100):
        made = compression.sample(pod(number))
        if made is not None:
            return made
    raise AssertionError("no dictionary out of 100 bodies")


def test_it_works_before_there_is_a_dictionary() -> None:
    compression = Compression()
    assert compression.current == 0
    assert compression.unpack(packed(compression, pod(1))) == pod(1)


def test_the_first_bodies_become_the_dictionary_once() -> None:
    compression = Compression()
    number, content = filled(compression)
    assert (number, compression.current) == (1, 1)
    assert 0 < len(content) <= DICTIONARY_SIZE
    assert pod(0)[-200:] in content
    assert all(compression.sample(pod(n)) is None for n in range(100))


def test_a_few_small_bodies_are_enough_and_empty_ones_do_not_count() -> None:
    compression = Compression()
    assert all(compression.sample(b"") is None for _ in range(100))
    made = [compression.sample(b'{"a":%d}' % n) for n in range(8)]
    assert [bool(one) for one in made] == [False] * 7 + [True]


def test_versions_from_before_the_dictionary_stay_readable() -> None:
    compression = Compression()
    early = packed(compression, pod(1))
    filled(compression)
    late = packed(compression, pod(1))
    assert (early.dictionary, late.dictionary) == (0, 1)
    assert compression.unpack(early) == compression.unpack(late) == pod(1)


def test_every_body_comes_back_as_it_was() -> None:
    compression = Compression()
    filled(compression)
    for body in (
        b"",
        b"{}",
        b"\0" * 100_000,
        orjson.dumps({"a": "…" * 1000}),
        pod(5),
        random.Random(1).randbytes(5000),
    ):
        assert compression.unpack(packed(compression, body)) == body


def test_a_new_run_takes_up_dictionaries_and_versions() -> None:
    before = Compression()
    number, content = filled(before)
    kept = packed(before, pod(77))
    after = Compression()
    after.load(number, content)
    assert after.current == number
    assert after.unpack(kept) == pod(77)
    assert after.sample(pod(1)) is None


def test_an_object_takes_a_tenth_of_its_size() -> None:
    compression = Compression()
    filled(compression)
    bodies = [pod(number) for number in range(1000, 1200)]
    sizes = [len(compression.pack(body)) for body in bodies]
    assert sum(map(len, bodies)) / len(bodies) > 2500
    assert sum(sizes) / len(sizes) < 250
