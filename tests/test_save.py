"""The model file: exact round trips, and no changed, cut or swapped file is ever read."""

import hashlib
import json
import pprint
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from conftest import ROOT
from unweave._adapt import Inverted
from unweave._describe import describe, rebuild
from unweave._noise import Gaussian, StudentT
from unweave._save import load_leaves, load_model, save_leaves, save_model
from unweave._schema import Schema
from unweave._tensors import ModelFileError, canonical_json, read_tensors, write_tensors
from unweave.data import Scale
from unweave.networks import fit_gaussian_mixture, fit_pca

BENCH = ROOT / "bench" / "faults_file.py"

TENSORS = {
    "matrix": np.arange(6.0).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "big-endian": np.arange(3, dtype=">f4"),
    "scalar": np.asarray(7, dtype=np.int32),
    "empty": np.zeros((0, 4), dtype=np.float32),
    "bfloat16": np.array([1.5, -0.0, np.nan, np.inf], dtype=ml_dtypes.bfloat16),
    "half": np.array([1.5], dtype=np.float16),
    "mask": np.array([True, False]),
    "µ": np.array([-(2**62)], dtype=np.int64),
}


def pca():
    x = np.random.default_rng(0).normal(size=(30, 4, 2)) * np.array([1.0, 50.0])
    return fit_pca(x, 2)


def test_tensors_come_back_to_the_bit_and_the_digest_is_the_files(tmp_path):
    path = tmp_path / "a.safetensors"
    header = {"text": "µV", "list": [1, 2.5, None, True], "inner": {"b": 1, "a": -0.0}}
    digest = write_tensors(path, TENSORS, header)
    tensors, back = read_tensors(path)
    assert canonical_json(back) == canonical_json(header)
    assert set(tensors) == set(TENSORS)
    for name, array in TENSORS.items():
        little = array.astype(array.dtype.newbyteorder("<"))
        assert tensors[name].dtype == little.dtype
        assert tensors[name].shape == array.shape
        assert tensors[name].tobytes() == little.tobytes()
        assert tensors[name].flags.writeable
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest


def test_the_same_content_gives_the_same_bytes_in_any_order(tmp_path):
    backwards = dict(reversed(TENSORS.items()))
    one = write_tensors(tmp_path / "a", TENSORS, {"a": 1, "b": 2})
    two = write_tensors(tmp_path / "b", backwards, {"b": 2, "a": 1})
    assert one == two


def test_the_file_is_one_that_safetensors_reads(tmp_path):
    path = tmp_path / "a.safetensors"
    known = {name: array for name, array in TENSORS.items() if name != "bfloat16"}
    write_tensors(path, known, {"note": "plain"})
    with safe_open(path, "np") as file:
        assert set(file.keys()) == set(known)
        for name, array in known.items():
            np.testing.assert_array_equal(file.get_tensor(name), array)
        assert json.loads(file.metadata()["unweave"])["header"] == {"note": "plain"}


def test_every_single_bit_counts(tmp_path):
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"w": np.arange(5, dtype=np.float32), "e": np.zeros(0)}, {"x": [1.0]})
    good = path.read_bytes()
    for bit in range(8 * len(good)):
        data = bytearray(good)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        with pytest.raises(ModelFileError):
            read_tensors(path)


def test_every_length_but_the_right_one_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"w": np.arange(5, dtype=np.float32)}, {})
    good = path.read_bytes()
    for data in [*(good[:n] for n in range(len(good))), good + b"\0", good + good]:
        path.write_bytes(data)
        with pytest.raises(ModelFileError):
            read_tensors(path)


def test_tensors_that_changed_places_are_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"a": np.full(4, 1.0), "b": np.full(4, 2.0)}, {})
    good = path.read_bytes()
    path.write_bytes(good[:-64] + good[-32:] + good[-64:-32])
    with pytest.raises(ModelFileError, match=r"tensor 'a' does not match its hash"):
        read_tensors(path)


@given(st.binary(max_size=200))
def test_noise_is_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("noise") / "a"
    for blob in (data, len(data).to_bytes(8, "little") + data):
        path.write_bytes(blob)
        with pytest.raises(ModelFileError):
            read_tensors(path)


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "9" * 5000, "{}", "[]", "null", '{"__metadata__":{"unweave":"{}"}}'],
)
def test_json_that_is_not_ours_is_refused(tmp_path, text):
    path = tmp_path / "a"
    path.write_bytes(len(text).to_bytes(8, "little") + text.encode())
    with pytest.raises(ModelFileError, match="no file of unweave"):
        read_tensors(path)


