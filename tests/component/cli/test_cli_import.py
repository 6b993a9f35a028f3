"""``import``: from any kind of file, with what went wrong told and nothing half made."""

from __future__ import annotations

import contextlib
import gzip
import os
import resource
import signal
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import zstandard

from audit_log import CANARY, WORLD, import_lines, stored
from command_line import ENVIRONMENT, KUBEWEFT, PATIENCE, Fails, Typed, one_line, process

SIZE_LIMIT = 200_000  # bytes


def test_plain_gzip_zstd_and_standard_input_give_the_same_store(
    run: Typed, folder: Path, tmp_path: Path
) -> None:
    plain = b"\n".join(WORLD) + b"\n"
    (tmp_path / "a.log").write_bytes(plain)
    (tmp_path / "b").write_bytes(gzip.compress(plain))
    (tmp_path / "c").write_bytes(zstandard.compress(plain))
    reports = set()
    for source in ("a.log", "b", "c", "-"):
        store = tmp_path / f"store-{source}.db"
        with (tmp_path / "a.log").open() as typed_in:
            done = process("import", "--store", store, source, cwd=tmp_path, stdin=typed_in)
        assert (done.returncode, done.stderr) == (0, "")
        reports.add(done.stdout.replace(str(store), "STORE"))
        assert stored(store) == stored(folder / "kubeweft.db")
    (report,) = reports
    assert report.startswith(f"{len(WORLD)} lines: ")
    assert "new spans in STORE" in report


def test_importing_twice_adds_nothing(run: Typed, tmp_path: Path, folder: Path) -> None:
    first = run("import", "--store", "k.db", folder / "world.log", folder / "world.log", cwd=tmp_path)
    again = run("import", "--store", "k.db", folder / "world.log", cwd=tmp_path)
    assert "; 0 new spans in k.db" in again.stdout
    assert "; 0 new spans" not in first.stdout
    assert stored(tmp_path / "k.db") == stored(folder / "kubeweft.db")


def test_an_address_is_no_store_to_write_to(fails: Fails, folder: Path, tmp_path: Path) -> None:
    for address in ("grpc://127.0.0.1:1", "http://me:secret@127.0.0.1:1"):
        said = fails("import", "--store", address, folder / "world.log", cwd=tmp_path)
        assert "can only be read" in said
        assert "secret" not in said


def test_quiet_is_quiet(run: Typed, tmp_path: Path, folder: Path) -> None:
    done = run("import", "-q", "--store", "k.db", folder / "world.log", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_bad_lines_are_told_with_their_place_and_never_quoted(run: Typed, tmp_path: Path) -> None:
    lines = [*WORLD[:3], b'{"kind":"' + CANARY.encode(), *WORLD[3:], CANARY.encode(), b"{}"]
    (tmp_path / "audit.log").write_bytes(b"\n".join(lines))
    done = run("import", "--store", "k.db", "audit.log", cwd=tmp_path)
    assert done.returncode == 0
    assert f"{len(WORLD) + 3} lines" in done.stdout
    assert "(first: line 4 of audit.log)" in done.stderr
    assert CANARY not in done.stderr + done.stdout


def test_an_empty_log_is_no_mistake(run: Typed, tmp_path: Path) -> None:
    (tmp_path / "audit.log").touch()
    done = run("import", "--store", "k.db", "audit.log", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("0 lines: ")


def test_garbage_is_told_from_an_audit_log(run: Typed, tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(os.urandom(50_000))
    done = run("import", "--store", "k.db", "noise", cwd=tmp_path)
    assert done.returncode == 2
    assert (
        done.stderr.splitlines()[-1]
        == "kubeweft: no line was an audit event: is this an audit log in JSON lines?"
    )
    assert "Traceback" not in done.stderr


def test_compressed_data_that_breaks_off_is_told_and_the_rest_kept(run: Typed, tmp_path: Path) -> None:
    whole = zstandard.compress(b"\n".join(WORLD * 50))
    (tmp_path / "cut.zst").write_bytes(whole[: len(whole) // 2])
    done = run("import", "--store", "k.db", "cut.zst", cwd=tmp_path)
    assert "cut off or damaged" in done.stderr
    assert "Traceback" not in done.stderr


def test_inputs_that_cannot_be_read_are_told_all_at_once_before_anything_is_made(
    fails: Fails, tmp_path: Path, folder: Path
) -> None:
    said = fails("import", "--store", "k.db", folder / "world.log", "missing.log", tmp_path, cwd=tmp_path)
    assert "cannot read missing.log: No such file or directory" in said
    assert f"cannot read {tmp_path}: Is a directory" in said
    assert not (tmp_path / "k.db").exists()


def test_a_store_that_cannot_be_made(fails: Fails, tmp_path: Path, folder: Path) -> None:
    log = folder / "world.log"
    assert "cannot be created" in one_line(fails("import", "--store", "no/such/k.db", log, cwd=tmp_path))
    assert "cannot be used" in one_line(fails("import", "--store", ".", log, cwd=tmp_path))


def test_a_full_disk_is_told(tmp_path: Path, folder: Path) -> None:
    """What was written before stays, and the import can be done again where there is room."""
    (tmp_path / "long.log").write_bytes(b"\n".join(WORLD * 400))
    done = process(
        "import",
        "--store",
        "k.db",
        "long.log",
        cwd=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE_LIMIT, SIZE_LIMIT)),
    )
    assert done.returncode == 2
    assert "k.db" in one_line(done.stderr)
    import_lines(tmp_path / "k.db", WORLD)
    assert stored(tmp_path / "k.db") == stored(folder / "kubeweft.db")


def lines_without_end() -> Iterator[bytes]:
    while True:
        yield from (line + b"\n" for line in WORLD)


def feed(stream: IO[bytes], lines: Iterable[bytes], *, enough: Path) -> None:
    """Write until something has been stored."""
    for number, line in enumerate(lines):
        stream.write(line)
        if number % 1000 == 0 and enough.exists() and enough.stat().st_size > 50_000:
            return


def test_ctrl_c_ends_an_import_quietly(tmp_path: Path) -> None:
    importing = subprocess.Popen(
        [str(KUBEWEFT), "import", "--store", "k.db", "-"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with importing:
        assert importing.stdin is not None
        assert importing.stderr is not None
        feed(importing.stdin, lines_without_end(), enough=tmp_path / "k.db-wal")
        importing.send_signal(signal.SIGINT)
        assert importing.wait(PATIENCE) == 130
        assert b"Traceback" not in importing.stderr.read()
        with contextlib.suppress(BrokenPipeError):
            importing.stdin.close()
    assert stored(tmp_path / "k.db")
    again = import_lines(tmp_path / "k.db", WORLD)[0]  # what was interrupted is made whole by doing it again
    assert again.changes > 10
