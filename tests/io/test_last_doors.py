"""What a reader of models meets last: files that cannot be read, and parts that do not make a whole."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backquery.errors import MissingExtraError, ModelError
from backquery.io import foreign, h5_attribute, text

LIMIT = 1 << 20


def test_a_text_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "weight1.txt").write_text("1 2\n")

    def failing(_: Path) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "read_bytes", failing)
    with pytest.raises(ModelError, match=r"cannot read .*weight1\.txt: Input/output error"):
        text.load_text(tmp_path)


def h5(**attributes: Any) -> bytes:
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        for name, value in attributes.items():
            file.attrs[name] = value
    return stream.getvalue()


@pytest.mark.needs("h5py")
class TestAttribute:
    """The one text that is read of an HDF5 file's root."""

    def test_a_text_of_a_fixed_length(self) -> None:
        content = h5(model_config=np.bytes_(b'{"a": 1}'))
        assert h5_attribute.text_attribute(content, "model_config", LIMIT) == b'{"a": 1}'

    def test_a_root_in_too_many_pieces(self, monkeypatch: pytest.MonkeyPatch) -> None:
        content = h5(**{f"a{number}": number for number in range(5)}, model_config="{}")
        assert h5_attribute.text_attribute(content, "model_config", LIMIT) == b"{}"
        monkeypatch.setattr(h5_attribute, "PIECES", 3)
        with pytest.raises(ModelError, match="its root is in too many pieces"):
            h5_attribute.text_attribute(content, "model_config", LIMIT)

    def test_a_text_behind_too_many_others(self, monkeypatch: pytest.MonkeyPatch) -> None:
        content = h5(first="1", second="2", model_config="{}")
        heap = content.index(b"GCOL")
        third = next(at for at in range(heap + 16, len(content), 8) if content[at : at + 1] == b"\x03")
        assert h5_attribute._in_heap(content, heap, 3) == b"{}" and third > heap + 16
        monkeypatch.setattr(h5_attribute, "PIECES", 2)
        with pytest.raises(ModelError, match="its description is missing"):
            h5_attribute._in_heap(content, heap, 3)


@pytest.mark.needs("onnx")
@pytest.mark.parametrize(("kind", "dims"), [(999, [2]), (1, [-1])])
def test_numbers_in_another_file_that_are_none(kind: int, dims: list[int]) -> None:
    import onnx

    from backquery.io.onnx_file import _length

    tensor = onnx.TensorProto(name="odd", data_type=kind)
    tensor.dims.extend(dims)
    with pytest.raises(ModelError, match="odd holds no plain numbers"):
        _length(tensor)


@pytest.mark.needs("torch")
class TestStateDict:
    """Files that are no state dict."""

    def test_another_kind_of_file(self, tmp_path: Path) -> None:
        from backquery.io.state_dict import read_state_dict

        with pytest.raises(ModelError, match=r"m\.pt is no \.safetensors file, and nothing is ever unpickled"):
            read_state_dict(str(tmp_path / "m.pt"))

    def test_none_at_all_and_a_damaged_one(self, tmp_path: Path) -> None:
        from backquery.io.state_dict import read_state_dict

        path = tmp_path / "m.safetensors"
        with pytest.raises(ModelError, match="there is no file"):
            read_state_dict(str(path))
        path.write_bytes(b"damaged")
        with pytest.raises(ModelError, match="is damaged or no safetensors file"):
            read_state_dict(str(path))

    def test_without_pytorch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from backquery.io.state_dict import read_state_dict

        monkeypatch.setitem(sys.modules, "safetensors.torch", None)
        with pytest.raises(MissingExtraError, match="a state dict needs PyTorch"):
            read_state_dict("m.safetensors")


def test_a_file_that_fails_while_it_is_read_and_a_package_s_own_lack(tmp_path: Path) -> None:
    with (
        pytest.raises(ModelError, match=r"cannot read m\.onnx: Input/output error"),
        foreign.reading("m.onnx", "onnx", "onnx"),
    ):
        raise OSError(5, "Input/output error")
    with pytest.raises(ModuleNotFoundError, match="of its own"), foreign.reading("m.onnx", "onnx", "onnx"):
        raise ModuleNotFoundError("of its own", name="something_else")


def test_an_encrypted_part_of_an_archive_is_not_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    # The first bit of the flags in the directory's entry.
    content = bytearray((tmp_path / "m.keras").read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "m.keras").write_bytes(content)
    with foreign.bounded_zip(tmp_path / "m.keras") as archive, pytest.raises(ModelError, match="is encrypted"):
        foreign.member(archive, "config.json")


@pytest.mark.needs("skops")
def test_a_type_that_came_past_the_list_is_refused_by_skops_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from skops.io import dump

    from backquery.io import skops

    dump({"exit": __import__("os").path.join}, tmp_path / "odd.skops")
    monkeypatch.setattr(skops, "_check_types", lambda schema: None)
    with pytest.raises(ModelError, match="join"):
        skops.load_skops(tmp_path / "odd.skops")


@pytest.mark.needs("skops")
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_parts_that_are_allowed_but_make_no_classifier(tmp_path: Path) -> None:
    from sklearn.neural_network import MLPClassifier
    from skops.io import dump

    from backquery.io.skops import load_skops

    x = np.random.default_rng(0).uniform(0, 1, (20, 4))
    dump(MLPClassifier((3,), max_iter=2, random_state=1).fit(x, np.arange(20) % 2), tmp_path / "good.skops")
    with zipfile.ZipFile(tmp_path / "good.skops") as archive:
        entries = {entry: archive.read(entry) for entry in archive.namelist()}
    schema = json.loads(entries["schema.json"])
    del schema["content"]["content"]["coefs_"]
    entries["schema.json"] = json.dumps(schema).encode()
    with zipfile.ZipFile(tmp_path / "bad.skops", "w") as archive:
        for entry, content in entries.items():
            archive.writestr(entry, content)
    with pytest.raises(ModelError, match=r"bad\.skops.*its parts do not fit together"):
        load_skops(tmp_path / "bad.skops")