def test_a_header_that_claims_more_than_the_file_allocates_nothing(tmp_path):
    path = tmp_path / "a"
    write_tensors(path, {"w": np.zeros(2, np.float32)}, {})
    text = path.read_bytes()[8:].replace(b'"shape":[2]', b'"shape":[999999999999]')
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(ModelFileError):
        read_tensors(path)
    path.write_bytes((2**60).to_bytes(8, "little") + b"{}")
    with pytest.raises(ModelFileError, match="claims a header"):
        read_tensors(path)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a"
    write_tensors(path, {"w": np.zeros(2)}, {})
    good = path.read_bytes()
    with pytest.raises(ModelFileError, match="complex128"):
        write_tensors(path, {"w": np.zeros(2, complex)}, {})
    with pytest.raises(ModelFileError, match="header of"):
        write_tensors(path, {}, {"long": "x" * 2**24})
    assert [file.name for file in tmp_path.iterdir()] == ["a"]
    assert path.read_bytes() == good


def test_models_come_back_to_the_bit(tmp_path):
    path = tmp_path / "m.safetensors"
    x = np.random.default_rng(0).normal(size=(30, 4, 2))
    models = [pca(), fit_gaussian_mixture(x, 2, components=2), Inverted(pca(), starts=2)]
    for model in models:
        digest = save_model(path, model)
        file = load_model(path)
        assert file.digest == digest
        assert jax.tree.structure(file.model) == jax.tree.structure(model)
        assert bool(eqx.tree_equal(file.model, model))
        assert save_model(tmp_path / "again", file.model) == digest
    z = jnp.asarray([0.5, -1.0])
    loaded = load_model(path).model
    assert isinstance(loaded, Inverted)
    assert (loaded.decode(z) == models[-1].decode(z)).all()


def test_schema_notes_and_readable_latents(tmp_path):
    path = tmp_path / "m.safetensors"
    axes, leads = ("time", "channel"), ("i", "ii")
    schema = Schema("beats", axes, (4, 2), leads, ("mV", "mV"), step=0.004, origin=-0.25)
    notes = {"best": float("inf"), "split": ("group", [1, 2]), "kl": np.arange(3.0)}
    save_model(path, pca(), schema=schema, notes=notes)
    file = load_model(path)
    assert file.schema == schema
    assert file.notes.keys() == notes.keys()
    assert file.notes["best"] == float("inf")
    assert file.notes["split"] == ("group", [1, 2])
    np.testing.assert_array_equal(file.notes["kl"], np.arange(3.0))
    _, header = read_tensors(path)
    assert header["latents"][0] == {"name": "pc1", "unit": "", "prior": "normal(0.0, 1.0)"}
    assert header["model"]["$class"] == "networks:PCA"
    assert header["versions"]["jax"] == jax.__version__


def test_equinox_nets_and_their_functions_come_back():
    keys = jax.random.split(jax.random.key(0), 3)
    net = eqx.nn.Sequential(
        [
            eqx.nn.Conv1d(2, 3, 3, key=keys[0]),
            eqx.nn.Lambda(jax.nn.gelu),
            eqx.nn.LayerNorm((3, 6)),
            eqx.nn.Lambda(jnp.tanh),
        ]
    )
    for model in (net, eqx.nn.MLP(2, 3, 4, 2, activation=jax.nn.silu, key=keys[1])):
        tensors = {}
        text = json.dumps(describe(model, "model", tensors), allow_nan=False)
        back = rebuild(json.loads(text), tensors)
        assert not tensors
        assert bool(eqx.tree_equal(back, model))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text().filter(lambda key: not key.startswith("$")), inner)
    ),
    max_leaves=10,
)


@given(values)
def test_plain_values_come_back_as_they_were(value):
    back = rebuild(json.loads(canonical_json(describe(value, "v", {}))), {})
    # JSON keeps no order of keys, and nor does a pytree
    assert pprint.pformat(back) == pprint.pformat(value)


def test_kinds_of_numbers_are_kept():
    tree = [np.float64(0.1), np.arange(2.0), jnp.arange(2), jnp.ones(2, jnp.bfloat16), 1.0, 1]
    tensors = {}
    described = describe(tree, "v", tensors)
    back = rebuild(described, tensors)
    assert [type(a) for a in back] == [type(a) for a in tree]
    assert [np.asarray(a).dtype for a in back] == [np.asarray(a).dtype for a in tree]


class Outside(eqx.Module):
    """A class that is not unweave's."""

    weight: jax.Array


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (Outside(jnp.ones(2)), "cannot name"),
        (lambda x: x, "cannot hold"),
        (jax.random.key(0), "cannot hold"),
        ({1: 2}, "plain words"),
        ({"$class": 2}, "plain words"),
        (1j, "cannot hold"),
    ],
)
def test_what_a_file_cannot_hold_is_refused_before_anything_is_written(tmp_path, value, words):
    with pytest.raises(ModelFileError, match=words):
        save_model(tmp_path / "m", pca(), notes={"value": value})
    assert not list(tmp_path.iterdir())


