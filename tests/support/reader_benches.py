"""The readers that the contract suite runs on, each with a way to write into its store as it is written to in life.

Real trace stores are shared by the tests of a file, which keep apart by the name of their cluster.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from export_intake import Outlet
from fake_viewer import FakeViewer
from kubeweft.app.serving import ServeOptions
from kubeweft.display.serving.access import AllowedReader
from kubeweft.model.plan import Exporter
from kubeweft.model.references import ObjectKey
from kubeweft.model.spans import Span
from kubeweft.store.interfaces import Batch, SpanReader
from kubeweft.store.opening import open_reader
from kubeweft.store.remote.reader import RemoteReader
from kubeweft.store.remote.sources import RemoteOptions
from kubeweft.store.sqlite import SqliteStore
from kubeweft.store.sqlite_reader import SqliteReader
from memory_reader import MemoryReader
from memory_source import MemorySource
from memory_spool import MemorySpool
from served_stores import served
from trace_stores import TraceStore, export, remote_storage, running_jaeger

AT_ONCE: Final = RemoteOptions(fresh=0)  # tests write between two questions
_CLUSTERS = itertools.count(1)

Write = Callable[..., None]


@dataclass(slots=True)
class ReaderBench:
    """A reader under test: ``write`` adds spans to its store. Each bench has a cluster of its own.

    ``grouped`` spans have been moved by an exporter, where there is one. ``embedded`` tells that our own store is behind
    it, ``keeps_links`` whether attributes of links survive.
    """

    name: str
    reader: SpanReader
    write: Write
    embedded: bool = False
    keeps_links: bool = True
    shared: bool = False
    cluster: str = field(default_factory=lambda: f"cluster-{next(_CLUSTERS)}")

    def key(self, name: str = "web", **parts: str) -> ObjectKey:
        """A Deployment of the bench's cluster, unless ``parts`` say something else."""
        key = ObjectKey(self.cluster, "apps", "deployments", "shop", name)
        return key._replace(**parts)


@contextlib.contextmanager
def embedded(folder: Path) -> Iterator[ReaderBench]:
    """The embedded store, read by another handle than it is written by."""
    store = SqliteStore(folder / "store.db")

    def write(*spans: Span, grouped: bool = False) -> None:
        store.write(Batch(spans=spans))

    with contextlib.closing(store), SqliteReader(folder / "store.db") as reader:
        yield ReaderBench("embedded", reader, write, embedded=True)


@contextlib.contextmanager
def allowed(folder: Path) -> Iterator[ReaderBench]:
    """The embedded store as somebody sees it who may see everything."""
    with embedded(folder) as inner:
        reader = AllowedReader(inner.reader, FakeViewer(lambda _: True))
        yield ReaderBench("allowed", reader, inner.write, embedded=True)


class GrowingReader(MemoryReader):
    """The memory reader of display tests, to which spans can be added."""

    def __init__(self) -> None:
        super().__init__(())
        self._all: list[Span] = []

    def write(self, *spans: Span, grouped: bool = False) -> None:
        self._all += spans
        super().__init__(self._all)


@contextlib.contextmanager
def memory(folder: Path) -> Iterator[ReaderBench]:
    """The reader that display tests use."""
    reader = GrowingReader()
    yield ReaderBench("memory", reader, reader.write)


def foreign(
    name: str, **habits: bool | int
) -> Callable[[Path], contextlib.AbstractContextManager[ReaderBench]]:
    """A trace store in memory that has habits of real ones."""

    @contextlib.contextmanager
    def bench(folder: Path) -> Iterator[ReaderBench]:
        source = MemorySource(**habits)  # type: ignore[arg-type]  # each by its own name

        def write(*spans: Span, grouped: bool = False) -> None:
            outlet = Outlet(MemorySpool(), Exporter("store", "store:4317"), grouped=grouped)
            outlet.arrive(spans)
            outlet.settle()
            source.add(outlet.received)

        with RemoteReader(source, RemoteOptions(fresh=0, depth=50)) as reader:
            keeps = not habits.get("drops_link_attributes", False)
            yield ReaderBench(name, reader, write, keeps_links=keeps)

    return bench


def kubeweft(
    protocol: Literal["grpc", "http"],
) -> Callable[[Path], contextlib.AbstractContextManager[ReaderBench]]:
    """Another Kubeweft, which serves its embedded store."""

    @contextlib.contextmanager
    def bench(folder: Path) -> Iterator[ReaderBench]:
        with contextlib.ExitStack() as stack:
            inner = stack.enter_context(embedded(folder))
            options = ServeOptions(
                store=str(folder / "store.db"),
                grpc="127.0.0.1:0" if protocol == "grpc" else "",
                http="127.0.0.1:0" if protocol == "http" else "",
            )
            where = stack.enter_context(served(options))
            reader = stack.enter_context(
                open_reader(f"{protocol}://{where.grpc or where.http}?depth=40&fresh=0")
            )
            yield ReaderBench(f"kubeweft-{protocol}", reader, inner.write, embedded=True)

    return bench


IN_PROCESS: Final = {
    "embedded": embedded,
    "allowed": allowed,
    "memory": memory,
    "foreign": foreign("foreign"),
    "foreign-old": foreign("foreign-old", drops_link_attributes=True, keeps_last=True, most_probed=2),
    "foreign-without-tags": foreign("foreign-without-tags", skips_tags=True, most_probed=2),
    "foreign-kubeweft": foreign("foreign-kubeweft", lists_names=False),
    "kubeweft-grpc": kubeweft("grpc"),
    "kubeweft-http": kubeweft("http"),
}
REAL: Final = ("remote-storage-memory", "remote-storage-badger", "jaeger")


@contextlib.contextmanager
def real_store(name: str, folder: Path) -> Iterator[TraceStore]:
    """One of the real stores, running."""
    if name == "jaeger":
        with running_jaeger(folder) as store:
            yield store
    else:
        with remote_storage(folder, "badger" if name.endswith("badger") else "memory") as store:
            yield store


@contextlib.contextmanager
def over(store: TraceStore, name: str) -> Iterator[ReaderBench]:
    """A bench over a running store: written by our exporter, read by our reader."""

    def write(*spans: Span, grouped: bool = False) -> None:
        export(store.receiver, spans, grouped=grouped)

    # nothing is remembered, and depth is small, so that searches have to be halved
    with open_reader(f"{store.address}?depth=40&fresh=0") as reader:
        yield ReaderBench(name, reader, write, keeps_links=name == "jaeger", shared=True)
