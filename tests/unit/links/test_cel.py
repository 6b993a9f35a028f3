"""CEL behind its guards: what authors may rely on, and what hostile expressions and data get."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import textwrap
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeweft.links.cel import ClusterFacts, EvaluationFailed, Scene, compile_expression
from kubeweft.model.errors import BadInput

CLUSTER = ClusterFacts("prod-eu", {"region": "eu"})
POD: dict[str, Any] = {
    "metadata": {"name": "web", "namespace": "shop", "managedFields": [{"manager": "x"}]},
    "spec": {"nodeName": "n1", "volumes": [{"secret": {"secretName": "a"}}, {"emptyDir": {}}]},
}
TEN = "[1,2,3,4,5,6,7,8,9,10]"
LOOPS = f"{TEN}.map(a, {TEN}.map(b, {TEN}.map(c, [1,2,3,4,5,6,7,8].map(d, %s))))"


def value(text: str, obj: dict[str, Any] = POD, **more: Any) -> Any:
    """The value of an expression."""
    return compile_expression(text).evaluate(Scene(obj, cluster=CLUSTER, **more))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("object.spec.nodeName", "n1"),
        ("object.spec.?nodeName", "n1"),
        ("object.spec.?nothing", None),
        ("object.spec.?nothing.orValue('x')", "x"),
        ("object.spec.?nothing // with a comment", None),
        ("object.spec.volumes.filter(v, has(v.secret)).map(v, v.secret.secretName)", ["a"]),
        ("[?object.spec.?nodeName, ?object.spec.?nothing]", ["n1"]),
        ("{'name': object.metadata.name, 'cluster': cluster.name}", {"name": "web", "cluster": "prod-eu"}),
        ("cluster.labels.region + '-' + object.metadata.name", "eu-web"),
        ("'a/b'.split('/')[1].upperAscii()", "B"),
        ("'%s/%d'.format(['x', 3])", "x/3"),
        ("['a', 'b'].join('-').replace('-', '+').substring(1)", "+b"),
        ("namespaceObject == null && oldObject == null", True),
        ("object.spec.volumes.map(v, object.metadata.name + '-x')", ["web-x", "web-x"]),
        ("has(object.metadata.managedFields)", False),
        ("'abc'.matches('^a.c$')", True),
    ],
)
def test_what_authors_write(text: str, expected: Any) -> None:
    assert value(text) == expected


def test_the_namespace_is_seen() -> None:
    assert (
        value(
            "namespaceObject.metadata.labels.team", namespace_object={"metadata": {"labels": {"team": "a"}}}
        )
        == "a"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("object.", "Syntax error"),
        ("unknown.field", "undeclared reference to 'unknown.field'"),
        ("", "must not be empty"),
        ("'a\0b'", "NUL"),
        ("'\ud800'", "surrogate"),
        ("1" + "+1" * 2050, "at most 4096 characters"),
        ("1" + "+1" * 1000, "recursion"),
        ("(" * 2000 + "1" + ")" * 2000, "recursion"),
        ("'a' + 1", "no matching overload"),
    ],
)
def test_what_does_not_compile(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        compile_expression(text)


@pytest.mark.parametrize("text", ["'text'", "1", "[true]"])
def test_a_condition_has_to_be_boolean(text: str) -> None:
    with pytest.raises(BadInput, match="true or false"):
        compile_expression(text, boolean=True)


def test_a_condition_that_turns_out_to_be_no_boolean() -> None:
    with pytest.raises(EvaluationFailed, match="true or false, not string"):
        compile_expression("object.spec.nodeName", boolean=True).evaluate(Scene(POD, cluster=CLUSTER))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("object.spec.nothing", "Key not found"),
        ("object.spec.nothing.further", "Key not found"),
        ("1 / 0", "divide by zero"),
        ("'x'.charAt(9)", "greater than"),
        ("b'bytes'", "bytes"),
        ("timestamp('2026-01-01T00:00:00Z')", "datetime"),
        ("[optional.none()]", "optional"),
        ("object.spec.volumes.all(v, v.secret.secretName == 'a')", "not found"),
    ],
)
def test_failures_are_raised_with_a_message(text: str, message: str) -> None:
    with pytest.raises(EvaluationFailed, match=message):
        value(text)


@pytest.mark.parametrize(
    "text",
    [
        "'aaaaaaaaaa'" + ".replace('a', 'aaaaaaaaaa')" * 9,
        "object.a.replace('a', object.a)",
        "object.a.split('').map(x, object.a.split('').size()).size() > 0",
        LOOPS % "object.a + 'x'",
        LOOPS % "object.a.matches('^((a|aa|aaa){0,500})*$')",
        LOOPS % "object == object",
        LOOPS % "object",
        "'%s'.format([[object.a, object.a, object.a, object.a, object.a] + object.l.map(x, object.a)])",
        "[object.a].map(a,[a+a].map(b,[b+b].map(c,[c+c].map(d,[d+d].map(e,[e+e].map(f,[f+f].map(g,[g+g])))))))",
        "object.l.map(x, object.l.map(y, object.l.map(z, x)))",
    ],
)
def test_hostile_expressions_end_soon(text: str) -> None:
    scene = Scene({"a": "a" * 60_000, "l": list(range(300))}, cluster=CLUSTER)
    with pytest.raises(EvaluationFailed):
        compile_expression(text).evaluate(scene)


def test_hostile_expressions_take_no_memory() -> None:
    """In a process of its own with 1 GB of address space, of which the interpreter needs half."""
    text = """
        import resource
        from kubeweft.links.cel import ClusterFacts, EvaluationFailed, Scene, compile_expression
        from kubeweft.model.errors import BadInput
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        scene = Scene({"a": "a" * 60000}, cluster=ClusterFacts("c", {}))
        nest = "abcdefghijklm"
        for depth in range(1, 12):
            inner = nest[depth]
            for level in range(depth, 0, -1):
                inner = f"[{nest[level-1]}+{nest[level-1]}].map({nest[level]},{inner})[0]"
            for times in range(1, 12):
                grown = "'aaaaaaaaaa'" + ".replace('a','aaaaaaaaaa')" * times
                for each in (f"[object.a].map(a,{inner})[0].size()", f"({grown}).size()", f"[{grown}].join({grown})"):
                    try:
                        compile_expression(each).evaluate(scene)
                    except (BadInput, EvaluationFailed):
                        pass
        peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM:'))
        print(int(peak.split()[1]) // 1024)  # ru_maxrss would be that of the parent, if that is larger
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert int(done.stdout) < 600


def test_deep_data_is_refused_before_the_evaluator_sees_it() -> None:
    """In a process of its own: the evaluator would end it with a segmentation fault."""
    text = """
        from kubeweft.links.cel import ClusterFacts, EvaluationFailed, Scene, compile_expression
        for wrap in (lambda inner: {"a": inner}, lambda inner: [inner]):
            obj = "leaf"
            for _ in range(100_000):
                obj = wrap(obj)
            try:
                compile_expression("object.a").evaluate(Scene({"a": obj}, cluster=ClusterFacts("c", {})))
            except EvaluationFailed as failure:
                print(failure)
            while isinstance(obj, (list, dict)):  # freed level by level, not by recursion
                obj = obj[0] if isinstance(obj, list) else obj["a"]
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout.count("nested deeper than 64 levels") == 2


def test_long_strings_are_cut_and_odd_ones_replaced() -> None:
    obj = {
        "long": "x" * 100_000,
        "nul": "a\0b",
        "half": "a\ud800",
        "big": 2**70,
        "huge": 2**63,
        "tuple": (1, 2),
    }
    assert value("object.long.size()", obj) == 65_536
    assert value("object.nul", obj) == "a\ufffdb"
    assert value("object.half.size()", obj) == 2
    assert value("object.big > 1.0 && object.huge > 1.0", obj) is True
    assert value("object.tuple", obj) == [1, 2]
    assert obj["nul"] == "a\0b"


def test_what_an_expression_reads_is_known() -> None:
    assert compile_expression("object.spec.nodeName").reads.fields == frozenset({"spec"})
    assert compile_expression("object.?spec.?x.orValue(cluster.name)").reads.fields == frozenset({"spec"})
    assert compile_expression("object['spec']").reads.fields is None
    assert compile_expression(
        "object.status.conditions.exists(object, object.type == 'x')"
    ).reads.fields == frozenset({"status"})
    assert "namespaceObject" in compile_expression("namespaceObject.metadata.name").reads.names
    assert "cluster" not in compile_expression("object.spec.l.map(cluster, cluster)").reads.names


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=150)
@given(st.dictionaries(st.text(max_size=8), JSON, max_size=5))
def test_any_json_is_taken_and_comes_back(obj: dict[str, Any]) -> None:
    found = compile_expression("object").evaluate(Scene(obj, cluster=CLUSTER))
    assert set(found) == {key.replace("\0", "\ufffd") for key in obj} or any(
        "metadata" in key or not key.isprintable() for key in obj
    )


FRAGMENTS = ["object", "spec", ".", "?.", "[", "]", "(", ")", "map", "filter", "x", ",", "'a'", "+", "==", "1", "has",
             "optional", ".orValue(", "in", "!", "-", "{", "}", ":", "?", "&&", "matches", "size", "\\", "\"", "0x", "e9"]  # fmt: skip


@settings(max_examples=400)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=25).map("".join) | st.text(max_size=60))
def test_any_text_is_refused_or_evaluated(text: str) -> None:
    """Nothing but the two errors leaves the room, whatever is written."""
    with contextlib.suppress(BadInput, EvaluationFailed):
        compile_expression(text).evaluate(Scene(POD, cluster=CLUSTER))