def rewritten(path, change):
    """A file with a changed header and hashes that fit it: what a forger could make."""
    tensors, header = read_tensors(path)
    change(header)
    write_tensors(path, tensors, header)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("os:system", "no class of unweave"),
        (":Callable", "no class of unweave"),
        ("networks:jax", "no class of unweave"),
        ("networks:principal_axes", "no class of unweave"),
        ("networks._pca:PCA", "no class of unweave"),
        (":Gaussian", "has the fields"),
        (":Latents", "has the fields"),
    ],
)
def test_only_classes_of_the_rooms_are_named(tmp_path, name, words):
    path = tmp_path / "m"
    save_model(path, pca())
    rewritten(path, lambda header: header["model"].update({"$class": name}))
    with pytest.raises(ModelFileError, match=words):
        load_model(path)


def test_the_checks_of_a_class_run_on_what_a_file_says(tmp_path):
    path = tmp_path / "m"
    save_model(path, StudentT(0.0, 4.0))
    rewritten(path, lambda header: header["model"]["fields"].update(degrees=1.0))
    with pytest.raises(ModelFileError, match="degrees of freedom"):
        load_model(path)


def test_other_kinds_and_newer_formats_are_refused(tmp_path):
    path = tmp_path / "m"
    save_model(path, Gaussian(0.0))
    with pytest.raises(ModelFileError, match="a checkpoint is needed"):
        load_leaves(path, {})
    rewritten(path, lambda header: header.update(format=2))
    with pytest.raises(ModelFileError, match="newer"):
        load_model(path)


def test_tensors_beyond_those_named_are_refused(tmp_path):
    path = tmp_path / "m"
    save_model(path, pca())
    tensors, header = read_tensors(path)
    write_tensors(path, {**tensors, "extra": np.zeros(2)}, header)
    with pytest.raises(ModelFileError, match="fit together"):
        load_model(path)
    del tensors["model.mean"]
    write_tensors(path, tensors, header)
    with pytest.raises(ModelFileError, match=r"model\.mean"):
        load_model(path)


def test_double_precision_is_refused_where_jax_would_cut_it(tmp_path):
    path = tmp_path / "m"
    with jax.enable_x64(True):
        save_model(path, Gaussian(jnp.asarray([0.1], jnp.float64)))
        noise = load_model(path).model
        assert isinstance(noise, Gaussian)
        assert noise.scale.dtype == jnp.float64
    with pytest.raises(ModelFileError, match="enable_x64"):
        load_model(path)


def test_a_scale_comes_back_equal(tmp_path):
    scale = Scale.standard(np.random.default_rng(0).normal(size=(9, 3)))
    save_model(tmp_path / "m", scale)
    assert load_model(tmp_path / "m").model == scale


def state(seed=0):
    net = eqx.nn.MLP(2, 3, 4, 1, key=jax.random.key(seed))
    optimiser = optax.adam(1e-3).init(eqx.filter(net, eqx.is_array))
    return {"net": net, "optimiser": optimiser, "key": jax.random.key(seed), "at": (seed, 0.5)}


def test_leaves_come_back_into_a_template(tmp_path):
    path = tmp_path / "c"
    header = {"step": 3, "best": float("inf"), "shape": (1, 2)}
    save_leaves(path, state(1), header)
    tree, back = load_leaves(path, state(2))
    assert back == header
    assert tree["at"] == (1, 0.5)
    assert tree["key"] == jax.random.key(1)
    assert bool(eqx.tree_equal(tree, state(1)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tree: {**tree, "more": jnp.ones(2)}, "'\\['more'\\]'"),
        (lambda tree: {**tree, "key": jnp.ones(2)}, "uint32.* float32"),
        (lambda tree: {**tree, "at": (jnp.ones(3), 0.5)}, "is needed"),
        (lambda tree: {**tree, "key": jax.random.key(0, impl="rbg")}, "is needed"),
    ],
)
def test_leaves_that_do_not_fit_are_refused(tmp_path, change, words):
    path = tmp_path / "c"
    save_leaves(path, state(), {})
    with pytest.raises(ModelFileError, match=words):
        load_leaves(path, change(state()))


def test_faults_script_in_short():
    words = ["--flips", "200", "--truncations", "50", "--kills", "3"]
    # its writers are forks, and JAX has started here
    done = subprocess.run(
        [sys.executable, str(BENCH), *words], capture_output=True, text=True, timeout=300, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert "200 single-bit flips: 0 loaded" in done.stdout
    assert "50 truncations: 0 loaded" in done.stdout
    assert "3 kills during a write: 0 unreadable" in done.stdout
